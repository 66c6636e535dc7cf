//! The full rate that a server can accept and deliver, with retention and without.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::support::Result;
use super::support::generator::{Gate, Generator, Loaded, Plan};
use super::support::message;
use super::support::receiver::Receiver;
use super::support::report::{Figure, Report, Target};
use super::support::server::Server;

const MIB: f64 = 1_048_576.0;

const CONNECTIONS: usize = 64;

/// Maximum of events that are accepted and not yet delivered.
const MAX_UNDELIVERED_EVENTS: u64 = 1_000;

/// Interval at which file and oldest event are measured.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Maximum length of the measurement without retention. The measurement is made before and after, because a machine's
/// speed changes.
const MAX_LENGTH_WITHOUT: Duration = Duration::from_secs(60);

/// Maximum delay of retention, which runs at intervals.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Maximum wait for the last deliveries.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The result of one load at full rate.
struct Played {
    loaded: Loaded,
    /// Events a second that were accepted and delivered.
    rate: f64,
    processor_us: f64,
    /// Length of file and write-ahead log together, at each measurement.
    bytes: Vec<u64>,
    /// Maximum delay of retention.
    late: Duration,
    /// Events at the end that are older than the retention and [`MAX_DELAY`].
    left: u64,
}

pub fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let without = (options.length / 2).min(MAX_LENGTH_WITHOUT);
    let keeps = Duration::from_secs(10 * 365 * 86_400);
    let before = play(options, keeps, Duration::from_secs(2), without)?;
    report.take("without retention, before", before.rate, "events/s");
    let with = play(options, options.retention, options.retention + MAX_DELAY, options.length)?;
    let after = play(options, keeps, Duration::from_secs(2), without)?;
    report.take("without retention, after", after.rate, "events/s");
    report.judge(Figure {
        name: format!("with a retention of {} s", options.retention.as_secs()),
        value: with.rate,
        unit: "events/s",
        of: Some(("without", (before.rate + after.rate) / 2.0)),
        target: Target::AtLeast(0.9),
    });
    let costs = (before.processor_us + after.processor_us) / 2.0;
    report.judge(Figure {
        name: "  server's processor time an event".to_owned(),
        value: with.processor_us,
        unit: "µs",
        of: Some(("without", costs)),
        target: Target::None,
    });
    for (name, played) in [("without", &before), ("with", &with)] {
        report.take(format!("  p50 of the answer, {name}"), played.loaded.latency_ms[0], "ms");
        report.take(format!("  p99 of the answer, {name}"), played.loaded.latency_ms[1], "ms");
        report.take(format!("  p99.9 of the answer, {name}"), played.loaded.latency_ms[2], "ms");
    }
    sizes(&with.bytes, report);
    report.at_most("retention is late by at most", with.late.as_secs_f64(), "s", MAX_DELAY.as_secs_f64());
    report.at_most("events left behind it at the end", with.left as f64, "events", 0.0);
    for played in [before, with, after] {
        if played.loaded.refused > 0 {
            report.fault(format!("{} events were refused", played.loaded.refused));
        }
    }
    Ok(())
}

/// Reports how the length of file and log changes once the first events are old enough to be deleted.
fn sizes(bytes: &[u64], report: &mut Report) {
    let mean = |some: &[u64]| some.iter().sum::<u64>() as f64 / some.len().max(1) as f64 / MIB;
    let tenth = bytes.len().div_ceil(10).max(1);
    let over_time: Vec<String> = bytes.chunks(tenth).map(|some| format!("{:.0}", mean(some))).collect();
    println!("files in tenths of the time, MiB: {}", over_time.join(" "));
    let third = bytes.len() / 3;
    report.judge(Figure {
        name: "files in the last third".to_owned(),
        value: mean(&bytes[2 * third..]),
        unit: "MiB",
        of: Some(("the middle third", mean(&bytes[third..2 * third]))),
        target: Target::AtMost(1.1),
    });
}

/// Sends as much as the server can deliver, for `warm` and then for `length`.
fn play(options: &Options, retention: Duration, warm: Duration, length: Duration) -> Result<Played> {
    let mut receiver = Receiver::start()?;
    let mut server = Server::start(&options.binary, &["--retention", &format!("{}s", retention.as_secs())])?;
    let url = receiver.url(0);
    let accounts = server.accounts(options.accounts, 1, |_| url.clone())?;
    let plan = Plan {
        address: server.address,
        path: "/server/incoming_data".to_owned(),
        tokens: accounts.into_iter().map(|account| account.token).collect(),
        body: message::BODY,
        connections: CONNECTIONS,
        first: 0,
        warm,
        length,
        count: None,
        gate: Some(Gate { tally: receiver.tally.clone(), before: 0, each: 1, most: MAX_UNDELIVERED_EVENTS }),
    };
    let generator = Generator::start(&plan)?;
    let file = Connection::open_with_flags(server.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let (began, before, processor) = (Instant::now(), receiver.count()?.first, server.processor_time());
    let (mut bytes, mut late, mut polled_at) = (Vec::new(), Duration::ZERO, began);
    let loaded = generator.finish(|| {
        if polled_at.elapsed() >= POLL_INTERVAL {
            polled_at = Instant::now();
            bytes.push(server.all_bytes()?);
            late = late.max(oldest(&file)?.saturating_sub(retention));
        }
        Ok(())
    })?;
    let delivered = receiver.count()?.first - before;
    let rate = loaded.rate().min(delivered as f64 / began.elapsed().as_secs_f64());
    let processor_us = (server.processor_time() - processor) * 1e6 / delivered as f64;
    let waits = Instant::now();
    while receiver.count()?.first < loaded.accepted {
        if waits.elapsed() > DELIVERY_TIMEOUT {
            return Err("not all that was taken was delivered".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let left = "SELECT count(*) FROM event NOT INDEXED WHERE id < ?1";
    let old = (now().saturating_sub(retention + MAX_DELAY).as_millis() as i64) << 21;
    let left = file.query_row(left, [old], |row| row.get(0))?;
    Ok(Played { loaded, rate, processor_us, bytes, late, left })
}

/// Age of the oldest event.
fn oldest(file: &Connection) -> Result<Duration> {
    let id: Option<i64> = file.query_row("SELECT min(id) FROM event", [], |row| row.get(0))?;
    Ok(id.map_or(Duration::ZERO, |id| now().saturating_sub(Duration::from_millis((id >> 21) as u64))))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
