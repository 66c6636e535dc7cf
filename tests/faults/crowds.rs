//! Large numbers: half-open clients, accounts, destinations, headers, and equal requests at the same moment.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::campaign::{Report, either};
use crate::harness::client::text;
use crate::harness::{Behaviour, Receiver, Reply, Setup, wait_until, wire};
use crate::process::{mebibytes, open_files, resident};

/// Half of a request's head.
const HALF: &[u8] = b"POST /server/incoming_data HTTP/1.1\r\nhost: localhost\r\n";

/// Clients that create accounts and destinations at the same time.
const CLIENTS: usize = 8;

/// Raises this process's limit of open files to `wanted`. Returns whether that is allowed.
fn may_open(wanted: u64) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    if limit.rlim_max < wanted {
        return false;
    }
    limit.rlim_cur = limit.rlim_cur.max(wanted);
    // SAFETY: `limit` is a valid `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    true
}

/// Runs `work` for each number below `count`, on [`CLIENTS`] threads.
fn by_many(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

pub fn half_open_clients(report: &mut Report) {
    let (size, timeout) = either((1_000, "1s"), (9_000, "15s"));
    if !may_open(size as u64 + 1_000) {
        report.skip(format!("a crowd of {size} needs more open files than this machine allows (ulimit -Hn)"));
        return;
    }
    let server = Setup::dev().flags(&["--request-timeout", timeout]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let began = Instant::now();
    let mut crowd: Vec<TcpStream> =
        (0..size).map(|number| wire::open(server.address, if number % 3 == 0 { b"" } else { HALF })).collect();
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let asked = Instant::now();
            client.push(&account, "{}");
            asked.elapsed()
        })
        .collect();
    times.sort();
    let memory = resident(&server);
    for stream in &mut crowd {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(bytes.is_empty(), "half a head is not answered");
    }
    report.figure("half-open clients", size);
    report.figure("all closed after", format!("{:.1} s (deadline {timeout})", began.elapsed().as_secs_f64()));
    report.figure(
        "events meanwhile",
        format!("median {} ms, longest {} ms", times[25].as_millis(), times[49].as_millis()),
    );
    report.figure("memory", mebibytes(memory));
    assert!(memory < 300 * 1024, "{memory} KiB");
    assert!(times[49] < Duration::from_secs(5), "{times:?}");
    wait_until("every connection is given back", || (open_files(&server) < 100).then_some(()));
    client.push(&account, "{}");
}

pub fn many_accounts_and_destinations(report: &mut Report) {
    let (accounts, of_one) = either((200, 100), (10_000, 1_000));
    let receiver = Receiver::start();
    // A failure that the test does not expect is retried within the time for which the campaign waits.
    let mut server = Setup::dev().flags(&["--retry-schedule", &["2s"; 10].join(",")]).start();
    let client = server.client();
    let began = Instant::now();
    // Otherwise this process would have a thread for each connection that is kept.
    let once = Behaviour::Answer(Reply::status(200).header("connection", "close"));
    // Every tenth account has ten destinations, the others have none. So there are as many destinations as accounts.
    by_many(accounts, |number| {
        let account = client.create_account(&format!("user{number}"));
        if number % 10 == 0 {
            for at in 0..10 {
                let path = format!("/in/{number}/{at}");
                receiver.on(&path, once.clone());
                client.create_destination(&account, &receiver.url(&path), "POST", json!({}));
            }
        }
        client.push(&account, "{}");
    });
    report.figure("accounts, destinations", format!("{accounts}, {accounts}, and one account with {of_one}"));
    report.figure("made, and an event each, in", format!("{:.1} s", began.elapsed().as_secs_f64()));
    let full = client.create_account("full");
    by_many(of_one, |number| {
        let path = format!("/full/{number}");
        receiver.on(&path, once.clone());
        client.create_destination(&full, &receiver.url(&path), "POST", json!({}));
    });
    let at_once = Instant::now();
    let accepted = client.push(&full, "{}");
    assert_eq!(accepted["deliveries"].as_array().unwrap().len(), of_one);
    report.figure(&format!("an event for {of_one}, taken in"), format!("{} ms", at_once.elapsed().as_millis()));
    let none_pending = |client: &crate::harness::Client| {
        wait_until("all are delivered", || {
            let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
            page["items"].as_array().unwrap().is_empty().then_some(())
        });
    };
    none_pending(&client);
    report.figure("delivered after", format!("{} ms", at_once.elapsed().as_millis()));
    report.figure("memory", mebibytes(resident(&server)));
    let failed = client.get("/metrics").expect(200).text();
    let failed: Vec<&str> = failed
        .lines()
        .filter(|line| {
            line.starts_with("data_pusher_attempts_total") && !line.ends_with(" 0") && !line.contains("success")
        })
        .collect();
    report.figure("attempts that failed", format!("{failed:?}"));
    assert_eq!(receiver.requests().len(), accounts + of_one);
    assert_eq!(client.all("/v1/accounts?limit=200").len(), accounts + 1);
    server.terminate();
    let again = Instant::now();
    server.start_again();
    report.figure("listens again after", format!("{} ms", again.elapsed().as_millis()));
    let client = server.client();
    let again = Instant::now();
    client.push(&full, "{}");
    none_pending(&client);
    report.figure("all of one delivered again after", format!("{} ms", again.elapsed().as_millis()));
    let deleted = Instant::now();
    client.delete(&format!("/v1/accounts/{}", full.id)).expect(204);
    report.figure("deleted in", format!("{} ms", deleted.elapsed().as_millis()));
}

