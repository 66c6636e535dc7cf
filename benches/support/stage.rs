//! A server, a receiver and a healthy destination, and how long the deliveries to that destination take.

use std::collections::HashMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::load::{Feed, Sent};
use super::server::{Account, Server};
use super::sinks::{Gate, Sinks};
use super::system::now_us;

/// Default rate for the healthy destination, in events a second.
pub const RATE: usize = 200;

/// Load before the measurement, so that lanes and connections are in their normal state.
const WARM: Duration = Duration::from_secs(1);

/// Maximum wait for deliveries that are not yet there at the end.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Number of the slowest deliveries that are kept one by one.
const WORST: usize = 20;

/// How the bench was called.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// Length of each measurement.
    pub length: Duration,
}

/// All that one scenario needs. Everything ends with it.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The receiving process.
    pub sinks: Sinks,
    /// The gate of the healthy destination.
    pub healthy: Gate,
    /// Events a second for the healthy destination.
    pub rate: usize,
}

/// How long the deliveries to the healthy destination took.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// Time from sending to arrival, ascending, in microseconds.
    pub delivered_us: Vec<u64>,
    /// Time from sending to the server's answer, ascending, in microseconds.
    pub answered_us: Vec<u64>,
    /// How late the load sent each event, ascending, in microseconds. This shows a busy machine, not a slow server.
    pub late_us: Vec<u64>,
    /// The slowest deliveries: time of sending since the first event, and duration, both in microseconds.
    pub worst_us: Vec<(u64, u64)>,
    /// Share of one processor that the server used during the measurement.
    pub processor: f64,
    /// Events that were accepted and not delivered in time. Their age counts as their latency.
    pub missing: usize,
    /// Events that the server did not accept.
    pub refused: usize,
}

impl Stage {
    /// Starts server and receiver. The healthy gate has the mode `healthy`.
    pub fn start(options: &Options, flags: &[&str], healthy: &str) -> Result<Self> {
        let mut sinks = Sinks::start()?;
        let healthy = sinks.open(healthy)?;
        let authority = sinks.authority.display().to_string();
        // Always given, so that every scenario measures the same server.
        let flags = [flags, &["--ca-file", &authority]].concat();
        Ok(Self { server: Server::start(&options.binary, &flags)?, sinks, healthy, rate: RATE })
    }

    /// Creates the account of the healthy destination.
    pub fn healthy_account(&mut self) -> Result<Vec<Account>> {
        let gate = self.healthy;
        self.server.accounts(1, 1, |number| gate.url(number))
    }

    /// Sends events to the healthy destination: warm-up, then the measurement.
    pub fn measure(&mut self, account: &[Account], length: Duration) -> Result<Tail> {
        self.measure_with(account, WARM, length, |_| Ok(()))
    }

    /// Like `measure`, and calls `happen` after a third of the time.
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

    /// Latencies of the events that were sent since `from`.
    fn tail(&mut self, sent: &[Sent], from: u64) -> Result<Tail> {
        let sent: Vec<&Sent> = sent.iter().filter(|sent| sent.sent_us >= from).collect();
        let deadline = Instant::now() + ARRIVAL_TIMEOUT;
        let arrived = loop {
            let mut arrived: HashMap<u64, u64> = HashMap::new();
            for arrival in self.sinks.arrivals(self.healthy)? {
                // A repeat does not count: the event was delivered the first time.
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
