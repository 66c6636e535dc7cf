//! A server with many pending deliveries: rate of the drain, rate of accepting meanwhile, memory, and time to start.

use std::thread;
use std::time::{Duration, Instant};

use super::sections::{PENDING, Run, wait_for};
use super::support::Result;
use super::support::generator::{Generator, Plan};
use super::support::receiver::Receiver;
use super::support::report::{Figure, Target};
use super::support::server::{Account, Server};
use super::support::tally::Tally;

/// Destinations of the backlog, each of its own account: enough to keep all workers busy.
const DESTINATIONS: usize = 50;

/// Size of the small backlog, with which the large one is compared.
const SMALL: u64 = 1_000;

/// Size of a backlog in between.
const MIDDLE: u64 = 100_000;

/// How often the small backlog is drained.
const TIMES: usize = 7;

/// Maximum wait for a drain.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);

const MEGABYTE: f64 = 1e6;

struct Stage {
    receiver: Receiver,
    server: Server,
    accounts: Vec<Account>,
    destinations: Vec<String>,
    tally: Tally,
    /// Events that were accepted.
    accepted: u64,
    /// Number of the next event.
    next: u64,
}

impl Stage {
    fn new(run: &Run) -> Result<Self> {
        let receiver = Receiver::start()?;
        let mut server = Server::start(&run.options.binary, &[])?;
        let url = receiver.url(0);
        let accounts = server.accounts(DESTINATIONS, 1, |_| url.clone())?;
        let destinations = server.destinations(&accounts)?;
        let tally = Tally::open(&receiver.tally)?;
        Ok(Self { receiver, server, accounts, destinations, tally, accepted: 0, next: 0 })
    }

    /// Pauses the destinations and sends `count` events to them.
    fn fill(&mut self, run: &Run, count: u64) -> Result<()> {
        self.server.steer(&self.destinations, "pause")?;
        let plan = Plan {
            count: Some(count),
            warm: Duration::ZERO,
            first: self.next,
            ..run.plan(self.server.address, &self.accounts, 64)
        };
        let loaded = Generator::start(&plan)?.finish(|| Ok(()))?;
        self.accepted += loaded.accepted;
        self.next += count;
        if loaded.accepted != count {
            return Err(format!("{} of {count} events of the backlog were taken", loaded.accepted).into());
        }
        Ok(())
    }

    /// Resumes the destinations. Returns the rate, in deliveries a second, between the `from`-th and the `to`-th
    /// delivery.
    fn drain(&self, from: u64, to: u64) -> Result<f64> {
        let before = self.tally.get();
        thread::scope(|scope| {
            // Each resume is a commit. The first destinations send before the last one is resumed.
            let resumed = scope.spawn(|| self.server.steer(&self.destinations, "resume"));
            let rate = self.between(before + from, before + to);
            resumed.join().map_err(|_| "a thread panicked")??;
            rate
        })
    }

    fn between(&self, from: u64, to: u64) -> Result<f64> {
        let until = |number: u64, pause: Duration| {
            let began = Instant::now();
            while self.tally.get() < number {
                if began.elapsed() > DRAIN_TIMEOUT {
                    return Err("the backlog is not drained");
                }
                thread::sleep(pause);
            }
            Ok((self.tally.get(), Instant::now()))
        };
        let (first, began) = until(from, Duration::from_micros(100))?;
        let (last, ended) = until(to, Duration::from_micros(100))?;
        Ok((last - first) as f64 / (ended - began).as_secs_f64())
    }
}

