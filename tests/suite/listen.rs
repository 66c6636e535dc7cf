//! `data-pusher listen`: what it prints of each delivery, how it answers, and how it ends.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::played::Played;
use crate::harness::program::refused_url;
use crate::harness::server::{command, run_binary};
use crate::harness::{Answer, Behaviour, Client, Gate, Program, Receiver, Reply, Setup, wait_until, wire};

/// `listen` on a free port.
struct Listener {
    program: Program,
    address: SocketAddr,
    client: Client,
}

#[track_caller]
fn listen(flags: &[&str]) -> Listener {
    let program = Program::start(&[&["listen", "--port", "0"], flags].concat(), &[]);
    let line = program.said("listening on http://127.0.0.1:");
    let address: SocketAddr = line.rsplit('/').next().unwrap().parse().unwrap();
    Listener { program, address, client: Client::new(address, None) }
}

impl Listener {
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.client.send(method, path, &[], Some(body))
    }

    /// What `--json` has printed, once there are `count` lines.
    #[track_caller]
    fn printed(&self, count: usize) -> Vec<Value> {
        let lines =
            wait_until("the lines are there", || Some(self.program.out.lines()).filter(|all| all.len() >= count));
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_delivery_of_a_real_server_is_shown_with_the_verdict_of_its_signature() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, "http://127.0.0.1:9/crm", "POST", json!({}));
    let path = format!("/v1/destinations/{destination}");
    let secret = |path: &str| text(&client.get(path).expect(200).json(), "signing_secret");
    let old = secret(&format!("{path}/signing-secret"));
    let stranger = format!("whsec_{}", "A".repeat(43) + "=");

    let check = |flags: &[&str], verdict: &str| {
        let listener = listen(flags);
        client.patch(&path, &json!({"url": format!("http://{}/crm", listener.address)})).expect(200);
        let headers = [("event-type", "order.paid"), ("prefer", "wait=20")];
        let sent = client.push_with(&account.token, &headers, b"{\"order\":1001,\"total\":19.90}").expect(200).json();
        let line = listener.program.printed("POST /crm");
        let event = text(&sent, "event_id");
        assert!(line.ends_with(&format!("POST /crm  order.paid  {event}  28 B  {verdict}  -> 200")), "{line}");
        let lines = wait_until("all of it is there", || {
            Some(listener.program.out.lines()).filter(|lines| lines.last().is_some_and(String::is_empty))
        });
        assert_eq!(lines[1..], ["  {", "    \"order\": 1001,", "    \"total\": 19.90", "  }", ""]);
    };
    check(&["--secret", &old], "signature valid");
    check(&[], "signature not checked");
    check(&["--secret", &stranger], "signature wrong");
    client.post(&format!("{path}/rotate-signing-secret"), &json!({})).expect(200);
    // Until the old secret ends, requests have a signature with each.
    check(&["--secret", &old], "signature valid");
    check(&["--secret", &secret(&format!("{path}/signing-secret"))], "signature valid");
    check(&["--secret", &format!("{stranger},{old}")], "signature valid");
}

#[test]
fn programs_get_one_object_a_line_with_every_byte() {
    let listener = listen(&["--json", "--secret", &format!("whsec_{}", "A".repeat(43) + "=")]);
    let document = b"{\n \"a\": 1.0, \"t\": \"\\u001b\", \"a\": 2 }\n";
    listener.send("PUT", "/a%2Fb?c=%41", document).expect(200);
    listener.client.send("GET", "/in?a=1&a=x%20y", &[("webhook-event-type", "t"), ("x-a", "1")], None).expect(200);
    listener.send("POST", "/", b"\xff\x00").expect(200);
    let lines = listener.printed(3);
    assert_eq!((&lines[0]["path"], &lines[0]["query"]), (&json!("/a%2Fb"), &json!("c=%41")));
    assert_eq!(lines[0]["body"].as_str().unwrap().as_bytes(), document);
    assert_eq!((&lines[0]["signature"], &lines[0]["status"]), (&json!("none"), &json!(200)));
    assert_eq!((&lines[1]["query"], &lines[1]["event_type"]), (&json!("a=1&a=x%20y"), &json!("t")));
    assert!(lines[1]["headers"].as_array().unwrap().contains(&json!(["x-a", "1"])));
    assert_eq!(
        (&lines[2]["body"], &lines[2]["body_base64"], &lines[2]["bytes"]),
        (&Value::Null, &json!("/wA="), &json!(2))
    );
}

