//! The scenarios: destinations that misbehave beside a healthy one. Each scenario has its own server, file and
//! receiver.

use std::collections::HashSet;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use super::fair;
use super::support::Result;
use super::support::load::{Feed, queue};
use super::support::server::Account;
use super::support::sinks::{Gate, Sinks};
use super::support::stage::{Options, RATE, Stage, Tail};
use super::support::system::now_us;

/// The target of a scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// The baseline: the p99 with which others are compared.
    Baseline,
    /// The p99 stays near the baseline's.
    Tail,
    /// The p99 is at most this many milliseconds.
    Within(f64),
    /// No latency is over the maximum for an onset or a restart.
    Bump,
    /// Only the facts have bounds.
    Facts,
}

/// A value besides the latencies.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Its name, with its unit.
    pub name: &'static str,
    /// The value.
    pub value: f64,
    /// Minimum and maximum, if the value has bounds.
    pub within: Option<(f64, f64)>,
}

/// The result of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Latencies of the healthy destination.
    pub tail: Option<Tail>,
    /// Other values.
    pub facts: Vec<Fact>,
    /// Number of errors in the server's log.
    pub errors: usize,
}

/// A scenario.
pub struct Scenario {
    /// Its name as an argument.
    pub name: &'static str,
    /// What stands beside the healthy destination.
    pub what: &'static str,
    /// Its target.
    pub target: Target,
    /// Plays the scenario.
    pub play: fn(&Options) -> Result<Outcome>,
}

/// All scenarios, in the order in which they are played.
pub const ALL: &[Scenario] = &[
    Scenario { name: "alone", what: "alone", target: Target::Baseline, play: alone },
    Scenario {
        name: "hang",
        what: "600 that hang, 12 queued each",
        target: Target::Tail,
        play: |o| beside_others(o, "hang", 600, 12),
    },
    Scenario {
        name: "https-600",
        what: "600 that hang in https, 12 queued each",
        target: Target::Tail,
        play: |o| https(o, 600),
    },
    Scenario {
        name: "https-1000",
        what: "1,000 that hang in https, 12 queued each",
        target: Target::Tail,
        play: |o| https(o, 1_000),
    },
    Scenario {
        name: "drip",
        what: "600 that drip, 12 each",
        target: Target::Tail,
        play: |o| beside_others(o, "drip", 600, 12),
    },
    Scenario {
        name: "reset",
        what: "600 that reset, 50 each",
        target: Target::Tail,
        play: |o| beside_others(o, "reset", 600, 50),
    },
    Scenario {
        name: "fail",
        what: "600 that answer 500, 50 each",
        target: Target::Tail,
        play: |o| beside_others(o, "fail", 600, 50),
    },
    Scenario { name: "refused", what: "10,000 that are refused, 3 each", target: Target::Tail, play: refused },
    Scenario { name: "slow", what: "100 healthy that take 2 s", target: Target::Tail, play: slow },
    Scenario {
        name: "onset-100",
        what: "100 healthy begin to hang at once",
        target: Target::Bump,
        play: |o| onset(o, 10),
    },
    Scenario {
        name: "onset-600",
        what: "600 healthy begin to hang at once",
        target: Target::Bump,
        play: |o| onset(o, 60),
    },
    Scenario { name: "timeouts", what: "600 that hang, attempts end after 2 s", target: Target::Tail, play: timeouts },
    Scenario { name: "created", what: "created beside 600 that hang", target: Target::Tail, play: created },
    Scenario { name: "failed-once", what: "failed once beside 600 that hang", target: Target::Tail, play: failed_once },
    Scenario {
        name: "failed-first",
        what: "its first fails, beside 600 that hang",
        target: Target::Bump,
        play: failed_first,
    },
    Scenario { name: "restart", what: "after kill -9 beside 600 that hang", target: Target::Bump, play: restart },
    Scenario { name: "throughput", what: "one destination that takes 100 ms", target: Target::Facts, play: throughput },
    Scenario { name: "recover", what: "1,000 fail and recover together", target: Target::Bump, play: recover },
    Scenario {
        name: "itself-2",
        what: "1 of its own 100 hangs, at 2 a second",
        target: fair::OTHERS,
        play: |o| fair::itself(o, 27, 2),
    },
    Scenario {
        name: "itself-10",
        what: "1 of its own 100 hangs, at 10 a second",
        target: fair::OTHERS,
        play: |o| fair::itself(o, 9, 10),
    },
    Scenario {
        name: "itself-200",
        what: "1 of its own 100 hangs, at 200 a second",
        target: fair::OTHERS,
        play: |o| fair::itself(o, 1, 200),
    },
    Scenario {
        name: "by-hand",
        what: "slow, 2,000 retries by hand elsewhere",
        target: fair::OTHERS,
        play: fair::by_hand,
    },
    Scenario {
        name: "rate",
        what: "600 at 1/s with 200 queued each",
        target: Target::Tail,
        play: |o| fair::rate(o, &[]),
    },
    Scenario {
        name: "rate-busy",
        what: "the same, with 64 workers",
        target: Target::Tail,
        play: |o| fair::rate(o, &["--workers", "64"]),
    },
    Scenario {
        name: "templates",
        what: "100 whose templates fail, 12 each",
        target: Target::Tail,
        play: fair::templates,
    },
    Scenario { name: "fan-out", what: "an event a second to 1,000", target: Target::Tail, play: fair::fan_out },
    Scenario { name: "replay", what: "a replay of 100,000", target: Target::Tail, play: fair::replay },
    Scenario {
        name: "memory",
        what: "1,000 blocked attempts",
        target: Target::Facts,
        play: |o| memory(o, Sinks::open, 64.0),
    },
    Scenario {
        name: "memory-https",
        what: "1,000 blocked attempts in https",
        target: Target::Facts,
        play: |o| memory(o, Sinks::open_secure, 100.0),
    },
];

