//! HTTP that is unusual or hostile. What cannot be read is refused with a problem, and never read in two ways.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::client::{INCOMING, NewAccount};
use crate::harness::{Client, DEADLINE, Server, Setup, wire};

struct Case {
    client: Client,
    account: NewAccount,
    server: Server,
}

impl Case {
    fn new() -> Self {
        let server = Setup::dev().start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, server }
    }

    /// A push with these lines in its head, besides its token and content type.
    fn push(&self, lines: &str, body: &str) -> Vec<u8> {
        let token = &self.account.token;
        format!(
            "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: application/json\r\n\
             {lines}\r\n{body}"
        )
        .into_bytes()
    }

    /// Sends `bytes` on one connection, then ends the sending side. Returns all answers.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.server.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        // A reset ends the answers too.
        let _ = stream.read_to_end(&mut answers);
        String::from_utf8_lossy(&answers).into_owned()
    }

    fn events(&self) -> usize {
        self.client.all(&format!("/v1/accounts/{}/events", self.account.id)).len()
    }
}

#[test]
fn a_head_that_cannot_be_read_is_a_problem() {
    let case = Case::new();
    for head in [
        "GET\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "G\u{e4}T /healthz HTTP/1.1\r\n\r\n",
        "GET /health z HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nbad header\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nbad name: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nname : x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nname: a\0b\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nfolded: a\r\n b: c\r\n\r\n",
        "GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
    ] {
        let answer = wire::send(case.server.address, head.as_bytes()).unwrap_or_else(|| panic!("{head:?}: no answer"));
        assert_eq!(answer.problem(400)["code"], "malformed_request", "{head:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("date").is_some());
    }
}

#[test]
fn a_head_that_is_too_long_is_431_and_the_answer_can_be_read_by_who_sends_all_first() {
    let case = Case::new();
    let token = "x".repeat(1_000_000);
    for head in [
        format!("POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\n\r\n"),
        format!("POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {}\r\n\r\n", "\u{e4}".repeat(500_000)),
        format!("GET /v1/accounts HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(50_000)),
    ] {
        let asked = Instant::now();
        let answer = wire::send_whole(case.server.address, head.as_bytes()).expect("an answer");
        assert_eq!(answer.problem(431)["code"], "head_too_long");
        assert!(asked.elapsed() < Duration::from_secs(10), "it is answered at once: {:?}", asked.elapsed());
    }
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200));
    wire::send_whole(case.server.address, many.as_bytes()).expect("an answer").problem(431);
    let url = format!("GET /healthz?{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(65_000 - 1_000));
    assert_eq!(wire::send_whole(case.server.address, url.as_bytes()).expect("an answer").status, 200);
    case.client.get("/healthz").expect(200);
}

#[test]
fn strange_tokens_are_401_at_once() {
    let case = Case::new();
    let token = &case.account.token;
    for lines in [
        "cl-xtoken: \u{e4}\u{f6}\u{1f600}\r\n".to_owned(),
        format!("cl-xtoken: {token}\u{e4}\r\n"),
        "cl-xtoken: \t \r\n".to_owned(),
        format!("cl-xtoken: {}\r\n", "x".repeat(50_000)),
        format!("cl-xtoken: {token}\r\ncl-xtoken: other\r\n"),
        format!("cl-xtoken: {token}\r\ncl-x-token: other\r\n"),
        format!("cl-xtoken: {token},{token}\r\n"),
        format!("cl_xtoken: {token}\r\n"),
    ] {
        let head = format!("POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n{lines}\r\n");
        let answer = wire::send(case.server.address, head.as_bytes()).expect("an answer");
        assert_eq!(answer.problem(401)["title"], "Un Authenticate", "{lines}");
    }
    assert_eq!(case.events(), 0);
}

#[test]
fn what_two_readers_could_end_in_two_places_is_not_answered_twice() {
    let case = Case::new();
    let smuggled = String::from_utf8(case.push("content-length: 2\r\n", "{}")).unwrap();
    for lines in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: identity\r\ncontent-length: 5\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding:\x0bchunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 0\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: 5 5\r\n",
    ] {
        // Read as chunked, the document ends after `0`. Read by its length, the rest is another request.
        let before = case.events();
        let answers = case.exchange(&case.push(lines, &format!("0\r\n\r\n{smuggled}")));
        assert!(case.events() <= before, "{lines:?} smuggled: {answers}");
        let heads = answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
        assert!(heads <= 1, "{lines:?}: {answers}");
        assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 4"), "{lines:?}: {answers}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let case = Case::new();
    let push = case.push("content-length: 2\r\n", "{}");
    let get = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let all = [push.as_slice(), get, push.as_slice(), b"NONSENSE\r\n\r\n", get].concat();
    let answers = case.exchange(&all);
    let statuses: Vec<&str> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["202", "200", "202", "400"], "{answers}");
    assert_eq!(case.events(), 2);
}

#[test]
fn http_1_0_is_served_and_its_connection_closed() {
    let case = Case::new();
    let answer = case.exchange(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let push = String::from_utf8(case.push("content-length: 2\r\n", "{}")).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    assert!(case.exchange(push.as_bytes()).contains(" 202 "));
    // HTTP/1.0 has no chunked bodies.
    let chunked = String::from_utf8(case.push("transfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")).unwrap();
    let answer = case.exchange(chunked.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    assert!(answer.is_empty() || answer.contains(" 400 "), "{answer}");
    assert_eq!(case.events(), 1);
}

#[test]
fn who_asks_before_sending_a_body_that_is_refused_is_told_at_once() {
    let case = Case::new();
    let ask = |lines: &str| wire::send(case.server.address, &case.push(lines, "")).expect("an answer").status;
    assert_eq!(ask("expect: 100-continue\r\ncontent-length: 2\r\n"), 100);
    assert_eq!(ask("expect: 100-continue\r\ncontent-length: 99999999\r\n"), 413);
    assert_eq!(ask("expect: 100-continue\r\ncontent-length: 2\r\ncl-xtoken: other\r\n"), 401);
    assert_eq!(ask("expect: 100-continue\r\ncontent-length: 2\r\ncontent-encoding: gzip\r\n"), 415);
}
