//! Other processes that use the file: one holds the write lock, one reads an old snapshot.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use crate::campaign::{Report, either};
use crate::file;
use crate::harness::{DEADLINE, Receiver, Server, Setup, wait_until};
use crate::kills::wait_until_ready;
use crate::ledger::{Arrivals, Ledger};

const CLIENTS: usize = 6;

/// Takes the write lock as another process would.
fn lock(database: &Path) -> Connection {
    let other = Connection::open(database).unwrap();
    other.busy_timeout(Duration::from_secs(30)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// Numbers of the events that `connection` sees.
fn seen(connection: &Connection) -> HashSet<u64> {
    file::deliveries_by_event(connection).into_keys().collect()
}

fn log_bytes(server: &Server) -> u64 {
    std::fs::metadata(server.companion("-wal")).map_or(0, |meta| meta.len())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

pub fn another_process_holds_the_write_lock(report: &mut Report) {
    let hold = Duration::from_secs(either(8, 30));
    let receiver = Receiver::start();
    let mut server = Setup::dev().flags(&["--shutdown-grace", "10s"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let (ledger, mut arrivals) = (Ledger::default(), Arrivals::default());

    let (mut most_false, mut ready) = (0, Duration::ZERO);
    ledger.under_load(&client, &account.token, CLIENTS, || {
        ledger.wait_for_more(100);
        let other = lock(server.setup().database_path());
        let held = Instant::now();
        // The lock may be taken while outcomes are written. Then no caller is answered until the next try.
        while held.elapsed() < hold || ledger.refused().is_empty() {
            assert!(held.elapsed() < hold + DEADLINE, "who waits for the lock is told");
            std::thread::sleep(Duration::from_millis(100));
            // Every event acknowledged so far must be in the file, which nobody else can change now.
            let acknowledged: HashSet<u64> = ledger.acknowledged().into_keys().collect();
            most_false = most_false.max(acknowledged.difference(&seen(&other)).count());
        }
        client.get("/healthz").expect(200);
        client.get("/v1/accounts").expect(200);
        drop(other);
        let freed = Instant::now();
        wait_until_ready(&server);
        ready = freed.elapsed();
        ledger.wait_for_more(100);
    });
    arrivals.wait_for_all(&receiver, &ledger, &["/in"]);
    report.figure("held for", format!("{} s", hold.as_secs()));
    report.figure("acknowledged", ledger.count());
    report.figure("503 meanwhile", ledger.refused().len());
    report.figure("acknowledged, not in the file", most_false);
    report.figure("ready again after", format!("{} ms", ready.as_millis()));
    assert_eq!(most_false, 0);
    assert!(ready < Duration::from_secs(5), "{ready:?}");

    // SIGTERM while the lock is held: the server ends in time, and nothing is lost.
    ledger.under_load(&client, &account.token, CLIENTS, || {
        ledger.wait_for_more(50);
        let other = lock(server.setup().database_path());
        let told = Instant::now();
        server.terminate();
        report.figure("SIGTERM meanwhile, ended after", format!("{} ms", told.elapsed().as_millis()));
        assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
        drop(other);
    });
    server.start_again();
    arrivals.wait_for_all(&receiver, &ledger, &["/in"]);
    report.figure("lost", arrivals.missing(&ledger, &["/in"]).len());
    report.figure("repeats (by the stop)", arrivals.repeats());
    let stored = seen(&file::open_whole(server.setup().database_path()));
    let refused_and_kept = ledger.refused().iter().filter(|number| stored.contains(number)).count();
    assert_eq!(refused_and_kept, 0, "answered 503, and kept");
}

pub fn another_process_reads_an_old_snapshot(report: &mut Report) {
    let hold = Duration::from_secs(either(3, 150));
    let receiver = Receiver::start();
    let mut server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let (ledger, mut arrivals) = (Ledger::default(), Arrivals::default());

    let (mut before, mut pinned, mut after) = (0, 0, 0);
    ledger.under_load(&client, &account.token, CLIENTS, || {
        ledger.wait_for_more(300);
        before = log_bytes(&server);
        let other = Connection::open(server.setup().database_path()).unwrap();
        other.execute_batch("BEGIN").unwrap();
        let old = seen(&other).len();
        let (held, accepted) = (Instant::now(), ledger.count());
        // The duration is the fault.
        std::thread::sleep(hold);
        let rate = (ledger.count() - accepted) as f64 / held.elapsed().as_secs_f64();
        assert_eq!(seen(&other).len(), old, "it still reads what it read first");
        pinned = log_bytes(&server);
        report.figure("taken meanwhile", format!("{rate:.0}/s"));
        drop(other);
        // Now the log can be checkpointed, and then restarts at its beginning.
        ledger.wait_for_more(either(500, 5_000));
        after = log_bytes(&server);
        ledger.wait_for_more(either(500, 5_000));
        assert!(log_bytes(&server) <= after.max(pinned), "it still grows");
    });
    report.figure("held for", format!("{} s", hold.as_secs()));
    report.figure("log before, held, afterwards", [before, pinned, after].map(mebibytes).join(", "));
    arrivals.wait_for_all(&receiver, &ledger, &["/in"]);
    report.figure("acknowledged", ledger.count());
    report.figure("lost", arrivals.missing(&ledger, &["/in"]).len());
    report.figure("repeats", arrivals.repeats());
    // `journal_size_limit`, and what one transaction may add.
    let limit = (64 << 20) + (8 << 20);
    wait_until("the log is short again", || {
        client.push(&account, b"{\"n\": 1000000000}");
        (log_bytes(&server) <= limit).then_some(())
    });
    assert!(ledger.refused().is_empty() && ledger.unanswered() == 0);
    assert_eq!(arrivals.repeats(), 0);
    server.terminate();
    file::open_whole(server.setup().database_path());
    assert_eq!(log_bytes(&server), 0, "a stop leaves no log behind");
}
