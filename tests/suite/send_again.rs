//! A run of `data-pusher send` that broke off is made again: everything is taken, and nothing twice.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::client::NewAccount;
use crate::harness::server::{Ended, run_binary};
use crate::harness::{Client, Program, Setup, wait_until, wire};

/// Lines of a file. Some of them are identical.
const LINES: usize = 1_500;

fn line(number: usize) -> String {
    if number.is_multiple_of(10) { "{\"same\":true}".to_owned() } else { format!("{{\"n\":{number}}}") }
}

fn content() -> String {
    (1..=LINES).map(|number| line(number) + "\n").collect()
}

/// How often each document is in the account's events.
fn stored(client: &Client, account: &NewAccount) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for event in client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)) {
        let event = client.get(&format!("/v1/events/{}", event["event_id"].as_str().unwrap())).expect(200).json();
        *found.entry(event["payload"].to_string()).or_default() += 1;
    }
    found
}

fn expected() -> BTreeMap<String, usize> {
    let mut expected = BTreeMap::new();
    (1..=LINES).for_each(|number| *expected.entry(line(number)).or_default() += 1);
    expected
}

/// Stands between `send` and the server. It passes on `whole` requests with their answers. Then it passes on `unanswered`
/// requests, whose answers it keeps, and holds everything that comes later.
struct Proxy {
    address: SocketAddr,
    passed: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(server: SocketAddr, whole: usize, unanswered: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, passed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&passed);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (begun, passed) = (Arc::clone(&begun), Arc::clone(&counted));
                std::thread::spawn(move || pass(&stream, server, whole, unanswered, &begun, &passed));
            }
        });
        Self { address, passed }
    }
}

fn pass(
    stream: &TcpStream,
    server: SocketAddr,
    whole: usize,
    unanswered: usize,
    begun: &AtomicUsize,
    passed: &AtomicUsize,
) {
    let mut reader = BufReader::new(stream);
    while let Some((first, fields)) = wire::read_head(&mut reader) {
        let Some(body) = wire::read_body(&mut reader, &fields) else { return };
        let number = begun.fetch_add(1, Ordering::SeqCst);
        if number >= whole + unanswered {
            // Until the sender is killed.
            let _ = reader.read(&mut [0]);
            return;
        }
        let lines: String = fields.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = [format!("{first}\r\n{lines}\r\n").as_bytes(), &body].concat();
        let answer = wire::send(server, &request).unwrap();
        if number < whole {
            let length = answer.body.len();
            let head = format!("HTTP/1.1 {} X\r\ncontent-length: {length}\r\n\r\n", answer.status);
            let _ = (&mut &*stream).write_all(&[head.as_bytes(), &answer.body].concat());
        }
        passed.fetch_add(1, Ordering::SeqCst);
    }
}

#[track_caller]
fn assert_summary(ended: &Ended, taken: usize, repeated: usize) {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.starts_with(&format!("{taken} taken, {repeated} repeated, 0 refused in ")), "{ended:#?}");
}

#[test]
fn a_run_that_was_killed_halfway_is_made_again_and_each_line_is_stored_once() {
    let server = Setup::dev().start();
    let client = server.client();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ndjson");
    std::fs::write(&path, content()).unwrap();
    let path = path.to_str().unwrap();
    let url = format!("http://{}", server.address);
    for (concurrency, whole, unanswered) in [("16", 600, 8), ("1", 300, 1), ("16", 0, 16)] {
        let account = client.create_account(&format!("ada{concurrency}{whole}"));
        let token = ["--token", &account.token];
        let proxy = Proxy::start(server.address, whole, unanswered);
        let through = format!("http://{}", proxy.address);
        let flags = [&["send", "--url", &through, "--concurrency", concurrency, path], &token[..]].concat();
        let mut program = Program::start(&flags, &[]);
        wait_until("half of it is sent", || (proxy.passed.load(Ordering::SeqCst) == whole + unanswered).then_some(()));
        program.kill();
        let halfway = client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len();
        assert_eq!(halfway, whole + unanswered);

        let again = [&["send", "--url", &url, path], &token[..]].concat();
        assert_summary(&run_binary(&again), LINES - halfway, halfway);
        assert!(stored(&client, &account) == expected());
        // Once more, everything is known.
        assert_summary(&run_binary(&again), 0, LINES);
        assert_eq!(client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len(), LINES);
    }
}

#[test]
fn the_same_holds_for_standard_input_and_kills_at_any_moment() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let url = format!("http://{}", server.address);
    let flags = ["send", "--ndjson", "--url", &url, "--token", &account.token];
    let events = || client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len();
    for most in [1, 400, 900] {
        let mut program = Program::start(&flags, &[]);
        // The input stays open, so the run does not end by itself.
        program.write(&content());
        wait_until("some of it is taken", || (events() >= most).then_some(()));
        program.kill();
    }
    let mut program = Program::start(&flags, &[]);
    program.write(&content());
    let ended = program.end();
    // The server may have been about to store what the last kill interrupted, so only the sum is known.
    let counts: Vec<usize> = ended.stderr.split(' ').filter_map(|word| word.parse().ok()).take(3).collect();
    assert_eq!((ended.code, counts[0] + counts[1], counts[2]), (Some(0), LINES, 0), "{ended:#?}");
    assert!(counts[1] >= 900, "{ended:#?}");
    assert!(stored(&client, &account) == expected());
}

#[test]
fn what_is_sent_again_on_purpose_is_taken_again_and_other_files_are_others() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let path = path.to_str().unwrap();
    let url = format!("http://{}", server.address);
    let run = |content: &str, more: &[&str]| {
        std::fs::write(path, content).unwrap();
        run_binary(&[&["send", "--url", &url, "--token", &account.token, path], more].concat())
    };
    assert_summary(&run("1\n2\n", &[]), 2, 0);
    assert_summary(&run("1\n2\n", &[]), 0, 2);
    assert!(run("1\n2\n", &[]).stderr.contains("--again"));
    assert_summary(&run("1\n2\n", &["--again"]), 2, 0);
    assert_summary(&run("1\n2\n", &["--event-type", "t"]), 2, 0);
    assert_summary(&run("1\n3\n", &[]), 2, 0);
    assert_summary(&run("1\n2\n", &["--key", "monday"]), 2, 0);
    assert_summary(&run("1\n3\n4\n", &["--key", "monday"]), 2, 1);
    assert_summary(&run("1\n2\n", &["--key", "tuesday"]), 2, 0);
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", account.id)).len(), 14);
}