#[test]
fn long_bodies_are_folded_and_say_how_much_is_left_out() {
    let body = format!("[{}]", vec!["1"; 1_000].join(","));
    let folded = listen(&[]);
    folded.send("POST", "/", body.as_bytes()).expect(200);
    assert!(folded.program.printed("more lines").contains("942 more lines"));
    let full = listen(&["--full"]);
    full.send("POST", "/", body.as_bytes()).expect(200);
    wait_until("all of it is there", || (full.program.out.lines().len() == 1_004).then_some(()));
}

#[test]
fn every_answer_has_the_status_that_was_asked_for() {
    for status in ["204", "301", "304", "404", "410", "429", "503", "599"] {
        let retry: &[&str] = if status == "429" { &["--retry-after", "7"] } else { &[] };
        let mut listener = listen(&[&["--status", status, "--json"], retry].concat());
        let answer = listener.send("POST", "/", b"{}").expect(status.parse().unwrap());
        assert_eq!(answer.header("retry-after"), (status == "429").then_some("7"));
        listener.send("DELETE", "/", b"").expect(status.parse().unwrap());
        listener.program.signal(libc::SIGINT);
        let ended = listener.program.end();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stderr.contains(&format!("received 2, answered 2 with {status}")), "{ended:#?}");
    }
}

#[test]
fn a_share_of_the_requests_fails_and_a_seed_repeats_which() {
    let statuses = |flags: &[&str]| -> Vec<u16> {
        let listener = listen(&[&["--json"], flags].concat());
        let answers: Vec<u16> = (0..200).map(|_| listener.send("POST", "/", b"{}").status).collect();
        let printed = listener.printed(200);
        assert!(printed.iter().zip(&answers).all(|(line, status)| line["status"] == *status));
        answers
    };
    let some = statuses(&["--fail", "0.2", "--seed", "7"]);
    let failed = some.iter().filter(|status| **status == 500).count();
    assert!((20..=60).contains(&failed) && some.iter().all(|status| [200, 500].contains(status)), "{failed}");
    assert_eq!(statuses(&["--fail", "0.2", "--seed", "7"]), some);
    assert_eq!(statuses(&["--fail", "1"]), [500; 200]);
    assert_eq!(statuses(&["--fail", "0"]), [200; 200]);
}

#[test]
fn an_answer_comes_after_the_delay() {
    let listener = listen(&["--delay", "300ms"]);
    let began = std::time::Instant::now();
    listener.send("POST", "/", b"{}").expect(200);
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
}

