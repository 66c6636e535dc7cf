//! Writes and fsyncs that fail at random moments under load, on the log and on the database file. What was not written
//! is not acknowledged. What was refused is not kept. The server goes on by itself when the disk does.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Durations, READY_WITHIN, Report, either, seed};
use crate::file::{self, with_ending};
use crate::harness::{Receiver, Setup, wait_until};
use crate::ledger::{Arrivals, Ledger};
use crate::trace::{self, Failing};

const CLIENTS: usize = 4;

const PATHS: [&str; 2] = ["/a", "/b"];

/// The call that fails, and the file's ending. If the log fails, no event can be accepted. If the database file fails,
/// the log grows.
const KINDS: [(&str, &str); 8] = [
    ("fsync,fdatasync:error=EIO", "-wal"),
    ("pwrite64:error=EIO", "-wal"),
    ("pwrite64:error=ENOSPC", "-wal"),
    ("fsync,fdatasync:error=EIO:when=2+3", "-wal"),
    ("pwrite64:error=EIO:when=5+7", "-wal"),
    ("fsync,fdatasync:error=EIO", ""),
    ("pwrite64:error=EIO", ""),
    ("pwrite64:error=ENOSPC", ""),
];

/// SQLite itself truncates the log to this length (`PRAGMA journal_size_limit`).
const MAX_LOG_BYTES: u64 = 64 * 1024 * 1024;

pub fn writes_and_fsyncs_that_fail(report: &mut Report) {
    if let Some(why) = trace::obstacle() {
        return report.skip(why);
    }
    let mut random = fastrand::Rng::with_seed(seed());
    let (receiver, ledger, mut arrivals) = (Receiver::start(), Ledger::default(), Arrivals::default());
    let mut server = Setup::dev().flags(&["--retry-schedule", "100ms"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    for path in PATHS {
        client.create_destination(&account, &receiver.url(path), "POST", json!({}));
    }
    let database = server.setup().database_path().to_owned();
    let (mut ready, mut injected, mut largest_log) = (Durations::default(), 0, 0);
    for round in 0..either(1, 8) {
        for (number, (inject, ending)) in KINDS.iter().enumerate() {
            let log = server.setup().folder().join(format!("injected-{round}-{number}"));
            let always_refuses = *ending == "-wal" && !inject.contains("when");
            let ended = ledger.under_load(&client, &account.token, CLIENTS, || {
                ledger.wait_for_more(30);
                std::thread::sleep(Duration::from_micros(random.u64(..10_000)));
                let before = ledger.refused().len();
                let failing = Failing::begin(server.process_id(), inject, &with_ending(&database, ending), &log);
                wait_until(&format!("{inject} is met"), || {
                    let refused = ending.is_empty() || ledger.refused().len() > before;
                    (refused && trace::injected(&log) > 0).then_some(())
                });
                client.get("/healthz").expect(200);
                client.get("/v1/deliveries").expect(200);
                if always_refuses {
                    client.get("/readyz").problem(503);
                }
                largest_log = largest_log.max(with_ending(&database, "-wal").metadata().unwrap().len());
                drop(failing);
                let ended = Instant::now();
                ledger.wait_for_more(1);
                wait_until("it is ready", || (client.get("/readyz").status == 200).then_some(()));
                ready.add(ended.elapsed());
                ended
            });
            assert!(ended.elapsed() < READY_WITHIN * 4, "the load does not end");
            injected += trace::injected(&log);
        }
    }
    // After a pause in writing, the log is copied into the file. The next write restarts the log.
    arrivals.wait_for_all(&receiver, &ledger, &PATHS);
    wait_until("no delivery is pending", || {
        let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        page["items"].as_array().unwrap().is_empty().then_some(())
    });
    let anew = server.log.lines().iter().filter(|line| line.contains("opened anew")).count();
    server.terminate();
    arrivals.read(&receiver);
    report.figure("kinds of failure", KINDS.len());
    report.figure("calls that failed", injected);
    report.figure("acknowledged", ledger.count());
    report.figure("refused with 503", ledger.refused().len());
    report.figure("lost", arrivals.missing(&ledger, &PATHS).len());
    report.figure("repeats", arrivals.repeats());
    report.figure("connection opened anew", anew);
    report.figure("ready again after", &ready);
    report.figure("largest log", format!("{:.1} MB", largest_log as f64 / 1e6));
    assert!(ready.longest() <= READY_WITHIN);
    assert!(anew > 0, "a connection whose fsync failed was trusted again");
    assert_eq!(arrivals.repeats(), 0, "what was sent was sent again");
    assert_eq!(ledger.unanswered(), 0);
    assert!(largest_log <= MAX_LOG_BYTES);
    let stored = file::deliveries_by_event(&file::open_whole(&database));
    assert!(ledger.acknowledged().keys().all(|number| stored.get(number) == Some(&PATHS.len())));
    let kept: Vec<u64> = ledger.refused().into_iter().filter(|number| stored.contains_key(number)).collect();
    assert!(kept.is_empty(), "refused, but kept: {kept:?}");
}