fn alone(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let tail = stage.measure(&account, options.length)?;
    Ok(stage.outcome(tail))
}

fn beside_others(options: &Options, mode: &str, destinations: usize, each: usize) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    stage.others(mode, destinations, each)?;
    let tail = stage.measure(&account, options.length)?;
    Ok(stage.outcome(tail))
}

fn https(options: &Options, destinations: usize) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let gate = stage.sinks.open_secure("hang")?;
    stage.backlog(gate, destinations, 12)?;
    let tail = stage.measure(&account, options.length)?;
    let held = stage.sinks.count(gate)?.1;
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "attempts that hang at the end", value: held as f64, within: None });
    Ok(outcome)
}

fn timeouts(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &["--timeout", "2s"], "ok")?;
    let account = stage.healthy_account()?;
    stage.others("hang", 600, 12)?;
    let tail = stage.measure(&account, options.length)?;
    Ok(stage.outcome(tail))
}

fn refused(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let others = stage.server.accounts(10, 1_000, |number| format!("http://127.0.0.1:{port}/{number}"))?;
    queue(stage.server.address, &others, 3)?;
    let tail = stage.measure(&account, options.length)?;
    Ok(stage.outcome(tail))
}

fn slow(options: &Options) -> Result<Outcome> {
    // Enough that no destination runs out of deliveries: at most 256 attempts at once, of 2 s each.
    let each = 20 + 2 * options.length.as_secs() as usize;
    beside_others(options, "take:2000", 100, each)
}

/// `accounts` accounts with ten healthy destinations each get two events a second. Then all begin to hang at once.
fn onset(options: &Options, accounts: usize) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let gate = stage.sinks.open("ok")?;
    let others = stage.server.accounts(accounts, 10, |number| gate.url(number))?;
    let feed = Feed::start(stage.server.address, &others, 2 * accounts);
    let mut requests = 0;
    let warm = Duration::from_secs(2);
    let tail = stage.measure_with(&account, warm, options.length, |stage| {
        stage.sinks.switch(gate, "hang")?;
        requests = stage.sinks.count(gate)?.0;
        Ok(())
    })?;
    feed.stop();
    let held = stage.sinks.count(gate)?.1;
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "requests before the onset", value: requests as f64, within: None });
    outcome.facts.push(Fact { name: "attempts that hang at the end", value: held as f64, within: None });
    Ok(outcome)
}

