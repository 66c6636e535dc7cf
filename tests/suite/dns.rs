//! Host names that lead to forbidden addresses. The test has its own name server, in a network with loopback only.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::{Setup, wait_until};

/// Variable that is set when this binary runs inside the namespaces.
const INSIDE: &str = "DNS_TEST_INSIDE";

/// A global address. Inside the namespaces the loopback interface has this address, so nothing leaves the machine.
const PUBLIC: &str = "93.184.216.34";

/// Sets up the network and name resolution, then runs the test.
const ENTER: &str = "ip link set lo up && ip address add 93.184.216.34/32 dev lo \
    && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && mount --bind \"$0/nsswitch.conf\" /etc/nsswitch.conf \
    && exec \"$@\"";

/// Runs the test `name` of this module in its own namespaces. Prints a line where the machine does not permit that.
fn enter(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1\n").unwrap();
    std::fs::write(folder.path().join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    let enter = |words: &[&str]| {
        let path = folder.path().display().to_string();
        let mut command = Command::new("unshare");
        command.args(["-rmn", "sh", "-c", ENTER, &path]).args(words).env(INSIDE, "1").output()
    };
    let probe = enter(&["true"]);
    if !probe.as_ref().is_ok_and(|ended| ended.status.success()) {
        // Written past the test harness, which hides the output of tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: no network of its own can be made here, names that change are NOT tested: {probe:?}\n"
        );
        return;
    }
    let test = std::env::current_exe().unwrap().display().to_string();
    let full = format!("dns::{name}");
    let ended = enter(&[&test, "--exact", &full, "--ignored", "--nocapture"]).unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

/// A name server that answers queries of a name with sets of addresses, one after the other. The last set stays.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>);

impl Names {
    fn serve() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").expect("the port of DNS, in a network of its own");
        let names = Self::default();
        let served = names.clone();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let _ = socket.send_to(&served.answer(&query[..length]), from);
            }
        });
        names
    }

    fn set(&self, name: &str, answers: &[&[&str]]) {
        let parsed = answers.iter().map(|set| set.iter().map(|text| text.parse().unwrap()).collect()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), parsed);
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let (mut labels, mut at) = (Vec::new(), 12);
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
            at = end;
        }
        let wants_v6 = query[at + 1..at + 3] == [0, 28];
        let question = &query[12..at + 5];
        let mut names = self.0.lock().unwrap();
        let addresses = names.get_mut(&labels.join(".")).map_or_else(Vec::new, |answers| {
            let now = answers[0].clone();
            let of_family: Vec<IpAddr> = now.into_iter().filter(|address| address.is_ipv6() == wants_v6).collect();
            // A look-up asks for both families. Only a query for a family that has an address moves on to the next set.
            if answers.len() > 1 && !of_family.is_empty() {
                answers.remove(0);
            }
            of_family
        });
        let count = u8::try_from(addresses.len()).unwrap();
        let mut bytes = [&query[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], question].concat();
        for address in addresses {
            let (kind, data) = match address {
                IpAddr::V4(address) => (1, address.octets().to_vec()),
                IpAddr::V6(address) => (28, address.octets().to_vec()),
            };
            bytes.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, u8::try_from(data.len()).unwrap()]);
            bytes.extend(data);
        }
        bytes
    }
}

/// Counts connections and answers each with 204.
fn sink(listener: TcpListener) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    });
    count
}

#[test]
fn a_name_never_leads_to_the_inside_however_it_does_so() {
    enter("inside_names_that_lead_to_the_inside");
}

#[test]
fn a_name_that_was_public_when_its_destination_was_made_and_leads_inside_when_it_is_sent_reaches_nothing() {
    enter("inside_a_name_that_changes_before_it_is_sent");
}

#[test]
#[ignore = "takes a minute, since the server believes a name for 30 s: cargo test --test suite dns -- --ignored"]
fn a_name_that_changes_while_the_server_runs_reaches_nothing() {
    enter("inside_a_name_that_changes_while_the_server_runs");
}

/// Listeners outside and inside, all on one port.
fn sinks() -> (u16, Arc<AtomicUsize>, Vec<Arc<AtomicUsize>>) {
    let outside = TcpListener::bind((PUBLIC, 0)).unwrap();
    let port = outside.local_addr().unwrap().port();
    let inside = ["127.0.0.1", "::1"].map(|address| sink(TcpListener::bind((address, port)).unwrap()));
    (port, sink(outside), inside.into())
}

/// Number of connections to the inside.
fn reached(inside: &[Arc<AtomicUsize>]) -> usize {
    inside.iter().map(|count| count.load(Ordering::SeqCst)).sum()
}

