//! A server, a receiver and a healthy destination between them; and how long its deliveries take.

use std::collections::HashMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::load::{Feed, Sent};
use super::server::{Account, Server};
use super::sinks::{Gate, Sinks};
use super::system::now_us;

/// Events a second for the healthy destination, where nothing else is said.
pub const RATE: usize = 200;

/// Fed before it is measured, so that lanes and connections are what they are in the long run.
const WARM: Duration = Duration::from_secs(1);

/// Longest wait for deliveries that are still on their way.
const LAST_ONES: Duration = Duration::from_secs(10);

/// How many of the slowest deliveries are told apart.
const WORST: usize = 20;

/// How the bench was called.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// Time of each measurement.
    pub length: Duration,
}

/// All that one scenario needs; everything ends with it.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The receiving process.
    pub sinks: Sinks,
    /// Where the healthy destination is.
    pub healthy: Gate,
    /// Events a second for it.
    pub rate: usize,
}

/// How long the deliveries to the healthy destination took.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// From the moment of sending to arrival, ascending, in microseconds.
    pub delivered_us: Vec<u64>,
    /// From sending to the server's answer, ascending, in microseconds.
    pub answered_us: Vec<u64>,
    /// How far the load was behind its schedule with each, ascending, in microseconds: a busy machine, not a slow server.
    pub late_us: Vec<u64>,
    /// The slowest of them, when they were sent, in microseconds since the first, and how long they took.
    pub worst_us: Vec<(u64, u64)>,
    /// Share of one processor that the server used meanwhile.
    pub processor: f64,
    /// Events that the server took and did not deliver in time; their age counts as their latency.
    pub missing: usize,
    /// Events that the server did not take.
    pub refused: usize,
}

impl Stage {
    /// Starts all, with a receiver of behaviour `healthy` at the healthy gate.
    pub fn start(options: &Options, flags: &[&str], healthy: &str) -> Result<Self> {
        let mut sinks = Sinks::start()?;
        let healthy = sinks.open(healthy)?;
        let authority = sinks.authority.display().to_string();
        // Also where nothing is reached by https: what is measured is the same server.
        let flags = [flags, &["--ca-file", &authority]].concat();
        Ok(Self { server: Server::start(&options.binary, &flags)?, sinks, healthy, rate: RATE })
    }

    /// Makes the account of the healthy destination.
    pub fn healthy_account(&mut self) -> Result<Vec<Account>> {
        let gate = self.healthy;
        self.server.accounts(1, 1, |number| gate.url(number))
    }

    /// Feeds the healthy destination, warm-up first.
    pub fn measure(&mut self, account: &[Account], length: Duration) -> Result<Tail> {
        self.measure_with(account, WARM, length, |_| Ok(()))
    }

    /// The same, and `happen`s after a third of the time.
    pub fn measure_with(
        &mut self,
        account: &[Account],
        warm: Duration,
        length: Duration,
        happen: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Tail> {
        let feed = Feed::start(self.server.address, account, self.rate);
        thread::sleep(warm);
        let (from, began) = (if warm.is_zero() { 0 } else { now_us() }, Instant::now());
        let processor = self.server.processor_time();
        thread::sleep(length / 3);
        happen(self)?;
        thread::sleep(length.saturating_sub(began.elapsed()));
        let processor = (self.server.processor_time() - processor) / began.elapsed().as_secs_f64();
        Ok(Tail { processor, ..self.tail(&feed.stop(), from)? })
    }

    /// What became of those of the events that were sent since `from`.
    fn tail(&mut self, sent: &[Sent], from: u64) -> Result<Tail> {
        let sent: Vec<&Sent> = sent.iter().filter(|sent| sent.sent_us >= from).collect();
        let deadline = Instant::now() + LAST_ONES;
        let arrived = loop {
            let mut arrived: HashMap<u64, u64> = HashMap::new();
            for arrival in self.sinks.arrivals(self.healthy)? {
                // A repeat does not count: it was delivered the first time.
                arrived.entry(arrival.sent_us).or_insert(arrival.arrived_us);
            }
            let all = sent.iter().all(|sent| !sent.accepted || arrived.contains_key(&sent.sent_us));
            if all || Instant::now() > deadline {
                break arrived;
            }
            thread::sleep(Duration::from_millis(100));
        };
        let mut tail = Tail::default();
        let first = sent.iter().map(|sent| sent.sent_us).min().unwrap_or(0);
        for sent in sent {
            let delivered = match arrived.get(&sent.sent_us) {
                Some(at) => Some(at.saturating_sub(sent.sent_us)),
                None if sent.accepted => {
                    tail.missing += 1;
                    Some(now_us() - sent.sent_us)
                }
                None => {
                    tail.refused += 1;
                    None
                }
            };
            tail.delivered_us.extend(delivered);
            tail.worst_us.extend(delivered.map(|took| (sent.sent_us - first, took)));
            tail.answered_us.push(sent.answered_us);
            tail.late_us.push(sent.late_us);
        }
        tail.worst_us.sort_unstable_by_key(|(_, took)| std::cmp::Reverse(*took));
        tail.worst_us.truncate(WORST);
        tail.delivered_us.sort_unstable();
        tail.answered_us.sort_unstable();
        tail.late_us.sort_unstable();
        Ok(tail)
    }
}

/// The value below which `share` of the ascending `values` lie, in milliseconds.
pub fn quantile_ms(values: &[u64], share: f64) -> f64 {
    let place = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(place).map_or(f64::NAN, |micros| *micros as f64 / 1_000.0)
}
