//! Destinations that misbehave in every way at once, beside a healthy one.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Report, either};
use crate::harness::client::NewAccount;
use crate::harness::{Behaviour, Client, Receiver, Setup, wait_until};
use crate::ledger::Ledger;
use crate::process::{mebibytes, resident};

/// Maximum number of destinations of one account.
const MAX_DESTINATIONS: usize = 1_000;

/// Interval between two events for the healthy destination.
const PACE: Duration = Duration::from_millis(10);

/// Maximum growth of memory after all misbehaving destinations were tried once.
const MAX_GROWTH_KIB: u64 = 10 * 1024;

/// Each kind of misbehaviour, and the number of its destinations.
fn kinds() -> Vec<(&'static str, Behaviour, usize)> {
    let many = |long: usize| either(long / 10, long);
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    vec![
        ("hang", Behaviour::Hang, many(600)),
        ("drip", Behaviour::Drip, many(100)),
        ("endless", Behaviour::Endless, many(50)),
        ("reset", Behaviour::Reset, many(100)),
        ("close", Behaviour::Close, many(50)),
        ("not-http", Behaviour::Raw(b"220 mail.example.com ESMTP\r\n".to_vec()), many(50)),
        ("long-head", Behaviour::Raw(long_head.into_bytes()), many(50)),
    ]
}

/// A server that accepts connections and sends nothing, so that a TLS handshake never ends.
struct Silent {
    port: u16,
}

impl Silent {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut kept: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                kept.push(stream);
            }
        });
        Self { port }
    }
}

/// Sends `count` events to the healthy destination. Returns the times from sending to arrival, sorted.
fn feed(client: &Client, account: &NewAccount, healthy: &Receiver, from: u64, count: u64) -> Vec<Duration> {
    let mut sent = HashMap::new();
    for number in from..from + count {
        sent.insert(number, Instant::now());
        client.push(account, format!("{{\"n\": {number}}}"));
        std::thread::sleep(PACE);
    }
    let all = usize::try_from(from + count).unwrap();
    let requests = healthy.wait_for("/healthy", all);
    let arrived: HashMap<u64, Instant> =
        requests.into_iter().rev().map(|request| (Ledger::number(&request.body), request.at)).collect();
    let mut times: Vec<Duration> = sent.iter().map(|(number, at)| arrived[number].duration_since(*at)).collect();
    times.sort();
    times
}

fn summary(times: &[Duration]) -> String {
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1_000.0;
    format!("p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(50), at(99), at(100))
}

pub fn destinations_that_misbehave_in_every_way(report: &mut Report) {
    let (misbehaving, healthy, silent) = (Receiver::start(), Receiver::start(), Silent::start());
    let schedule = ["1s"; 30].join(",");
    let server = Setup::dev().flags(&["--retry-schedule", &schedule, "--timeout", either("3s", "15s")]).start();
    let client = server.client();
    let (bad, stalled, good) =
        (client.create_account("bad"), client.create_account("stalled"), client.create_account("good"));
    client.create_destination(&good, &healthy.url("/healthy"), "POST", json!({}));
    let events = either(150, 1_500);
    report.figure("alone", summary(&feed(&client, &good, &healthy, 0, events)));

    let mut paths = Vec::new();
    for (kind, behaviour, count) in kinds() {
        for number in 0..count {
            let path = format!("/{kind}/{number}");
            misbehaving.on(&path, behaviour.clone());
            client.create_destination(&bad, &misbehaving.url(&path), "POST", json!({}));
            paths.push(path);
        }
    }
    assert!(paths.len() <= MAX_DESTINATIONS);
    let tls = either(10, 100);
    for number in 0..tls {
        let url = format!("https://127.0.0.1:{}/{number}", silent.port);
        client.create_destination(&stalled, &url, "POST", json!({}));
    }
    let queued = 3;
    for number in 0..queued {
        client.push(&bad, format!("{{\"n\": {number}}}"));
        client.push(&stalled, "{}");
    }
    wait_until("each has been met", || {
        let seen = misbehaving.requests();
        let met: std::collections::HashSet<&str> = seen.iter().map(|request| request.path()).collect();
        (met.len() == paths.len()).then_some(())
    });
    report.figure("beside", format!("{} that misbehave, {tls} that stall in TLS", paths.len()));
    // Warm-up: afterwards threads and buffers for all destinations exist.
    let first = feed(&client, &good, &healthy, events, events);
    let before = resident(&server);
    let second = feed(&client, &good, &healthy, 2 * events, 2 * events);
    let after = resident(&server);
    report.figure("at the onset", summary(&first));
    report.figure("meanwhile", summary(&second));
    let pending = |account: &NewAccount| {
        let path = format!("/v1/deliveries?state=pending&limit=1&account_id={}", account.id);
        !client.get(&path).expect(200).json()["items"].as_array().unwrap().is_empty()
    };
    assert!(pending(&bad) && pending(&stalled), "they still misbehave");
    report.figure("memory", format!("{}, then {}", mebibytes(before), mebibytes(after)));

    for path in &paths {
        misbehaving.on(path, Behaviour::status(200));
    }
    let recovered = Instant::now();
    wait_until("all that recovered are drained", || (!pending(&bad)).then_some(()));
    report.figure("all recover at once, drained", format!("{:.1} s later", recovered.elapsed().as_secs_f64()));
    let last = feed(&client, &good, &healthy, 4 * events, events);
    report.figure("after that", summary(&last));
    assert!(after.saturating_sub(before) < MAX_GROWTH_KIB, "{before} KiB, then {after} KiB");
    assert_eq!(healthy.requests().len() as u64, 5 * events, "nothing went twice to the healthy one");
}