#[test]
#[ignore = "run by a test above, in a network of its own"]
fn inside_a_name_that_changes_before_it_is_sent() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let names = Names::serve();
    let (port, outside, inside) = sinks();
    let server = Setup::guarded().flags(&["--retry-schedule", "100ms"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    names.set("flip.test", &[&[PUBLIC]]);
    let url = format!("http://flip.test:{port}/in");
    let destination = client.create_destination(&account, &url, "POST", json!({}));
    names.set("flip.test", &[&["127.0.0.1"]]);
    let delivery = client.push_one(&account, "{}");
    let delivery = client.wait_for_state(&delivery, "exhausted");
    assert_eq!((&delivery["error"], &delivery["attempt_count"]), (&json!("refused_address"), &json!(2)));
    let detail = delivery["attempts"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("127.0.0.1") && detail.contains("--allow-network"), "{detail}");
    // A test delivery is checked in the same way.
    let tested = client.post(&format!("/v1/destinations/{destination}/test"), &json!({})).expect(200).json();
    assert_eq!(tested["error"], "refused_address");
    assert_eq!((outside.load(Ordering::SeqCst), reached(&inside)), (0, 0));
}

#[test]
#[ignore = "run by a test above, in a network of its own"]
fn inside_a_name_that_changes_while_the_server_runs() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let names = Names::serve();
    let (port, outside, inside) = sinks();
    let server = Setup::guarded().flags(&["--retry-schedule", ""]).start();
    let client = server.client();
    let account = client.create_account("ada");
    names.set("flip.test", &[&[PUBLIC]]);
    client.create_destination(&account, &format!("http://flip.test:{port}/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "{}");
    client.wait_for_state(&delivery, "succeeded");
    names.set("flip.test", &[&["127.0.0.1"]]);
    let mut public = 1;
    wait_until("the name is asked anew", || {
        let delivery = client.push_one(&account, "{}");
        let delivery =
            wait_until("it has ended", || Some(client.delivery(&delivery)).filter(|d| d["state"] != "pending"));
        public += usize::from(delivery["state"] == "succeeded");
        (delivery["error"] == "refused_address").then_some(())
    });
    assert_eq!((outside.load(Ordering::SeqCst), reached(&inside)), (public, 0));
}

#[test]
#[ignore = "run by the test above, in a network of its own"]
fn inside_names_that_lead_to_the_inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let names = Names::serve();
    let (port, outside, inside) = sinks();
    let mut server = Setup::guarded().flags(&["--retry-schedule", "100ms"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let send_to = |names_of: &[&str]| -> Vec<String> {
        for name in names_of {
            client.create_destination(&account, &format!("http://{name}:{port}/in"), "POST", json!({}));
        }
        let pushed = client.push(&account, "{}");
        pushed["deliveries"].as_array().unwrap().iter().map(|d| d["delivery_id"].as_str().unwrap().to_owned()).collect()
    };

    // At first the name is public. The event is delivered there, although the next query would lead inside.
    names.set("flip.test", &[&[PUBLIC], &["127.0.0.1"]]);
    for delivery in send_to(&["flip.test"]) {
        client.wait_for_state(&delivery, "succeeded");
    }
    assert_eq!(outside.load(Ordering::SeqCst), 1);

    for (name, answers) in [
        ("mixed.test", &[PUBLIC, "10.0.0.1"][..]),
        ("loopback.test", &["127.0.0.1"]),
        ("metadata.test", &["169.254.169.254"]),
        ("mapped.test", &["::ffff:127.0.0.1"]),
        ("nat64.test", &["64:ff9b::7f00:1"]),
        ("6to4.test", &["2002:7f00:1::1"]),
        // Teredo: the server is 65.54.227.120, the client is 127.0.0.1 with all bits inverted.
        ("teredo.test", &["2001:0:4136:e378:8000:63bf:80ff:fffe"]),
        ("local6.test", &["::1"]),
        ("both.test", &[PUBLIC, "fe80::1"]),
    ] {
        names.set(name, &[answers]);
    }
    let bad = [
        "mixed.test",
        "loopback.test",
        "metadata.test",
        "mapped.test",
        "nat64.test",
        "6to4.test",
        "teredo.test",
        "local6.test",
        "both.test",
    ];
    let deliveries = send_to(&bad);
    assert_eq!(deliveries.len(), bad.len() + 1);
    let refused = deliveries
        .iter()
        .map(|delivery| {
            wait_until("it has ended", || Some(client.delivery(delivery)).filter(|d| d["state"] != "pending"))
        })
        .filter(|delivery| {
            delivery["attempts"].as_array().unwrap().iter().all(|attempt| attempt["error"] == "refused_address")
        })
        .count();
    assert_eq!(refused, bad.len(), "all but the public one");

    // A new process resolves the name again, which now leads inside.
    server.terminate();
    server.start_again();
    let client = server.client();
    let pushed = client.push(&account, "{}");
    for delivery in pushed["deliveries"].as_array().unwrap() {
        let delivery = client.wait_for_state(delivery["delivery_id"].as_str().unwrap(), "exhausted");
        assert_eq!(delivery["error"], "refused_address");
    }
    assert_eq!(outside.load(Ordering::SeqCst), 2);
    assert_eq!(reached(&inside), 0, "something on the inside was connected to");
}
