//! `data-pusher send`: what it sends, in which order, what it waits for, what it says, and how it ends. That a run can
//! be made again is in `send_again`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{INCOMING, text};
use crate::harness::program::refused_url;
use crate::harness::server::{Ended, run_binary};
use crate::harness::tls::Authority;
use crate::harness::{Behaviour, Gate, Program, Receiver, Reply, Setup, wait_until};

/// The answer of a server that takes a document.
fn taken() -> Reply {
    let receipt = json!({"event_id": "evt_1", "duplicate": false, "deliveries": [], "skipped": []});
    Reply::status(202).body(receipt.to_string())
}

/// A server that is played: it takes everything.
fn played() -> Receiver {
    let receiver = Receiver::start();
    receiver.on(INCOMING, Behaviour::Answer(taken()));
    receiver
}

/// Writes lines to a file of the test's folder.
fn file(folder: &Path, name: &str, lines: &[String]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.display().to_string()
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{{\"n\":{number}}}")).collect()
}

#[track_caller]
fn send(url: &str, flags: &[&str]) -> Ended {
    run_binary(&[&["send", "--url", url, "--token", "cl_canary"], flags].concat())
}

fn bodies(receiver: &Receiver) -> Vec<String> {
    let requests = receiver.requests_to(INCOMING);
    requests.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
}

#[test]
fn one_document_is_sent_byte_for_byte_and_its_event_is_printed() {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let folder = tempfile::tempdir().unwrap();
    let document = "{\n  \"total\": 19.90,\n  \"total\": 1e2\n}\n";
    let path = folder.path().join("order.json");
    std::fs::write(&path, document).unwrap();
    let url = format!("http://{}/", server.address);
    let flags =
        ["send", "--url", &url, "--token", &account.token, "--event-type", "order.paid", path.to_str().unwrap()];
    let ended = run_binary(&flags);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.starts_with("1 taken, 0 repeated, 0 refused in "), "{ended:#?}");
    let event = client.get(&format!("/v1/events/{}", ended.stdout)).expect(200).json();
    assert_eq!(event["event_type"], "order.paid");
    assert_eq!(receiver.wait_for("/in", 1)[0].body, document.as_bytes());
}

#[test]
fn the_order_of_lines_is_kept_with_one_request_at_a_time_whatever_happens() {
    let receiver = Receiver::start();
    let busy = || Behaviour::Answer(Reply::status(503).header("retry-after", "0"));
    let mut answers = Vec::new();
    for number in 0..150 {
        answers.extend((number % 7 == 0).then(busy));
        answers.extend((number % 11 == 0).then_some(Behaviour::Close));
        answers.extend((number % 50 == 0).then(|| Behaviour::Answer(Reply::status(400))));
        answers.push(Behaviour::Answer(taken()));
    }
    receiver.script(INCOMING, answers);
    let folder = tempfile::tempdir().unwrap();
    let lines = numbered(150);
    let ended = send(&receiver.url(""), &["--concurrency", "1", &file(folder.path(), "a.ndjson", &lines)]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let mut came = bodies(&receiver);
    came.dedup();
    assert_eq!(came, lines);
    assert_eq!(receiver.most_at_once(INCOMING), 1);
}

#[test]
fn as_many_requests_as_asked_for_are_made_at_once_and_no_more() {
    let (receiver, gate) = (Receiver::start(), Gate::default());
    receiver.on(INCOMING, Behaviour::Hold(gate.clone(), taken()));
    let folder = tempfile::tempdir().unwrap();
    let (lines, url) = (numbered(200), receiver.url(""));
    let path = file(folder.path(), "a.jsonl", &lines);
    let mut program = Program::start(&["send", "--url", &url, "--token", "cl_canary", &path], &[]);
    receiver.wait_for(INCOMING, 16);
    gate.open();
    let ended = program.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
    let mut came = bodies(&receiver);
    came.sort_by_key(|line| (line.len(), line.clone()));
    assert_eq!(came, lines);
    assert_eq!(receiver.most_at_once(INCOMING), 16);
    // Connections are used again.
    assert!(receiver.connections() <= 16, "{}", receiver.connections());
}

#[test]
fn a_429_a_503_and_no_answer_are_waited_for_and_sent_again_under_the_same_key() {
    let receiver = Receiver::start();
    let busy = |status, seconds| Behaviour::Answer(Reply::status(status).header("retry-after", seconds));
    let unready = Behaviour::Answer(Reply::status(502));
    let script =
        vec![busy(429, "1"), Behaviour::Close, busy(503, "0"), Behaviour::Reset, unready, Behaviour::Answer(taken())];
    receiver.script(INCOMING, script);
    let folder = tempfile::tempdir().unwrap();
    let ended = send(&receiver.url(""), &["--json", &file(folder.path(), "a.ndjson", &numbered(1))]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let requests = receiver.requests_to(INCOMING);
    assert_eq!(requests.len(), 6);
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
    let keys: Vec<_> = requests.iter().map(|request| request.headers.get("idempotency-key").unwrap()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert!(said[0].starts_with("waiting 1s: the server answers 429") && said[1].starts_with("going on"), "{ended:#?}");
    assert_eq!(said.len(), 3, "{ended:#?}");
    let line: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&line["line"], &line["event_id"], &line["status"]), (&json!(1), &json!("evt_1"), &json!(202)));
}

#[test]
fn a_run_goes_on_when_the_server_was_restarted() {
    let mut server = Setup::dev().start();
    let (account, address) = (server.client().create_account("ada"), server.address.to_string());
    let url = format!("http://{address}");
    let mut program = Program::start(&["send", "--ndjson", "--url", &url, "--token", &account.token, "--json"], &[]);
    program.write("1\n");
    program.printed("\"line\":1,");
    server.terminate();
    program.write("2\n");
    program.said("waiting: ");
    let setup = server.setup().clone().flags(&["--listen", &address]);
    server.start_again_as(&setup);
    program.printed("\"line\":2,");
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(server.client().all(&format!("/v1/accounts/{}/events", account.id)).len(), 2);
}

#[test]
fn a_server_that_never_answers_ends_the_run_after_the_time_that_was_given() {
    let (_taken, url) = refused_url();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(100));
    let ended = send(&url, &["--give-up-after", "300ms", &path]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.starts_with("waiting: the server at 127.0.0.1:"), "{ended:#?}");
    assert!(ended.stderr.contains("the rest was not sent"), "{ended:#?}");
    assert!(ended.stderr.lines().last().unwrap().starts_with("error: the server at "), "{ended:#?}");
}