fn created(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    stage.others("hang", 600, 12)?;
    // Time until all of them hang.
    thread::sleep(Duration::from_secs(2));
    let account = stage.healthy_account()?;
    let tail = stage.measure_with(&account, Duration::ZERO, options.length, |_| Ok(()))?;
    Ok(stage.outcome(tail))
}

fn failed_once(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    stage.others("hang", 600, 12)?;
    let tail = stage.measure_with(&account, Duration::from_secs(1), options.length, |stage| {
        stage.sinks.switch(stage.healthy, "fail-once").map(drop)
    })?;
    Ok(stage.outcome(tail))
}

fn failed_first(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "fail-once")?;
    stage.others("hang", 600, 12)?;
    thread::sleep(Duration::from_secs(2));
    let account = stage.healthy_account()?;
    let tail = stage.measure_with(&account, Duration::ZERO, options.length, |_| Ok(()))?;
    Ok(stage.outcome(tail))
}

fn restart(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    stage.others("hang", 600, 12)?;
    let feed = Feed::start(stage.server.address, &account, RATE);
    thread::sleep(Duration::from_secs(2));
    let listens = stage.server.crash_and_restart()?;
    let after = now_us();
    let before = feed.stop();
    let tail = stage.measure_with(&account, Duration::ZERO, options.length, |_| Ok(()))?;
    // Events that were accepted before the kill and not delivered must arrive after the restart.
    let arrived: HashSet<u64> = stage.sinks.arrivals(stage.healthy)?.iter().map(|arrival| arrival.sent_us).collect();
    let lost =
        before.iter().filter(|sent| sent.accepted && sent.sent_us < after && !arrived.contains(&sent.sent_us)).count();
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "listens after, ms", value: listens.as_secs_f64() * 1e3, within: None });
    outcome.facts.push(Fact { name: "taken before and lost", value: lost as f64, within: Some((0.0, 0.0)) });
    Ok(outcome)
}

fn throughput(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "take:100")?;
    let account = stage.healthy_account()?;
    let events = 320 * options.length.as_secs().max(2) as usize;
    queue(stage.server.address, &account, events)?;
    let gate = stage.healthy;
    let deadline = Instant::now() + options.length * 4;
    while stage.sinks.count(gate)?.0 < events as u64 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let mut arrived: Vec<u64> = stage.sinks.arrivals(gate)?.iter().map(|arrival| arrival.arrived_us).collect();
    arrived.sort_unstable();
    let (first, last) = (*arrived.first().ok_or("nothing arrived")?, *arrived.last().ok_or("nothing arrived")?);
    // The lane's limit grows with successes, so the first second is left out.
    let steady = arrived.iter().filter(|at| **at >= first + 1_000_000).count();
    let rate = steady as f64 * 1e6 / last.saturating_sub(first + 1_000_000).max(1) as f64;
    let whole = arrived.len() as f64 * 1e6 / (last - first).max(1) as f64;
    Ok(Outcome {
        facts: vec![
            Fact { name: "delivered/s after the first second", value: rate, within: Some((300.0, f64::INFINITY)) },
            Fact { name: "delivered/s in all", value: whole, within: None },
            Fact {
                name: "arrived %",
                value: arrived.len() as f64 * 100.0 / events as f64,
                within: Some((100.0, 200.0)),
            },
        ],
        errors: stage.server.errors(),
        tail: None,
    })
}

