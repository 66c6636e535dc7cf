//! Destinations that misbehave: each attempt ends in time, records why it failed, and delays no other destination.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::NewAccount;
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    server: Server,
}

impl Case {
    /// A server that makes one attempt for each delivery, with this timeout.
    fn new(timeout: &str) -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", "", "--timeout", timeout]).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, receiver: Receiver::start(), server }
    }

    /// A delivery to a destination with this behaviour, after its only attempt.
    fn outcome(&self, behaviour: Behaviour) -> Value {
        self.receiver.on("/in", behaviour);
        self.outcome_at(&self.receiver.url("/in"))
    }

    fn outcome_at(&self, url: &str) -> Value {
        let destination = self.client.create_destination(&self.account, url, "POST", json!({}));
        let delivery = self.client.push_one(&self.account, "{}");
        let ended = self.client.wait_for_attempts(&delivery, 1);
        self.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
        ended
    }

    #[track_caller]
    fn fails(&self, behaviour: Behaviour, error: &str) -> Value {
        let delivery = self.outcome(behaviour);
        assert_eq!((&delivery["state"], &delivery["error"]), (&json!("exhausted"), &json!(error)), "{delivery}");
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
        delivery
    }
}

#[test]
fn an_answer_that_never_comes_or_never_ends_is_a_timeout() {
    let case = Case::new("300ms");
    for behaviour in [Behaviour::Hang, Behaviour::Drip] {
        let delivery = case.fails(behaviour, "timeout");
        let took = delivery["attempts"][0]["duration_ms"].as_u64().unwrap();
        assert!((250..10_000).contains(&took), "{took} ms");
        assert_eq!(delivery["status_code"], Value::Null);
    }
}

