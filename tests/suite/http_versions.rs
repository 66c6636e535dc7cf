//! Which versions of HTTP are served, and how a request names its host: HTTP/1, with one `Host`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::harness::client::{INCOMING, NewAccount};
use crate::harness::{Answer, Client, DEADLINE, Server, Setup, wire};

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

    /// A push with these lines before its token.
    fn push(&self, version: &str, lines: &str) -> String {
        let token = &self.account.token;
        format!(
            "POST {INCOMING} {version}\r\n{lines}cl-xtoken: {token}\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n{{}}"
        )
    }

    fn send(&self, bytes: &str) -> Answer {
        wire::send(self.server.address, bytes.as_bytes()).unwrap_or_else(|| panic!("no answer: {bytes}"))
    }

    /// Sends `pieces` one after the other, then ends the sending side. Returns all answers.
    fn exchange(&self, pieces: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(self.server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        for piece in pieces {
            // The server may have closed the connection already.
            let _ = stream.write_all(piece);
        }
        let _ = stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        // A reset ends the answers too.
        let _ = stream.read_to_end(&mut answers);
        String::from_utf8_lossy(&answers).into_owned()
    }

    /// A push as a client of HTTP/2 sends it: the preface, settings, a head and a body.
    fn push_over_http_2(&self) -> Vec<u8> {
        let literal = |bytes: &mut Vec<u8>, text: &str| {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        };
        // HPACK (RFC 7541): `POST` and `http` by their index in the static table, the rest as literals.
        let mut head = vec![0x83, 0x86];
        for (place, value) in [(0x04, INCOMING), (0x01, "localhost")] {
            head.push(place);
            literal(&mut head, value);
        }
        for (name, value) in [("cl-xtoken", self.account.token.as_str()), ("content-type", "application/json")] {
            head.push(0);
            literal(&mut head, name);
            literal(&mut head, value);
        }
        let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
            let length = u8::try_from(payload.len()).unwrap();
            [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
        };
        let (settings, head, body) = (frame(4, 0, 0, b""), frame(1, 4, 1, &head), frame(0, 1, 1, b"{}"));
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings, &head, &body].concat()
    }

    fn events(&self) -> usize {
        self.client.all(&format!("/v1/accounts/{}/events", self.account.id)).len()
    }
}

#[track_caller]
fn is_malformed(answers: &str) {
    let (head, body) = answers.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answers:?}"));
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("connection: close"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"malformed_request".into()));
}

#[test]
fn http_2_by_prior_knowledge_is_refused_and_nothing_is_taken() {
    let case = Case::new();
    let push = case.push_over_http_2();
    is_malformed(&case.exchange(&[&push]));
    is_malformed(&case.exchange(&push.chunks(1).collect::<Vec<_>>()));
    is_malformed(&case.exchange(&push.chunks(7).collect::<Vec<_>>()));
    // Like most clients, this one waits for the answer.
    let stream = wire::open(case.server.address, &push);
    let mut begun = [0; 12];
    (&stream).read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 400");
    assert_eq!(case.events(), 0);
}

#[test]
fn http_2_on_a_connection_that_began_otherwise_is_no_request_either() {
    let case = Case::new();
    let (push, http_2) = (case.push("HTTP/1.1", "host: localhost\r\n"), case.push_over_http_2());
    let answers = case.exchange(&[push.as_bytes(), &http_2]);
    assert_eq!(answers.matches("HTTP/1.1 2").count(), 1, "{answers}");
    let answers = case.exchange(&[b"\r\n", &http_2]);
    assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 400 "), "{answers}");
    assert_eq!(case.events(), 1);
}

#[test]
fn an_offer_of_http_2_is_ignored() {
    let case = Case::new();
    let offer = "host: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let answer = case.send(&case.push("HTTP/1.1", offer)).expect(202);
    assert!(answer.what.starts_with("HTTP/1.1 ") && answer.header("upgrade").is_none(), "{answer:?}");
    case.send(&format!("GET /healthz HTTP/1.1\r\n{offer}\r\n")).expect(200);
    assert_eq!(case.events(), 1);
}

#[test]
fn a_request_of_http_1_1_has_one_host_wherever_it_goes() {
    let case = Case::new();
    for lines in [
        "",
        "host: localhost\r\nhost: localhost\r\n",
        "host: localhost\r\nhost: other\r\n",
        "host: ada@localhost\r\n",
        "host: local host\r\n",
        "host: localhost/\r\n",
        "host: localhost:http\r\n",
        "host: [::1\r\n",
        "host: b\u{fc}cher.example\r\n",
    ] {
        let answer = case.send(&case.push("HTTP/1.1", lines));
        let problem = answer.problem(400);
        assert_eq!((&problem["code"], &problem["title"]), (&"invalid_host".into(), &"Invalid Data".into()), "{lines}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("x-content-type-options").is_some());
        for request in [
            "GET /healthz",
            "GET /v1/accounts",
            "POST /v1/accounts",
            "GET /docs",
            "GET /nowhere",
            "OPTIONS /v1/accounts",
            "BREW /readyz",
            "GET http://localhost/healthz",
        ] {
            let problem = case.send(&format!("{request} HTTP/1.1\r\n{lines}\r\n")).problem(400);
            assert_eq!((&problem["code"], &problem["title"]), (&"invalid_host".into(), &"Bad Request".into()));
        }
    }
    assert_eq!(case.events(), 0);
}

#[test]
fn nothing_behind_a_request_without_a_good_host_is_read_as_one() {
    let case = Case::new();
    let (bad, good) = (case.push("HTTP/1.1", ""), case.push("HTTP/1.1", "host: localhost\r\n"));
    let answers = case.exchange(&[bad.as_bytes(), good.as_bytes()]);
    assert_eq!(answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count(), 1, "{answers}");
    assert_eq!(case.events(), 0);
}

#[test]
fn http_1_0_may_lack_a_host_but_not_have_two() {
    let case = Case::new();
    case.send(&case.push("HTTP/1.0", "")).expect(202);
    case.send(&case.push("HTTP/1.0", "host: localhost\r\n")).expect(202);
    let two = case.send(&case.push("HTTP/1.0", "host: localhost\r\nhost: localhost\r\n"));
    assert_eq!(two.problem(400)["code"], "invalid_host");
    assert_eq!(case.events(), 2);
}

#[test]
fn a_host_that_names_nobody_is_fine_for_data() {
    let case = Case::new();
    for host in ["", "push.example.com", "push.example.com:443", "[2001:db8::1]:80", "192.0.2.1", "a_b"] {
        case.send(&case.push("HTTP/1.1", &format!("host: {host}\r\n"))).expect(202);
    }
}