/// Measures the whole section.
pub fn measure(run: &mut Run) -> Result<()> {
    let one = run.sustained()?;
    let mut stage = Stage::new(run)?;

    let mut small = Vec::new();
    for _ in 0..TIMES {
        stage.fill(run, SMALL)?;
        small.push(stage.drain(SMALL / 20, SMALL - SMALL / 20)?);
        wait_for(&mut stage.receiver, stage.accepted)?;
    }
    // In the first drain the lanes had no record yet.
    small.remove(0);
    small.sort_by(f64::total_cmp);
    let small = small[small.len() / 2];
    run.report.take("drained, 1,000 pending", small, "deliveries/s");
    if run.options.backlog > MIDDLE {
        stage.fill(run, MIDDLE)?;
        let rate = stage.drain(MIDDLE / 20, MIDDLE - MIDDLE / 20)?;
        compared(run, "drained, 100,000 pending", rate, small);
        wait_for(&mut stage.receiver, stage.accepted)?;
    }

    let pending = run.options.backlog;
    let named = format!("{} pending", grouped(pending));
    let began = Instant::now();
    stage.fill(run, pending)?;
    run.report.take("taken for paused destinations", pending as f64 / began.elapsed().as_secs_f64(), "events/s");
    let mut memory = stage.server.resident()?;
    let mut started = Vec::new();
    for _ in 0..3 {
        started.push(stage.server.stop_and_restart()?);
        thread::sleep(Duration::from_millis(300));
        memory = memory.max(stage.server.resident()?);
    }
    started.sort_unstable();
    run.report.judge(Figure {
        name: format!("start until it listens, {named}"),
        value: started[1].as_secs_f64() * 1e3,
        unit: "ms",
        of: None,
        target: Target::AtMost(200.0),
    });

    // Only a part is drained, so that the measurements end before the backlog does.
    let own = stage.receiver.url(1);
    let busy = stage.server.accounts(1, 1, |_| own.clone())?;
    let part = (pending / 4).min((small * run.options.length.as_secs_f64()) as u64);
    let rate = stage.drain(part / 10, part)?;
    compared(run, &format!("drained, {named}"), rate, small);
    memory = memory.max(stage.server.resident()?);

    let plan = Plan { first: stage.next, ..run.plan(stage.server.address, &busy, 64) };
    let generator = Generator::start(&plan)?;
    let (began, delivered) = (Instant::now(), stage.tally.get());
    let loaded = generator.finish(|| {
        memory = memory.max(stage.server.resident()?);
        Ok(())
    })?;
    let delivered = (stage.tally.get() - delivered) as f64 / began.elapsed().as_secs_f64();
    let left = stage.server.metric(PENDING)?;
    stage.accepted += loaded.accepted;
    run.report.judge(Figure {
        name: format!("taken beside {named} that are drained"),
        value: loaded.rate(),
        unit: "events/s",
        of: Some(("sustained", one.rate)),
        target: Target::AtLeast(0.7),
    });
    run.report.judge(Figure {
        name: "  answer at 64 connections, p99".to_owned(),
        value: loaded.latency_ms[1],
        unit: "ms",
        of: Some(("sustained", one.loaded.latency_ms[1])),
        target: Target::AtMost(1.5),
    });
    run.report.take("  delivered meanwhile", delivered, "deliveries/s");
    run.report.take("  pending at its end", left, "deliveries");
    run.report.judge(Figure {
        name: format!("memory, {named}"),
        value: memory as f64 / MEGABYTE,
        unit: "MB",
        of: None,
        target: Target::AtMost(50.0),
    });
    run.report.take(format!("size of the file, {named}"), stage.server.file_bytes()? as f64 / MEGABYTE, "MB");
    settle(run, &mut stage, &busy)
}

/// Checks that pending and delivered events together are the accepted events.
fn settle(run: &mut Run, stage: &mut Stage, busy: &[Account]) -> Result<()> {
    let mut destinations = stage.server.destinations(busy)?;
    destinations.extend_from_slice(&stage.destinations);
    stage.server.steer(&destinations, "pause")?;
    let began = Instant::now();
    let mut account_for = || -> Result<(u64, u64)> {
        let pending = stage.server.metric(PENDING)? as u64;
        Ok((pending, stage.receiver.count()?.first))
    };
    let mut sum = account_for()?;
    while sum.0 + sum.1 != stage.accepted && began.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
        sum = account_for()?;
    }
    let (pending, delivered) = sum;
    if pending + delivered != stage.accepted {
        let accepted = stage.accepted;
        run.report.fault(format!("backlog: {accepted} were taken, {delivered} delivered, {pending} are pending"));
    }
    if stage.server.errors() > 0 {
        run.report.fault(format!("backlog: {} errors in the server's log", stage.server.errors()));
    }
    Ok(())
}

fn compared(run: &mut Run, name: &str, rate: f64, small: f64) {
    run.report.judge(Figure {
        name: name.to_owned(),
        value: rate,
        unit: "deliveries/s",
        of: Some(("1,000 pending", small)),
        target: Target::AtLeast(0.95),
    });
}

fn grouped(number: u64) -> String {
    match number {
        1_000.. => format!("{},{:03}", grouped(number / 1_000), number % 1_000),
        _ => number.to_string(),
    }
}