#[test]
fn a_wait_of_no_length_or_of_a_time_that_is_over_does_not_become_a_loop_without_pauses() {
    for wait in ["0", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let receiver = Receiver::start();
        receiver.on(INCOMING, Behaviour::Answer(Reply::status(503).header("retry-after", wait)));
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "a.ndjson", &numbered(100));
        let ended = send(&receiver.url(""), &["--concurrency", "1", "--give-up-after", "2s", &path]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        // After 0, 0.1, 0.3, 0.7 and 1.5 seconds, and when the time is over.
        assert!(receiver.requests().len() <= 6, "{wait}: {}", receiver.requests().len());
    }
}

#[test]
fn a_wait_beyond_the_time_to_give_up_ends_the_run_with_a_summary_and_the_length_of_the_wait() {
    let receiver = Receiver::start();
    let busy = Behaviour::Answer(Reply::status(503).header("retry-after", "3600"));
    receiver.script(INCOMING, vec![Behaviour::Answer(taken()), busy]);
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(100));
    let began = Instant::now();
    let ended = send(&receiver.url(""), &["--concurrency", "1", "--give-up-after", "10m", &path]);
    assert!(began.elapsed() < Duration::from_secs(600));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        said[0].starts_with("1 taken, 0 repeated, 0 refused in ") && said[0].ends_with("; the rest was not sent"),
        "{ended:#?}"
    );
    assert!(
        said[2].starts_with("error: the server answers 503; it asks to wait 1h, and --give-up-after"),
        "{ended:#?}"
    );
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn a_server_that_hangs_ends_the_run_in_time() {
    let receiver = Receiver::start();
    receiver.on(INCOMING, Behaviour::Hang);
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(100));
    let ended = send(&receiver.url(""), &["--concurrency", "1", "--give-up-after", "1s", &path]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("does not answer") && ended.stderr.contains("0 taken"), "{ended:#?}");
    // The time counts from the beginning of the request that has no answer.
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn what_a_server_says_cannot_control_the_terminal() {
    let evil = "\u{1b}]0;pwned\u{7}\u{9b}2J\u{202e}";
    let problem = Reply::status(400).body(json!({"code": evil, "detail": evil}).to_string());
    let delivery = json!({"destination_id": evil, "state": evil, "error": evil, "next_attempt_at": evil});
    let receipt = json!({"event_id": evil, "duplicate": false, "deliveries": [delivery], "skipped": [delivery]});
    let receipt = Reply::status(202).body(receipt.to_string());
    let broken = Reply::status(500).body(json!({"code": evil, "detail": evil}).to_string());
    let stranger = Reply::status(401).body(json!({"code": evil, "detail": evil}).to_string());
    let moved = Reply::status(308).header("location", "https://h/\u{9b}2J");
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(1));
    for reply in [problem, receipt, broken, stranger, moved] {
        let receiver = Receiver::start();
        receiver.on(INCOMING, Behaviour::Answer(reply));
        for flags in [&["--wait=1"][..], &["--json"]] {
            let ended = send(&receiver.url(""), &[flags, &[&*path]].concat());
            let shown = ended.stdout + &ended.stderr;
            let is_evil = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!shown.contains(is_evil), "{shown:?}");
        }
    }
}

