//! Clients that page through long lists without a pause. Their reads overlap, so the write-ahead log never has a moment
//! at which it can restart by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Report, either};
use crate::harness::{Client, Server, Setup};
use crate::ledger::Ledger;

const READERS: usize = 16;

const SENDERS: usize = 6;

/// Number of deliveries in the lists.
const LISTED: usize = 2_000;

/// Maximum length of the log. Builds for tests hold reads back much sooner.
const MAX_LOG_BYTES: u64 = if cfg!(debug_assertions) { 48 << 20 } else { 128 << 20 };

pub fn clients_that_page_through_long_lists(report: &mut Report) {
    let time = Duration::from_secs(either(3, 30));
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
    client.post(&format!("/v1/destinations/{destination}/pause"), &json!({})).expect(200);
    let ledger = Ledger::default();
    ledger.under_load(&client, &account.token, SENDERS, || ledger.wait_for_more(LISTED));

    let (alone, _, _) = load(&server, &ledger, &account.token, time, 0);
    let (with_readers, longest, pages) = load(&server, &ledger, &account.token, time, READERS);
    report.figure("taken a second, alone", alone);
    report.figure("beside 16 readers", format!("{with_readers} ({:.2})", with_readers as f64 / alone as f64));
    report.figure("pages read a second", pages);
    report.figure("log at most", format!("{:.1} MiB", longest as f64 / f64::from(1 << 20)));
    assert!(longest < MAX_LOG_BYTES, "{longest} bytes");
    assert!(ledger.refused().is_empty());
}

/// Runs senders and readers. Returns events accepted a second, the maximum length of the log, and pages read a second.
fn load(server: &Server, ledger: &Ledger, token: &str, time: Duration, readers: usize) -> (u64, u64, u64) {
    let (client, ended, pages) = (server.client(), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| page_through(&client, &ended, &pages));
        }
        let before = ledger.count();
        let mut longest = 0;
        ledger.under_load(&client, token, SENDERS, || {
            let end = Instant::now() + time;
            while Instant::now() < end {
                longest = longest.max(server.companion("-wal").metadata().map_or(0, |meta| meta.len()));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        ended.store(true, Ordering::Relaxed);
        let accepted = (ledger.count() - before) as u64;
        let pages = pages.load(Ordering::Relaxed);
        assert!(readers == 0 || pages > 0);
        let a_second = |count: u64| count * 1_000 / time.as_millis() as u64;
        (a_second(accepted), longest, a_second(pages))
    })
}

fn page_through(client: &Client, ended: &AtomicBool, pages: &AtomicU64) {
    // The readers must not slow the senders by their own work, because both use the same processors here.
    // SAFETY: plain numbers; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    let mut path = "/v1/deliveries?limit=200".to_owned();
    while !ended.load(Ordering::Relaxed) {
        let page = client.get(&path).expect(200).text();
        pages.fetch_add(1, Ordering::Relaxed);
        let next = page.rsplit_once("\"next_cursor\":\"").and_then(|(_, rest)| rest.split_once('"'));
        path = match next {
            Some((next, _)) => format!("/v1/deliveries?limit=200&cursor={next}"),
            None => "/v1/deliveries?limit=200".to_owned(),
        };
    }
}
