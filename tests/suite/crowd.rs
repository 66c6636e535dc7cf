//! Slow clients, and many clients: each has a deadline, and nobody else waits for them.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::INCOMING;
use crate::harness::wire::open;
use crate::harness::{Answer, Behaviour, DEADLINE, Receiver, Server, Setup, wait_until, wire};

/// Half of a request's head.
pub const HALF: &[u8] = b"POST /server/incoming_data HTTP/1.1\r\nhost: localhost\r\n";

/// Reads until the server has closed the connection. Returns the bytes.
#[track_caller]
pub fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it is not closed"),
        // A reset is an end too.
        Err(_) => {}
    }
    bytes
}

/// Sends `byte` again and again until the connection is closed.
#[track_caller]
fn drip(stream: &mut TcpStream, byte: u8) {
    let end = Instant::now() + DEADLINE;
    while stream.write_all(&[byte]).is_ok() {
        assert!(Instant::now() < end, "a drip holds the connection");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn push_head(token: &str, length: usize) -> String {
    format!(
        "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

#[track_caller]
pub fn parsed(bytes: &[u8]) -> Answer {
    let (head, body) = bytes.split_at(bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4);
    let (first, headers) = wire::read_head(&mut &head[..]).expect("a head");
    let status = first.split(' ').nth(1).expect("a status").parse().expect("a status");
    Answer { what: first, status, headers, body: body.to_vec() }
}

pub fn resident_mebibytes(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a high-water mark");
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

pub fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().count()
}

#[test]
fn a_head_that_drips_has_no_more_time_than_one_that_does_not_come() {
    let server = Setup::dev().flags(&["--request-timeout", "300ms"]).start();
    drip(&mut open(server.address, HALF), b'x');
}

#[test]
fn the_second_request_of_a_connection_has_the_same_deadline() {
    let server = Setup::dev().flags(&["--request-timeout", "300ms"]).start();
    let mut stream = open(server.address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /hea");
    drip(&mut stream, b'x');
    assert_eq!(parsed(&until_closed(&mut stream)).status, 200);
}

#[test]
fn a_body_that_drips_is_answered_408_and_nothing_of_it_is_taken() {
    let server = Setup::dev().flags(&["--request-timeout", "300ms"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    for start in ["", "{\"a\":"] {
        let mut stream = open(server.address, format!("{}{start}", push_head(&account.token, 1_000)).as_bytes());
        drip(&mut stream, b' ');
        let mut again = open(server.address, format!("{}{start}", push_head(&account.token, 1_000)).as_bytes());
        let answer = parsed(&until_closed(&mut again));
        assert_eq!(answer.problem(408)["code"], "request_timeout");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", account.id)).len(), 0);
}

#[test]
fn a_body_that_comes_slowly_but_steadily_is_taken() {
    let server = Setup::dev().flags(&["--request-timeout", "1s"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let body = format!("\"{}\"", "x".repeat(160_000));
    let mut stream = open(server.address, push_head(&account.token, body.len()).as_bytes());
    // Ten pieces of 16 KiB, 2 s in all. Each piece takes 200 ms and moves the deadline on by 2 s.
    for piece in body.as_bytes().chunks(16 * 1024) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(parsed(&until_closed(&mut stream)).status, 202);
}

#[test]
fn a_long_wait_for_first_attempts_is_not_cut() {
    let server = Setup::dev().flags(&["--request-timeout", "200ms"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    receiver.on("/in", Behaviour::Hang);
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let asked = Instant::now();
    client.push_with(&account.token, &[("prefer", "wait=2")], b"{}").expect(202);
    assert!(asked.elapsed() >= Duration::from_secs(2));
}

#[test]
fn who_does_not_read_its_answer_is_given_up() {
    let server = Setup::dev().flags(&["--request-timeout", "300ms", "--max-body", "60000000"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    // More than the buffers of both kernels hold.
    let event = client.push(&account, format!("\"{}\"", "x".repeat(50_000_000)));
    let path = format!("/v1/events/{}", event["event_id"].as_str().unwrap());
    let mut stream = open(server.address, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
    stream.peek(&mut [0]).expect("the answer begins");
    let meanwhile = open_files(&server);
    wait_until("it is given up", || (open_files(&server) < meanwhile).then_some(()));
    assert!(until_closed(&mut stream).len() < 50_000_000);
}

#[test]
fn where_there_are_too_many_those_that_wait_longest_make_room() {
    let limited = ["sh", "-c", "ulimit -n 300 && exec \"$0\" \"$@\""];
    let flags = ["--request-timeout", "5m", "--workers", "16"];
    let server = Setup::dev().flags(&flags).through(&limited).start();
    let client = server.client();
    let account = client.create_account("ada");
    let receiver = Receiver::start();
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let mut events =
        BufReader::new(open(server.address, b"GET /v1/deliveries/stream HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(events.read_line(&mut line).expect("the stream goes on"), 0, "the stream was cut");
        }
    };
    until("retry:");
    let mut crowd: Vec<TcpStream> = (0..400).map(|_| open(server.address, HALF)).collect();
    client.push(&account, "{}");
    // The stream is older than all of them, but it stays open because it is being served.
    until("succeeded");
    assert!(open_files(&server) < 250, "{}", open_files(&server));
    // 400 connections came and at most 150 may stay: the first is closed, the last is not.
    assert!(until_closed(&mut crowd[0]).is_empty());
    let last = crowd.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    assert_eq!(last.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn nobody_without_a_token_holds_connections_by_bodies_that_do_not_come() {
    let limited = ["sh", "-c", "ulimit -n 700 && exec \"$0\" \"$@\""];
    let server = Setup::dev().flags(&["--request-timeout", "5m", "--workers", "16"]).through(&limited).start();
    let mut crowd: Vec<TcpStream> =
        (0..1_000).map(|_| open(server.address, push_head("nobody", 1_000).as_bytes())).collect();
    server.client().get("/healthz").expect(200);
    for stream in &mut crowd {
        until_closed(stream);
    }
}

#[test]
fn requests_that_are_half_sent_do_not_hold_up_the_end() {
    let mut server = Setup::dev().flags(&["--shutdown-grace", "10m", "--request-timeout", "5m"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let idle = open(server.address, b"");
    let half = open(server.address, HALF);
    let mut kept = open(server.address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // The interim answer says that the body is awaited.
    let head = push_head(&account.token, 100).replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1);
    let mut body = open(server.address, head.as_bytes());
    body.read_exact(&mut [0; "HTTP/1.1 100 Continue\r\n\r\n".len()]).unwrap();
    body.write_all(b"{").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    let second = open(server.address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HT");
    server.terminate();
    let answer = parsed(&until_closed(&mut body));
    assert_eq!(answer.problem(503)["code"], "stopping");
    drop((idle, half, second));
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    let mut server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let gate = crate::harness::Gate::default();
    receiver.on("/in", Behaviour::Hold(gate.clone(), crate::harness::Reply::status(200)));
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let head = push_head(&account.token, 2).replace("\r\n\r\n", "\r\nprefer: wait=30\r\n\r\n{}");
    let mut waiting = open(server.address, head.as_bytes());
    receiver.wait_for("/in", 1);
    server.signal(libc::SIGTERM);
    wait_until("it takes nothing more", || TcpStream::connect(server.address).is_err().then_some(()));
    gate.open();
    // The outcome may or may not be on disk before all waits end.
    let answer = parsed(&until_closed(&mut waiting));
    assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
    assert_eq!(server.wait(), Some(0));
}