#[test]
fn refused_lines_are_named_and_the_others_are_taken() {
    let server = Setup::dev().flags(&["--max-body", "1000"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let folder = tempfile::tempdir().unwrap();
    let long = format!("\"{}\"", "x".repeat(2_000));
    let lines = ["{\"n\":1}", "{\"n\":", "", "  ", &long, "{\"n\":6}\r"].map(str::to_owned);
    let path = file(folder.path(), "a.ndjson", &lines);
    let url = format!("http://{}", server.address);
    let ended = run_binary(&["send", "--url", &url, "--token", &account.token, "--json", "--concurrency", "1", &path]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert!(said[0].starts_with("line 2 refused: 400 malformed_json: The body is not one JSON"), "{ended:#?}");
    assert!(said[1].starts_with("line 5 refused: 413 payload_too_large: "), "{ended:#?}");
    assert!(said[2].starts_with("2 taken, 0 repeated, 2 refused in "), "{ended:#?}");
    let printed: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = printed.iter().map(|line| (line["line"].as_u64(), line["status"].as_u64())).collect();
    assert_eq!(found, [(Some(1), Some(202)), (Some(2), Some(400)), (Some(5), Some(413)), (Some(6), Some(202))]);
    assert_eq!(printed[1]["code"], "malformed_json");
    let payload = |line: &Value| client.get(&format!("/v1/events/{}", text(line, "event_id"))).expect(200).text();
    assert!(
        payload(&printed[0]).contains("\"payload\":{\"n\":1}")
            && payload(&printed[3]).contains("\"payload\":{\"n\":6}")
    );
}

#[test]
fn what_every_line_would_be_answered_ends_the_run_at_once() {
    let server = Setup::dev().start();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(1_000));
    let other = Receiver::start();
    other.on("/html/server/incoming_data", Behaviour::Answer(Reply::status(200).body("<html>")));
    other.on("/moved/server/incoming_data", Behaviour::Answer(Reply::status(308).header("location", "https://x/")));
    for (url, about) in [
        (format!("http://{}", server.address), "the token is refused (401 invalid_token"),
        (format!("http://{}/nowhere", server.address), "404 no_such_path"),
        (other.url("/html"), "not as Data Pusher does"),
        (other.url("/moved"), "redirected to https://x/"),
    ] {
        let ended = send(&url, &["--concurrency", "4", &path]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.starts_with("error: ") && last.contains(about), "{ended:#?}");
        assert!(ended.stderr.starts_with("0 taken, 0 repeated, 0 refused in "), "{ended:#?}");
        assert!(!format!("{ended:?}").contains("canary"));
    }
    assert!(other.requests().len() <= 8, "{}", other.requests().len());
}

#[test]
fn a_token_of_another_kind_is_told_by_its_beginning() {
    let server = Setup::guarded().start();
    let made = server.client().post("/v1/tokens", &json!({"name": "t", "role": "admin"})).expect(201).json();
    let unknown = "dpt_canary-canary-canary-canary-canary-canary";
    for (token, kind) in [
        (text(&made, "token"), "a token with a role"),
        (unknown.to_owned(), "a token with a role"),
        (server.admin_token().unwrap(), "an admin token"),
    ] {
        let url = format!("http://{}", server.address);
        let mut program = Program::start(&["send", "--url", &url], &[("DATA_PUSHER_TOKEN", &token)]);
        program.write("{}");
        program.end_input();
        let ended = program.end();
        let last = ended.stderr.lines().last().unwrap();
        assert!(ended.code == Some(1) && last.contains(kind) && last.contains("begins with cl_"), "{ended:#?}");
        assert!(!format!("{ended:?}").contains(&token[4..]));
    }
}

#[test]
fn lines_of_a_pipe_are_sent_while_it_is_open_and_an_interrupt_waits_for_what_has_begun() {
    let (receiver, gate) = (played(), Gate::default());
    let url = receiver.url("");
    let mut program =
        Program::start(&["send", "--ndjson", "--url", &url, "--concurrency", "1"], &[("DATA_PUSHER_TOKEN", "cl_a")]);
    program.write("1\n2\n");
    receiver.wait_for(INCOMING, 2);
    receiver.on(INCOMING, Behaviour::Hold(gate.clone(), taken()));
    program.write("3\n4\n");
    receiver.wait_for(INCOMING, 3);
    program.signal(libc::SIGINT);
    program.said("stopping");
    gate.open();
    let ended = program.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stderr.contains("3 taken, 0 repeated, 0 refused") && ended.stderr.contains("the rest was not sent"));
    assert_eq!(bodies(&receiver), ["1", "2", "3"]);
    assert_eq!(receiver.requests()[0].headers.get("cl-xtoken"), Some("cl_a"));
}

#[test]
fn with_wait_the_deliveries_of_each_event_are_printed() {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    receiver.on("/bad", Behaviour::status(500));
    let client = server.client();
    let account = client.create_account("ada");
    let good = client.create_destination(&account, &receiver.url("/good"), "POST", json!({}));
    let bad = client.create_destination(&account, &receiver.url("/bad"), "POST", json!({}));
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(2));
    let url = format!("http://{}", server.address);
    let flags = ["send", "--url", &url, "--token", &account.token, "--wait=20", "--concurrency", "1", &path];
    let ended = run_binary(&flags);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{ended:#?}");
    assert!(lines[0].starts_with("evt_") && lines[0].ends_with("  line 1") && lines[3].ends_with("  line 2"));
    assert!(lines.contains(&&*format!("  {good}  succeeded  200")), "{ended:#?}");
    assert!(lines.iter().any(|line| line.starts_with(&format!("  {bad}  pending  500"))), "{ended:#?}");
}

#[test]
fn a_rate_is_kept() {
    let receiver = played();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(21));
    let ended = send(&receiver.url(""), &["--rate", "50/s", &path]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let requests = receiver.requests_to(INCOMING);
    let (first, last) = (requests.first().unwrap().at, requests.last().unwrap().at);
    // The first may have taken longer to arrive than the last.
    assert!(last - first >= Duration::from_millis(300), "{:?}", last - first);
}

#[test]
fn https_needs_a_certificate_that_is_trusted() {
    let authority = Authority::new("send");
    let folder = tempfile::tempdir().unwrap();
    let ca = authority.file(folder.path());
    let receiver = Receiver::start_tls(authority.issue(&["127.0.0.1"]).config());
    receiver.on(INCOMING, Behaviour::Answer(taken()));
    let path = file(folder.path(), "a.ndjson", &numbered(3));
    assert_eq!(send(&receiver.url(""), &["--ca-file", &ca, &path]).code, Some(0));
    let ended = send(&receiver.url(""), &["--give-up-after", "0s", &path]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("--ca-file"), "{ended:#?}");
    assert_eq!(receiver.requests().len(), 3);
}

#[test]
fn in_a_pipe_there_is_no_progress_and_on_a_terminal_it_is_gone_at_the_end() {
    let receiver = played();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(50));
    let ended = send(&receiver.url(""), &[&path]);
    assert!(!ended.stderr.contains(['\r', '\u{1b}']) && ended.stderr.lines().count() == 1, "{ended:#?}");
    for (variable, has_progress) in [("X", true), ("NO_COLOR", false)] {
        let (ended, seen) =
            on_a_terminal(&["send", "--url", &receiver.url(""), "--token", "cl_a", "--rate", "100/s", &path], variable);
        assert!(ended.success(), "{seen}");
        assert_eq!(seen.contains(" left") && seen.contains("documents"), has_progress, "{seen:?}");
        assert_eq!(seen.contains('\u{1b}'), has_progress, "{seen:?}");
        assert!(seen.contains("50 taken, 0 repeated, 0 refused in "), "{seen:?}");
    }
}