pub fn headers_at_their_limits(report: &mut Report) {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    let client = server.client();
    let account = client.create_account("ada");
    let path = format!("/v1/accounts/{}/destinations", account.id);
    // `count` headers of `bytes` bytes in all, names and values. The maximum is 100 headers of 32 KiB.
    let headers = |count: usize, bytes: usize| -> Value {
        let name = |number: usize| format!("x-{number:05}");
        let each = bytes / count - name(0).len();
        let rest = bytes - count * (each + name(0).len());
        let value = |number: usize| "v".repeat(each + if number == 0 { rest } else { 0 });
        Value::Object((0..count).map(|number| (name(number), json!(value(number)))).collect())
    };
    let create = |path_at: &str, count, bytes| {
        let body = json!({"url": receiver.url(path_at), "http_method": "POST", "headers": headers(count, bytes)});
        client.post(&path, &body)
    };
    for (count, bytes) in [(101, 32 * 1024), (100, 32 * 1024 + 1), (1, 32 * 1024 + 1)] {
        assert_eq!(create("/refused", count, bytes).faults(), ["headers"], "{count} headers of {bytes} bytes");
    }
    let destinations = either(20, 500);
    for number in 0..destinations {
        create(&format!("/in/{number}"), if number % 2 == 0 { 100 } else { 1 }, 32 * 1024).expect(201);
    }
    let before = resident(&server);
    let rounds = either(2, 10);
    for _ in 0..rounds {
        client.push(&account, "{}");
    }
    wait_until("all have arrived", || (receiver.requests().len() == destinations * rounds).then_some(()));
    for request in receiver.requests() {
        let ours = request.headers.0.iter().filter(|(name, _)| name.starts_with("x-"));
        let bytes: usize = ours.map(|(name, value)| name.len() + value.len()).sum();
        assert_eq!(bytes, 32 * 1024, "{}", request.target);
    }
    let after = resident(&server);
    report.figure("destinations with 32 KiB each", destinations);
    report.figure("delivered", destinations * rounds);
    report.figure("memory", format!("{}, then {}", mebibytes(before), mebibytes(after)));
    // A request's head just below 64 KiB is accepted.
    let fat = "f".repeat(60_000);
    client.push_with(&account.token, &[("x-fat", &fat)], b"{}").expect(202);
}

pub fn equal_requests_at_one_moment(report: &mut Report) {
    const AT_ONCE: usize = 100;
    let rounds = either(3, 30);
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let all_at_once = |work: &(dyn Fn(usize) -> u16 + Sync)| -> Vec<u16> {
        let barrier = std::sync::Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE)
                .map(|number| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        work(number)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let count = |statuses: &[u16], status: u16| statuses.iter().filter(|given| **given == status).count();
    for round in 0..rounds {
        // The same e-mail address with different case, then the same id.
        let statuses = all_at_once(&|number| {
            let email =
                if number % 2 == 0 { format!("One{round}@example.com") } else { format!("one{round}@Example.com") };
            client.post("/v1/accounts", &json!({"email": email, "account_name": "one"})).status
        });
        assert_eq!((count(&statuses, 201), count(&statuses, 409)), (1, AT_ONCE - 1), "{statuses:?}");
        let statuses = all_at_once(&|number| {
            let email = format!("id{round}-{number}@example.com");
            let body = json!({"email": email, "account_name": "one", "account_id": format!("id{round}")});
            client.post("/v1/accounts", &body).status
        });
        assert_eq!((count(&statuses, 201), count(&statuses, 409)), (1, AT_ONCE - 1), "{statuses:?}");
        // One event under one key.
        let ids = std::sync::Mutex::new(std::collections::HashSet::new());
        let key = format!("key {round}");
        let statuses = all_at_once(&|_| {
            let answer = client.push_with(&account.token, &[("idempotency-key", &key)], b"{\"n\": 1}");
            ids.lock().unwrap().insert(text(&answer.json(), "event_id"));
            answer.status
        });
        assert_eq!((count(&statuses, 202), ids.lock().unwrap().len()), (AT_ONCE, 1), "{statuses:?}");
    }
    assert_eq!(client.all("/v1/accounts?limit=200").len(), 1 + 2 * rounds);
    receiver.wait_for("/in", rounds);
    let page = client.all(&format!("/v1/accounts/{}/events", account.id));
    assert_eq!(page.len(), rounds);
    report.figure("100 at one moment", format!("{} times: 1 made, 99 refused with 409", 2 * rounds));
    report.figure("100 of one Idempotency-Key", format!("{rounds} times: one event"));
}