#[test]
fn requests_are_passed_on_byte_for_byte_and_so_are_answers() {
    let target = Receiver::start();
    let mut random = fastrand::Rng::with_seed(11);
    let mut bytes = |count: usize| -> Vec<u8> { std::iter::repeat_with(|| random.u8(..)).take(count).collect() };
    let (answered, posted) = (bytes(300_000), bytes(300_000));
    let reply = Reply::status(207).header("x-back", "1").header("content-type", "a/b").body(&answered);
    target.on("/hooks/a%2Fb", Behaviour::Answer(reply));
    let url = target.url("/hooks");
    let listener = listen(&["--json", "--forward-to", &url]);
    let headers = [
        ("webhook-id", "evt_1"),
        ("x-b", "1"),
        ("x-a", "two  words"),
        ("content-type", "application/json"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("user-agent", "test"),
        ("accept", "x/y"),
        ("x-b", "2"),
    ];
    let answer = listener.client.send("PATCH", "/a%2Fb?c=%41&&d", &headers, Some(&posted)).expect(207);
    assert!(answer.body == answered);
    assert_eq!((answer.header("x-back"), answer.header("content-type")), (Some("1"), Some("a/b")));
    let came = target.wait_for("/hooks/a%2Fb", 1).remove(0);
    assert_eq!((&*came.method, &*came.target), ("PATCH", "/hooks/a%2Fb?c=%41&&d"));
    assert!(came.body == posted);
    let mut lines = came.headers.0;
    // Host and length are those of this connection, and the last one tells a loop.
    lines.retain(|(name, _)| !["host", "content-length", "data-pusher-listen"].contains(&&**name));
    let mut sent = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    sent.retain(|(name, _)| !["connection", "x-hop"].contains(&&**name));
    // Lines of one name keep their order; between names it means nothing, and lines of one name go together.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(lines, sent);

    listener.client.send("GET", "/?data=1", &[], None).expect(200);
    let came = target.wait_for("/hooks", 1).remove(0);
    assert_eq!((&*came.method, &*came.target, came.headers.get("content-length")), ("GET", "/hooks?data=1", None));
    listener.send("DELETE", "/x", b"{\"a\":1}").expect(200);
    assert_eq!(target.wait_for("/hooks/x", 1)[0].body, b"{\"a\":1}");
    assert_eq!(listener.printed(3)[0]["status"], 207);
}

#[test]
fn a_signed_delivery_stays_valid_behind_two_listeners() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    for method in ["POST", "GET"] {
        let id = client.create_destination(&account, "http://127.0.0.1:9/crm", method, json!({}));
        let secret = client.get(&format!("/v1/destinations/{id}/signing-secret")).expect(200).json();
        let last = listen(&["--json", "--secret", &text(&secret, "signing_secret")]);
        let first = listen(&["--forward-to", &format!("http://{}", last.address)]);
        let url = json!({"url": format!("http://{}/crm", first.address)});
        client.patch(&format!("/v1/destinations/{id}"), &url).expect(200);
        client.push(&account, "{\"a\": [1, \"x y\"]}");
        assert_eq!(last.printed(1)[0]["signature"], "valid", "{method}");
        client.delete(&format!("/v1/destinations/{id}")).expect(204);
    }
}

#[test]
fn a_target_that_does_not_answer_is_a_502_and_a_clear_line() {
    let (_taken, url) = refused_url();
    let listener = listen(&["--forward-to", &url]);
    let answer = listener.send("POST", "/", b"{}").expect(502);
    assert!(answer.text().starts_with(&format!("{url} does not answer: ")), "{}", answer.text());
    assert!(listener.program.printed("not forwarded").contains(&url));
    listener.send("POST", "/", b"{}").expect(502);
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let listener = listen(&[]);
    let port = listener.address.port().to_string();
    let ended = run_binary(&["listen", "--port", &port]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:#?}");
    assert!(ended.stderr.contains(&port) && ended.stderr.contains("--port"), "{ended:#?}");
    listener.send("POST", "/", b"{}").expect(200);
}

/// `listen` whose output the test itself reads, and the address that it has said.
fn listen_by_hand(flags: &[&str], output: Stdio) -> (Child, impl BufRead + use<>, Client) {
    let words = [&[env!("CARGO_BIN_EXE_data-pusher"), "listen", "--port", "0"], flags].concat();
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let mut child = command(&words).stdout(output).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let client = Client::new(line.trim().rsplit('/').next().unwrap().parse().unwrap(), None);
    (child, said, client)
}

/// The exit code, once it has ended by itself, and all that it has said.
#[track_caller]
fn ended(mut child: Child, mut said: impl BufRead) -> (Option<i32>, String) {
    let status = wait_until("it ends", || child.try_wait().unwrap());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    (status.code(), rest)
}

#[test]
fn it_ends_cleanly_and_by_itself_when_nobody_reads_its_output_any_more() {
    let (mut child, said, client) = listen_by_hand(&[], Stdio::piped());
    client.send("POST", "/", &[], Some(b"{}")).expect(200);
    drop(child.stdout.take());
    let (code, rest) = ended(child, said);
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.ends_with("received 1, answered 1 with 200\n"), "{rest}");
}

