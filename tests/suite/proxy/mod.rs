//! Two instances behind a proxy: what a failure of one means for the other, and how an account moves. Needs nginx and
//! HAProxy, so `.ci/run` runs these tests by name.

mod programs;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::programs::{Kind, Proxy, instance};
use crate::harness::client::NewAccount;
use crate::harness::server::run_binary;
use crate::harness::{Behaviour, DEADLINE, Gate, Receiver, Reply, Server, wait_until};

/// Events whose answers are compared.
const COMPARED: usize = 500;

/// Sets a flag at the end.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Successful requests by the number in the event. The first `failed` requests were answered with 500.
fn arrived(receiver: &Receiver, path: &str, failed: usize) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for request in receiver.requests_to(path).iter().skip(failed) {
        let document: Value = serde_json::from_slice(&request.body).unwrap();
        *counts.entry(document["number"].as_u64().unwrap() as usize).or_default() += 1;
    }
    counts
}

/// Median and 99th percentile, for people.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1_000.0;
    format!("median {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99))
}

fn a_killed_instance_does_not_disturb_the_other(kind: Kind) {
    let receiver = Receiver::start();
    let (mut eu, us) = (instance("eu", &[]), instance("us", &[]));
    let proxy = Proxy::start(kind, &eu, &us);
    let (ada, bob) = (eu.client().create_account("ada"), us.client().create_account("bob"));
    eu.client().create_destination(&ada, &receiver.url("/ada"), "POST", json!({}));
    us.client().create_destination(&bob, &receiver.url("/bob"), "POST", json!({}));

    let mut taken = Vec::new();
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..2 * COMPARED {
        let is_killed = number >= COMPARED;
        if number == COMPARED {
            eu.kill();
        }
        let status = proxy.push(&ada, number);
        if is_killed {
            assert_eq!(status, if kind == Kind::Nginx { 502 } else { 503 });
        } else {
            assert_eq!(status, 202);
            taken.push(number);
        }
        let began = Instant::now();
        assert_eq!(proxy.push(&bob, number), 202);
        times[usize::from(is_killed)].push(began.elapsed());
    }
    let [before, after] = times.map(figures);
    eprintln!("{kind:?}, answers of the other instance: {before}; while one is killed: {after}");

    eu.start_again();
    wait_until("the proxy finds it again", || (proxy.push(&ada, usize::MAX) == 202).then_some(()));
    taken.push(usize::MAX);
    let all = |path: &str, numbers: &[usize]| {
        wait_until("all arrive", || {
            let arrived = arrived(&receiver, path, 0);
            numbers.iter().all(|number| arrived.contains_key(number)).then_some(arrived)
        })
    };
    assert_eq!(all("/ada", &taken).len(), taken.len(), "what was refused was not taken");
    assert!(all("/bob", &(0..2 * COMPARED).collect::<Vec<_>>()).values().all(|count| *count == 1));
}

fn an_account_moves_and_each_event_succeeds_once(kind: Kind) {
    const FAILED: usize = 5;
    let (receiver, gate) = (Receiver::start(), Gate::default());
    let held = vec![Behaviour::Hold(gate.clone(), Reply::status(200)); 20];
    receiver.script("/bob", [vec![Behaviour::status(500); FAILED], held, vec![Behaviour::status(200)]].concat());
    let flags = ["--timeout", "60s", "--retry-schedule", "200ms,200ms,200ms,200ms,200ms,200ms,200ms,200ms"];
    let (eu, us) = (instance("eu", &flags), instance("us", &flags));
    let proxy = Proxy::start(kind, &eu, &us);
    let bob = us.client().create_account("bob");
    us.client().create_destination(&bob, &receiver.url("/bob"), "POST", json!({}));
    let pending = |server: &Server| {
        server.client().all(&format!("/v1/deliveries?account_id={}&state=pending&limit=200", bob.id)).len()
    };
    let events = |server: &Server| server.client().all(&format!("/v1/accounts/{}/events?limit=200", bob.id)).len();

    let (stop, sent) = (AtomicBool::new(false), Mutex::new(0));
    let send = || {
        let mut sent = sent.lock().unwrap();
        assert_eq!(proxy.push(&bob, *sent), 202);
        *sent += 1;
    };
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                send();
            }
        });
        // Also where a claim fails: else the sender would go on for ever.
        let ends = SetOnDrop(&stop);
        wait_until("some are taken", || (events(&us) >= 20).then_some(()));
        let document = export(&us, &bob.id);
        import(&eu, &document);
        let exported: Value = serde_json::from_str(&std::fs::read_to_string(&document).unwrap()).unwrap();
        proxy.moved(&bob, exported["accounts"][0]["token_digest"].as_str().unwrap(), "eu");
        wait_until("events go to the other instance", || (events(&eu) >= 20).then_some(()));
        assert!(pending(&us) > 0, "the old instance has something left to do");
        gate.open();
        drop(ends);
        sending.join().unwrap();
    });
    wait_until("the old instance has nothing left to do", || (pending(&us) == 0).then_some(()));
    us.client().delete(&format!("/v1/accounts/{}", bob.id)).expect(204);
    send();
    wait_until("the new instance has nothing left to do", || (pending(&eu) == 0).then_some(()));
    let arrived = arrived(&receiver, "/bob", FAILED);
    let sent = *sent.lock().unwrap();
    assert_eq!(arrived.len(), sent, "no event is lost");
    assert!(arrived.values().all(|count| *count == 1), "and none comes again: {arrived:?}");
    eprintln!("{kind:?}: {sent} events of an account that moved meanwhile");
}

