//! The load: events on a fixed schedule that does not wait for answers, and backlogs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Result;
use super::http::Client;
use super::server::Account;
use super::system::now_us;

/// Connections of a feed: enough that one slow answer does not delay the schedule.
const SENDERS: usize = 16;

/// An event that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Time of sending. No two events have the same.
    pub sent_us: u64,
    /// Whether the server accepted the event.
    pub accepted: bool,
    /// Time from sending to the server's answer.
    pub answered_us: u64,
    /// How far behind the schedule the event was sent.
    pub late_us: u64,
}

/// A running load on a fixed schedule.
pub struct Feed {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Vec<Sent>>>,
}

impl Feed {
    /// Sends `rate` events a second, to each account in turn.
    pub fn start(address: SocketAddr, accounts: &[Account], rate: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let tokens: Arc<[String]> = accounts.iter().map(|account| account.token.clone()).collect();
        let sender = |first: usize| {
            let (stop, tokens) = (Arc::clone(&stop), Arc::clone(&tokens));
            thread::spawn(move || {
                let mut client = Client::new(address);
                let mut sent = Vec::new();
                for number in (first..).step_by(SENDERS) {
                    let due = Duration::from_secs_f64(number as f64 / rate as f64);
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let late_us = (began.elapsed().saturating_sub(due)).as_micros() as u64;
                    sent.push(send(&mut client, &tokens[number % tokens.len()], late_us));
                }
                sent
            })
        };
        let senders = (0..SENDERS).map(sender).collect();
        Self { stop, senders }
    }

    /// Stops sending, and returns the events that were sent.
    pub fn stop(mut self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.drain(..).flat_map(|sender| sender.join().unwrap_or_default()).collect()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Sends `each` events to each account, as fast as the server accepts them.
pub fn queue(address: SocketAddr, accounts: &[Account], each: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..SENDERS / 2 {
            scope.spawn(|| {
                let mut client = Client::new(address);
                while let Some(number) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < each * accounts.len())
                {
                    let sent = send(&mut client, &accounts[number % accounts.len()].token, 0);
                    refused.fetch_add(usize::from(!sent.accepted), Ordering::Relaxed);
                }
            });
        }
    });
    match refused.into_inner() {
        0 => Ok(()),
        refused => Err(format!("{refused} events of the backlog were not taken").into()),
    }
}

fn send(client: &mut Client, token: &str, late_us: u64) -> Sent {
    let sent_us = stamp();
    let body = format!(r#"{{"sent_us":{sent_us},"kind":"order.paid","text":"{}"}}"#, *FILLER);
    let accepted = client.post("/server/incoming_data", Some(token), &body).is_ok_and(|answer| answer.status == 202);
    Sent { sent_us, accepted, answered_us: now_us().saturating_sub(sent_us), late_us }
}

/// The present time. No two calls return the same.
fn stamp() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = now_us();
    let before = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(before.unwrap_or(0) + 1)
}

/// Makes an event about 300 bytes long.
static FILLER: LazyLock<String> = LazyLock::new(|| "isolation ".repeat(24));