#[test]
fn what_the_target_got_has_its_answer_even_if_nobody_reads_the_output_any_more() {
    let (target, gate) = (Receiver::start(), Gate::default());
    target.on("/in", Behaviour::Hold(gate.clone(), Reply::status(207)));
    let (mut child, said, client) = listen_by_hand(&["--forward-to", &target.url("")], Stdio::piped());
    let sending = std::thread::spawn(move || client.send("POST", "/in", &[], Some(b"{}")).status);
    target.wait_for("/in", 1);
    drop(child.stdout.take());
    gate.open();
    assert_eq!(sending.join().unwrap(), 207);
    let (code, rest) = ended(child, said);
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.ends_with("received 1, answered 1 with 207\n"), "{rest}");
    assert_eq!(target.requests().len(), 1);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let target = Receiver::start();
    // What nobody saw comes again, unless the target has it.
    for (flags, status) in [(&[][..], 503), (&["--forward-to", &target.url("")], 200)] {
        let (child, said, client) = listen_by_hand(flags, full());
        client.send("POST", "/", &[], Some(b"{}")).expect(status);
        let (code, rest) = ended(child, said);
        assert_eq!(code, Some(1), "{rest}");
        assert!(rest.contains("error: cannot write to standard output"), "{rest}");
    }
    assert_eq!(target.requests().len(), 1);
}

#[test]
fn its_own_address_is_refused_as_a_target() {
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"] {
        let ended = run_binary(&["listen", "--port", "18931", "--forward-to", &format!("http://{host}:18931/a")]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{host}: {ended:#?}");
        assert!(ended.stderr.contains("this receiver itself") && ended.stderr.contains("--port"), "{ended:#?}");
    }
}

#[test]
fn a_target_that_leads_back_is_answered_508_and_said_once() {
    // The target is a pipe between two sockets, which nobody can see by its address.
    let back: Arc<OnceLock<SocketAddr>> = Arc::default();
    let to = Arc::clone(&back);
    let detour = Played::raw(move |mut near, _| {
        let mut far = std::net::TcpStream::connect(to.get().unwrap()).unwrap();
        let (mut near_reader, mut far_writer) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut near_reader, &mut far_writer));
        let _ = std::io::copy(&mut far, &mut near);
    });
    let mut listener = listen(&["--json", "--forward-to", &format!("http://{detour}/x")]);
    back.set(listener.address).unwrap();
    for _ in 0..3 {
        listener.send("POST", "/", b"{}").expect(508);
    }
    let lines = listener.printed(3);
    assert!(lines.iter().all(|line| line["status"] == 508 && line["path"] == "/"), "{lines:#?}");
    listener.program.signal(libc::SIGINT);
    let ended = listener.program.end();
    assert_eq!(ended.stderr.matches("a request came back").count(), 1, "{ended:#?}");
    assert!(ended.stderr.ends_with("received 3, answered 3 with 508"), "{ended:#?}");
}