fn export(server: &Server, account: &str) -> std::path::PathBuf {
    let file = server.setup().folder().join("account.json");
    let database = server.setup().database_path().to_str().unwrap();
    let words = ["export", "--database", database, "--account", account, "--output", file.to_str().unwrap()];
    assert_eq!(run_binary(&words).code, Some(0));
    file
}

fn import(server: &Server, document: &Path) {
    let database = server.setup().database_path().to_str().unwrap();
    let ended = run_binary(&["import", "--database", database, document.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

fn hosts_lead_to_their_instances_and_tokens_by_either_header(kind: Kind) {
    let (eu, us) = (instance("eu", &[]), instance("us", &[]));
    let proxy = Proxy::start(kind, &eu, &us);
    let client = proxy.client();
    for (name, server) in [("eu", &eu), ("us", &us)] {
        let host = format!("{name}.push.example.com");
        let token = server.admin_token();
        let metrics = client.with_admin_token(token.as_deref()).send("GET", "/metrics", &[("host", &host)], None);
        assert!(metrics.expect(200).text().contains(&format!("data_pusher_instance{{name=\"{name}\"}}")));
    }
    let bob = us.client().create_account("bob");
    let host = ("host", "push.example.com");
    let send = |headers: &[(&str, &str)]| {
        let headers = [&[host, ("content-type", "application/json")], headers].concat();
        client.send("POST", "/server/incoming_data", &headers, Some(b"{}"))
    };
    for headers in [
        &[("cl-xtoken", bob.token.as_str())][..],
        &[("cl-x-token", &bob.token)],
        &[("cl-xtoken", &bob.token), ("cl-x-token", &bob.token)],
    ] {
        send(headers).expect(202);
    }
    for headers in [&[][..], &[("cl-xtoken", "cl_us_short")], &[("cl-xtoken", &bob.token.replace("us", "eu"))]] {
        assert_eq!(send(headers).problem(401)["code"], "invalid_token");
    }
    client.send("GET", "/v1/accounts", &[host], None).expect(404);
    // The longest that an instance takes goes through the proxy, and what is longer is refused by the instance.
    let body = |length: usize| format!("\"{}\"", "x".repeat(length - 2)).into_bytes();
    let long = |length: usize| {
        let headers = [host, ("content-type", "application/json"), ("cl-xtoken", bob.token.as_str())];
        client.send("POST", "/server/incoming_data", &headers, Some(&body(length)))
    };
    long(1 << 20).expect(202);
    assert_eq!(long((1 << 20) + 1).problem(413)["code"], "payload_too_large");
    stream_is_passed_on_at_once(&proxy, &us, &bob);
}

fn stream_is_passed_on_at_once(proxy: &Proxy, us: &Server, bob: &NewAccount) {
    let receiver = Receiver::start();
    us.client().create_destination(bob, &receiver.url("/bob"), "POST", json!({}));
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let token = us.admin_token().unwrap();
    let request = format!(
        "GET /v1/deliveries/stream HTTP/1.1\r\nHost: us.push.example.com\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains(" 200 "));
    lines.find(String::is_empty).expect("the end of the head");
    assert_eq!(proxy.push(bob, 1), 202);
    assert!(lines.any(|line| line.contains(&bob.id)), "the stream does not end before the delivery is seen");
}

macro_rules! with_both {
    ($($name:ident),*) => {
        mod nginx {
            $(
                #[test]
                #[ignore = "needs nginx; .ci/run installs it"]
                fn $name() {
                    super::$name(super::Kind::Nginx);
                }
            )*
        }

        mod haproxy {
            $(
                #[test]
                #[ignore = "needs HAProxy; .ci/run installs it"]
                fn $name() {
                    super::$name(super::Kind::HaProxy);
                }
            )*
        }
    };
}

with_both!(
    a_killed_instance_does_not_disturb_the_other,
    an_account_moves_and_each_event_succeeds_once,
    hosts_lead_to_their_instances_and_tokens_by_either_header
);
