//! Clients that page through long lists all the time: their reads overlap, and leave the write-ahead log no moment at which
//! it can begin anew by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Report, either};
use crate::harness::{Client, Server, Setup};
use crate::ledger::Ledger;

const READERS: usize = 16;

const SENDERS: usize = 6;

/// Deliveries that the lists are of.
const LISTED: usize = 2_000;

/// The log may have so many bytes; builds for tests keep reads back much sooner.
const MAX_LOG_BYTES: u64 = if cfg!(debug_assertions) { 48 << 20 } else { 128 << 20 };

pub fn clients_that_page_through_long_lists(report: &mut Report) {
    let time = Duration::from_secs(either(3, 60));
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
    client.post(&format!("/v1/destinations/{destination}/pause"), &json!({})).expect(200);
    let ledger = Ledger::default();
    ledger.under_load(&client, &account.token, SENDERS, || ledger.wait_for_more(LISTED));

    let (alone, _) = load(&server, &ledger, &account.token, time, 0);
    let (beside, longest) = load(&server, &ledger, &account.token, time, READERS);
    report.figure("taken a second, alone", alone);
    report.figure("beside 16 readers", format!("{beside} ({:.2})", beside as f64 / alone as f64));
    report.figure("log at most", format!("{:.1} MiB", longest as f64 / f64::from(1 << 20)));
    assert!(longest < MAX_LOG_BYTES, "{longest} bytes");
    assert!(ledger.refused().is_empty());
}

/// Events taken a second beside so many readers, and the longest log meanwhile.
fn load(server: &Server, ledger: &Ledger, token: &str, time: Duration, readers: usize) -> (u64, u64) {
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
        let taken = (ledger.count() - before) as u64;
        assert!(readers == 0 || pages.load(Ordering::Relaxed) > 0);
        (taken * 1_000 / time.as_millis() as u64, longest)
    })
}

fn page_through(client: &Client, ended: &AtomicBool, pages: &AtomicU64) {
    let mut path = "/v1/deliveries?limit=200".to_owned();
    while !ended.load(Ordering::Relaxed) {
        let page = client.get(&path).expect(200).json();
        pages.fetch_add(1, Ordering::Relaxed);
        path = match page["next_cursor"].as_str() {
            Some(next) => format!("/v1/deliveries?limit=200&cursor={next}"),
            None => "/v1/deliveries?limit=200".to_owned(),
        };
    }
}