#[test]
fn nothing_in_a_request_leads_to_another_host_or_port() {
    let target = Receiver::start();
    // A port that the target's has as its beginning, where there is such a one.
    let elsewhere = Receiver::start();
    let url = target.url("");
    let listener = listen(&["--json", "--forward-to", &url]);
    let (own, other) = (target.port(), elsewhere.port());
    for (line, arrives) in [
        ("POST http://h?2/evil HTTP/1.1".to_owned(), Some("/?2/evil")),
        (format!("POST http://127.0.0.1:{other}/evil HTTP/1.1"), Some("/evil")),
        (format!("POST http://127.0.0.1:{other} HTTP/1.1"), Some("/")),
        ("OPTIONS * HTTP/1.1".to_owned(), Some("/")),
        (format!("POST //127.0.0.1:{other}/ HTTP/1.1"), Some("//127.0.0.1:{other}/")),
        (format!("POST /@127.0.0.1:{other}/ HTTP/1.1"), None),
        (format!("POST @127.0.0.1:{other}/ HTTP/1.1"), None),
        (format!("POST ?@127.0.0.1:{other}/ HTTP/1.1"), None),
        (format!("POST /?@127.0.0.1:{other}/ HTTP/1.1"), None),
        (format!("POST http://a@127.0.0.1:{other}/x HTTP/1.1"), None),
        (format!("POST \\\\127.0.0.1:{other}\\ HTTP/1.1"), None),
        (format!("POST /\\127.0.0.1:{other}\\ HTTP/1.1"), None),
        (format!("POST :{other}/ HTTP/1.1"), None),
        (format!("CONNECT 127.0.0.1:{other} HTTP/1.1"), None),
    ] {
        let seen = target.requests().len();
        let request = format!("{line}\r\nHost: 127.0.0.1:{other}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let mut stream = wire::open(listener.address, request.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
        let came = target.requests_since(seen);
        if let Some(arrives) = arrives {
            let arrives = arrives.replace("{other}", &other.to_string());
            assert_eq!(came.len(), 1, "{line}");
            assert_eq!(came[0].target, arrives, "{line}");
        }
        for request in &came {
            assert_eq!(request.headers.get("host"), Some(&*format!("127.0.0.1:{own}")), "{line}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn what_comes_cannot_control_the_terminal() {
    let target = Receiver::start();
    for flags in [&[][..], &["--json"], &["--forward-to", &target.url("")]] {
        let mut listener = listen(flags);
        let evil = "\u{9b}2J\u{202e}";
        for method in ["POST", "GET"] {
            let body = format!("{{\"{evil}\":\"\u{7f}{evil}\"}}");
            let request = format!(
                "{method} /{evil}?%1b{evil}=%1b%9b%07 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nwebhook-id: {evil}\r\n\
                 webhook-event-type: {evil}\r\nx-a: {evil}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = wire::open(listener.address, request.as_bytes());
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        listener.program.signal(libc::SIGINT);
        let ended = listener.program.end();
        let shown = ended.stdout + &ended.stderr;
        assert!(shown.contains("9b"), "{shown:?}");
        assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
    }
}

#[test]
fn what_is_no_request_gets_an_error_and_the_next_is_received() {
    let listener = listen(&["--json"]);
    for bytes in [&b"nonsense\r\n\r\n"[..], b"POST / HTTP/1.1\r\n\r\n\r\n\x00", b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut stream = wire::open(listener.address, bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let cut = b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{}";
    drop(wire::open(listener.address, cut));
    let mut open = wire::open(listener.address, b"POST /o HTTP/1.1\r\nHost: a\r\n");
    listener.send("POST", "/in", b"{}").expect(200);
    let _ = open.write_all(b"\r\n");
    wait_until("it is received", || listener.program.out.lines().iter().any(|line| line.contains("/in")).then_some(()));
}

#[test]
fn a_bad_flag_is_one_line_without_secrets() {
    for (flags, about) in [
        (&["--status", "100"][..], "200 to 599"),
        (&["--status", "600"], "200 to 599"),
        (&["--fail", "20%"], "0 to 1"),
        (&["--delay", "soon"], "duration"),
        (&["--port", "70000"], "--port"),
        (&["--secret", "whsec_canary"], "signing secret"),
        (&["--forward-to", "127.0.0.1:3000"], "http://"),
        (&["--forward-to", "http://127.0.0.1:3000", "--status", "500"], "--status"),
        (&["--seed", "1"], "--fail"),
        (&["--json", "--full"], "--full"),
    ] {
        let ended = run_binary(&[&["listen", "--port", "0"], flags].concat());
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{flags:?}: {ended:#?}");
        assert!(ended.stderr.contains(about) && !ended.stderr.contains("canary"), "{flags:?}: {ended:#?}");
    }
}