#[test]
fn connections_that_break_are_resets() {
    let case = Case::new("20s");
    case.fails(Behaviour::Reset, "reset");
    case.fails(Behaviour::Close, "reset");
    case.fails(Behaviour::Raw(b"HTTP/1.1 20".to_vec()), "reset");
    case.fails(Behaviour::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n".to_vec()), "reset");
    case.receiver.reset_connections(true);
    case.fails(Behaviour::Close, "reset");
}

#[test]
fn what_is_not_http_is_an_invalid_response() {
    let case = Case::new("20s");
    for bytes in [
        b"hello world, this is no HTTP\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 not for you\r\n\r\n".to_vec(),
        b"HTTP/1.1 abc OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nbad header line\r\n\r\n".to_vec(),
    ] {
        case.fails(Behaviour::Raw(bytes), "invalid_response");
    }
}

#[test]
fn heads_over_the_limits_are_an_invalid_response() {
    let case = Case::new("20s");
    case.fails(Behaviour::Answer(Reply::status(200).header("x-long", &"x".repeat(100_000))), "invalid_response");
    let many = (0..1_000).fold(Reply::status(200), |reply, number| reply.header(&format!("x-{number}"), "1"));
    case.fails(Behaviour::Answer(many), "invalid_response");
}

#[test]
fn heads_up_to_the_limits_are_taken() {
    let case = Case::new("20s");
    for length in [6_000, 20_000, 60_000] {
        let delivery = case.outcome(Behaviour::Answer(Reply::status(200).header("x-long", &"x".repeat(length))));
        assert_eq!(delivery["state"], "succeeded", "{length}: {delivery}");
    }
    let many = (0..100).fold(Reply::status(200), |reply, number| reply.header(&format!("x-{number}"), "1"));
    assert_eq!(case.outcome(Behaviour::Answer(many))["state"], "succeeded");
}

#[test]
fn nobody_listening_is_a_connect_error() {
    let case = Case::new("20s");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let delivery = case.outcome_at(&format!("http://{free}/"));
    assert_eq!((&delivery["state"], &delivery["error"]), (&json!("exhausted"), &json!("connect")));
}

#[test]
fn a_peer_that_speaks_no_tls_is_a_tls_error() {
    let case = Case::new("20s");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    let delivery = case.outcome_at(&format!("https://{address}/"));
    assert_eq!((&delivery["state"], &delivery["error"]), (&json!("exhausted"), &json!("tls")), "{delivery}");
}

#[test]
fn an_endless_body_is_read_no_further_than_needed() {
    let case = Case::new("5s");
    for _ in 0..5 {
        let delivery = case.outcome(Behaviour::Endless);
        assert_eq!((&delivery["state"], &delivery["status_code"]), (&json!("succeeded"), &json!(200)), "{delivery}");
        let logged = delivery["attempts"][0]["response_body"].as_str().unwrap();
        assert!((1..=16 * 1024).contains(&logged.len()), "{} bytes of the answer are logged", logged.len());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", case.server.process_id())).unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(resident.is_none_or(|kib| kib < 200 * 1024), "{resident:?} KiB resident");
}

#[test]
fn the_first_16_kib_of_an_answer_are_logged_whatever_they_are() {
    let case = Case::new("20s");
    let body =
        |behaviour| case.outcome(behaviour)["attempts"][0]["response_body"].as_str().unwrap_or_default().to_owned();
    assert_eq!(body(Behaviour::Answer(Reply::status(500).body("caf\u{e9} \"x\"\n"))), "caf\u{e9} \"x\"\n");
    assert_eq!(body(Behaviour::Answer(Reply::status(500).body("x".repeat(100_000)))).len(), 16 * 1024);
    assert!(!body(Behaviour::Answer(Reply::status(200).body([0, 159, 146, 150]))).is_empty());
    assert_eq!(body(Behaviour::status(204)), "");
}

#[test]
fn a_gzip_answer_is_taken_as_it_is() {
    let case = Case::new("20s");
    // The begin of a gzip stream. The rest is broken, so an attempt to unpack it would fail.
    let gzip = Reply::status(200).header("content-encoding", "gzip").body(b"\x1f\x8b\x08\0broken".as_slice());
    assert_eq!(case.outcome(Behaviour::Answer(gzip))["state"], "succeeded");
}

#[test]
fn a_cookie_that_is_set_is_not_sent_back() {
    let case = Case::new("20s");
    case.outcome(Behaviour::Answer(Reply::status(200).header("set-cookie", "a=b; Path=/")));
    case.outcome(Behaviour::status(200));
    assert_eq!(case.receiver.wait_for("/in", 2)[1].headers.get("cookie"), None);
}

#[test]
fn destinations_that_hang_do_not_hold_up_another() {
    // Longer than any deadline here, so that attempts that hang do so until the end of the test.
    let case = Case::new("5m");
    let hanging = case.client.create_account("hanging");
    for number in 0..60 {
        let path = format!("/hang/{number}");
        case.receiver.on(&path, Behaviour::Hang);
        case.client.create_destination(&hanging, &case.receiver.url(&path), "POST", json!({}));
    }
    case.client.create_destination(&case.account, &case.receiver.url("/good"), "POST", json!({}));
    for _ in 0..5 {
        case.client.push(&hanging, "{}");
    }
    case.receiver.wait_for("/hang/59", 1);
    for _ in 0..30 {
        case.client.push_with(&case.account.token, &[("prefer", "wait=20")], b"{}").expect(200);
    }
    assert_eq!(case.receiver.requests_to("/good").len(), 30);
}

#[test]
fn a_destination_of_the_same_account_that_hangs_holds_up_no_sibling() {
    let case = Case::new("5m");
    case.receiver.on("/hang", Behaviour::Hang);
    case.client.create_destination(&case.account, &case.receiver.url("/hang"), "POST", json!({}));
    case.client.create_destination(&case.account, &case.receiver.url("/good"), "POST", json!({}));
    for _ in 0..100 {
        case.client.push(&case.account, "{}");
    }
    case.receiver.wait_for("/good", 100);
    case.client.get("/readyz").expect(200);
}

#[test]
fn one_that_answers_does_not_wait_behind_many_that_begin_to_hang_at_once() {
    // Enough destinations that a worker is given runs of several, and a timeout longer than this test.
    let case = Case::new("5m");
    let paths: Vec<String> = (0..40).map(|number| format!("/{number}")).collect();
    for path in &paths {
        case.client.create_destination(&case.account, &case.receiver.url(path), "POST", json!({}));
    }
    for known in 1..=3 {
        case.client.push(&case.account, "1");
        paths.iter().for_each(|path| drop(case.receiver.wait_for(path, known)));
    }
    let gate = Gate::default();
    let (answer, hang): (Vec<_>, Vec<_>) = paths.iter().enumerate().partition(|(number, _)| number % 13 == 12);
    for (_, path) in &hang {
        case.receiver.on(path, Behaviour::Hold(gate.clone(), Reply::status(200)));
    }
    case.client.push(&case.account, "2");
    answer.iter().for_each(|(_, path)| drop(case.receiver.wait_for(path, 4)));
    gate.open();
    hang.iter().for_each(|(_, path)| drop(case.receiver.wait_for(path, 4)));
    let again = paths.iter().find(|path| case.receiver.requests_to(path).len() > 4);
    assert_eq!(again, None, "what was taken back is sent once");
}

#[test]
fn one_that_recovers_gets_everything_that_waited() {
    let server = Setup::dev()
        .flags(&["--retry-schedule", "100ms,100ms,200ms,200ms,400ms,800ms,1s,1s,2s,2s", "--timeout", "5s"])
        .start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    receiver.on("/in", Behaviour::status(500));
    let deliveries: Vec<String> = (0..30).map(|number| client.push_one(&account, number.to_string())).collect();
    receiver.wait_for("/in", 3);
    receiver.on("/in", Behaviour::status(200));
    for delivery in deliveries {
        client.wait_for_state(&delivery, "succeeded");
    }
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let receiver = Receiver::start();
    let mut setup = Setup::dev();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        setup = setup.variable(name, &receiver.url("/proxy"));
    }
    let server = setup.start();
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    client.push(&account, "{}");
    // A proxy would get the whole URL instead of the path.
    assert_eq!(receiver.wait_for("/in", 1)[0].target, "/in");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn the_timeout_bounds_the_whole_attempt() {
    // One byte every 20 ms: a timeout for each read would never pass.
    let case = Case::new("1s");
    let started = std::time::Instant::now();
    case.fails(Behaviour::Drip, "timeout");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