/// Runs the binary with a terminal as standard error, and returns what that shows.
fn on_a_terminal(arguments: &[&str], variable: &str) -> (std::process::ExitStatus, String) {
    use std::io::Read as _;
    use std::os::fd::{FromRawFd as _, OwnedFd};
    let (mut ours, mut its) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both descriptors are valid for writing, a name and settings are not asked for, and `size` is read only.
    let opened =
        unsafe { libc::openpty(&raw mut ours, &raw mut its, std::ptr::null_mut(), std::ptr::null(), &raw const size) };
    assert_eq!(opened, 0);
    // SAFETY: the descriptors were just opened and belong to nobody else.
    let (ours, its) = unsafe { (std::fs::File::from_raw_fd(ours), OwnedFd::from_raw_fd(its)) };
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_data-pusher"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .env(variable, "1")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(its)
        .spawn()
        .unwrap();
    let reading = std::thread::spawn(move || {
        let mut seen = Vec::new();
        // A terminal whose other end is closed fails to be read.
        let _ = { ours }.read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    let status = wait_until("it ends", || child.try_wait().unwrap());
    (status, reading.join().unwrap())
}

#[test]
fn output_that_nobody_reads_does_not_stop_the_run_and_output_that_fails_is_said() {
    let receiver = played();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(100));
    let shell = |line: &str| {
        let line = format!("\"$0\" send --json --url \"$1\" --token cl_a \"$2\" {line}");
        let words = [&line, env!("CARGO_BIN_EXE_data-pusher"), &receiver.url(""), &path];
        let ended = std::process::Command::new("/bin/sh").arg("-c").args(words).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (_, said) = shell("| true");
    assert!(said.contains("100 taken"), "{said}");
    let (code, said) = shell(">/dev/full");
    assert!(code == Some(1) && said.contains("100 taken") && said.contains("error: cannot write to"), "{said}");
    let (code, _) = shell("2>/dev/full");
    assert_eq!(code, Some(0));
}

#[test]
fn a_bad_flag_is_one_line_without_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.ndjson", &numbered(1));
    let token = file(folder.path(), "token", &["cl canary".to_owned()]);
    for (flags, about) in [
        (&[&*path][..], "--token-file"),
        (&["--token", "cl canary", &path], "ASCII"),
        (&["--token-file", &token, &path], "ASCII"),
        (&["--token-file", "/no/such/file", &path], "/no/such/file"),
        (&["--token", "cl_canary", "--token-file", &token, &path], "one of them"),
        (&["--token", "cl_canary", "/no/such/file"], "/no/such/file"),
        (&["--token", "cl_canary", folder.path().to_str().unwrap()], "folder"),
        (&["--token", "cl_canary", "--url", "localhost", &path], "http://"),
        (&["--token", "cl_canary", "--rate", "fast", &path], "100/s"),
        (&["--token", "cl_canary", "--concurrency", "0", &path], "1 to 256"),
        (&["--token", "cl_canary", "--wait=31", &path], "1 to 30"),
        (&["--token", "cl_canary", "--event-type", "a b", &path], "order.paid"),
        (&["--token", "cl_canary", "--key", "a", "--again", &path], "--again"),
        // Given to the wrong flag, or without one.
        (&["--token-file", "cl_canary", &path], "the name of a file"),
        (&["--token", "cl_canary", &path, "cl_canary"], "unexpected argument"),
        (&["--tokn=cl_canary", &path], "--tokn"),
        (&["--token", "cl_canary", "--concurrency", "cl_canary", &path], "1 to 256"),
        (&["--token", "cl_canary", "--url", "http://ada:canary@127.0.0.1/", &path], "no password"),
        (&["--token", "cl_canary", "--url", "http://127.0.0.1/?token=canary", &path], "no query"),
    ] {
        let ended = run_binary(&[&["send"], flags].concat());
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{flags:?}: {ended:#?}");
        assert!(ended.stderr.contains(about) && !ended.stderr.contains("canary"), "{flags:?}: {ended:#?}");
    }
    let help = run_binary(&["send", "--help"]).stdout;
    assert!(help.contains("DATA_PUSHER_TOKEN_FILE") && help.contains("Exit codes"), "{help}");
    let mut help = Program::start(&["send", "--help"], &[("DATA_PUSHER_TOKEN", "cl_canary")]);
    assert!(!help.end().stdout.contains("canary"));
}