fn recover(options: &Options) -> Result<Outcome> {
    const EACH: usize = 5;
    const FAILING: Duration = Duration::from_secs(6);
    const DRAINED: Duration = Duration::from_secs(60);
    // Short steps, and enough of them that no delivery is exhausted.
    let schedule = ["2s"; 30].join(",");
    let mut stage = Stage::start(options, &["--retry-schedule", &schedule], "ok")?;
    let account = stage.healthy_account()?;
    let gate = stage.sinks.open("fail")?;
    let others = stage.server.accounts(10, 100, |number| gate.url(number))?;
    queue(stage.server.address, &others, EACH)?;
    thread::sleep(FAILING.saturating_sub(Duration::from_secs(1)));
    let mut recovered = 0;
    let tail = stage.measure_with(&account, Duration::from_secs(1), options.length, |stage| {
        recovered = stage.sinks.switch(gate, "ok")?;
        Ok(())
    })?;
    let deadline = Instant::now() + DRAINED;
    let (drained, arrived) = loop {
        let arrived: Vec<_> =
            stage.sinks.arrivals(gate)?.into_iter().filter(|arrival| arrival.arrived_us >= recovered).collect();
        let good = arrived.iter().filter(|arrival| arrival.answered_ok);
        let drained: HashSet<_> = good.map(|arrival| (arrival.destination, arrival.sent_us)).collect();
        if drained.len() >= 1_000 * EACH || Instant::now() > deadline {
            break (drained.len(), arrived);
        }
        thread::sleep(Duration::from_millis(200));
    };
    let mut times: Vec<u64> = arrived.iter().map(|arrival| arrival.arrived_us).collect();
    times.sort_unstable();
    let took = times.last().map_or(0, |last| last - recovered) as f64 / 1e6;
    let mut outcome = stage.outcome(tail);
    outcome.facts.extend([
        Fact { name: "drained %", value: drained as f64 / (10 * EACH) as f64, within: Some((100.0, 100.0)) },
        Fact { name: "drained after, s", value: took, within: None },
        Fact { name: "peak requests in 1 s", value: most_within(&times, 1_000_000) as f64, within: None },
        Fact { name: "peak requests in 100 ms", value: most_within(&times, 100_000) as f64, within: None },
        Fact { name: "requests a delivery", value: arrived.len() as f64 / drained.max(1) as f64, within: None },
    ]);
    Ok(outcome)
}

/// Memory while 1,000 attempts hang at a gate that `open` opens, at most `most_mb` megabytes.
fn memory(options: &Options, open: fn(&mut Sinks, &str) -> Result<Gate>, most_mb: f64) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let gate = open(&mut stage.sinks, "hang")?;
    let others = stage.server.accounts(1, 1_000, |number| gate.url(number))?;
    let idle = stage.server.resident()?;
    queue(stage.server.address, &others, 1)?;
    // The deadline is before the first attempt ends.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut most = (0, 0);
    while most.0 < 1_000 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
        most = most.max((stage.sinks.count(gate)?.1, 0));
        most.1 = stage.server.resident()?;
    }
    thread::sleep(Duration::from_secs(1));
    let resident = stage.server.resident()?.max(most.1);
    Ok(Outcome {
        facts: vec![
            Fact { name: "resident MB", value: resident as f64 / 1e6, within: Some((0.0, most_mb)) },
            Fact { name: "resident before, MB", value: idle as f64 / 1e6, within: None },
            Fact { name: "blocked attempts", value: most.0 as f64, within: Some((1_000.0, 1_024.0)) },
        ],
        errors: stage.server.errors(),
        tail: None,
    })
}

impl Stage {
    /// Creates an account of destinations that behave in one way, and queues a backlog for each.
    pub fn others(&mut self, mode: &str, destinations: usize, each: usize) -> Result<(Gate, Vec<Account>)> {
        let gate = self.sinks.open(mode)?;
        Ok((gate, self.backlog(gate, destinations, each)?))
    }

    /// Creates an account of destinations at a gate, and queues a backlog for each.
    fn backlog(&mut self, gate: Gate, destinations: usize, each: usize) -> Result<Vec<Account>> {
        let accounts = self.server.accounts(1, destinations, |number| gate.url(number))?;
        queue(self.server.address, &accounts, each)?;
        Ok(accounts)
    }

    /// An outcome with this tail and the number of errors in the log.
    pub fn outcome(&self, tail: Tail) -> Outcome {
        Outcome { tail: Some(tail), facts: Vec::new(), errors: self.server.errors() }
    }
}

/// The largest number of the ascending times that lie within `span`.
pub fn most_within(times: &[u64], span: u64) -> usize {
    let mut from = 0;
    let count = |(to, time): (usize, &u64)| {
        while times[from] + span <= *time {
            from += 1;
        }
        to - from + 1
    };
    times.iter().enumerate().map(count).max().unwrap_or(0)
}
