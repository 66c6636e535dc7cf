//! The sections of this bench. Each part runs on a server and a file of its own.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::ceilings::{self, Ceiling, EchoServer};
use super::support::Result;
use super::support::generator::{Gate, Generator, Loaded, Plan};
use super::support::message;
use super::support::receiver::{Manner, Receiver};
use super::support::report::{Figure, Report, Target};
use super::support::server::{Account, Server};

/// Default number of the generator's connections.
pub const CONNECTIONS: usize = 64;

/// Maximum of events, and of deliveries, that are accepted and not yet delivered while the sustained rate is measured.
/// The lower of the two counts.
const MAX_UNDELIVERED_EVENTS: u64 = 1_000;
const MAX_PENDING_DELIVERIES: u64 = 16_000;

/// Maximum wait for the last deliveries.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

const MEGABYTE: f64 = 1e6;

/// Name of the metric for pending deliveries.
pub const PENDING: &str = "data_pusher_deliveries_pending";

/// How the bench was called.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// Length of each measurement.
    pub length: Duration,
    /// Length of the warm-up before each measurement.
    pub warm: Duration,
    /// Number of deliveries of the backlog.
    pub backlog: u64,
}

/// A run: the figures so far, and the values with which later parts are compared.
pub struct Run {
    /// How the bench was called.
    pub options: Options,
    /// The figures.
    pub report: Report,
    echo: Option<Ceiling>,
    ureq: Option<Ceiling>,
    commit_ms: Option<f64>,
    sustained: Option<Sustained>,
}

/// A load that is to be sustained.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Number of accounts.
    pub accounts: usize,
    /// Destinations of each account.
    pub destinations: usize,
    /// Connections of the generator.
    pub connections: usize,
    /// Length of an event's body, in bytes.
    pub body: usize,
    /// How the receiver receives.
    pub manner: Manner,
    /// Settings of each destination besides URL, method and headers: a JSON object.
    pub settings: &'static str,
    /// Whether the server seals secrets.
    pub sealed: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            accounts: 1,
            destinations: 1,
            connections: CONNECTIONS,
            body: message::BODY,
            manner: Manner::Http,
            settings: "{}",
            sealed: false,
        }
    }
}

/// What a server accepted and delivered.
#[derive(Debug, Clone)]
pub struct Sustained {
    /// The generator's result.
    pub loaded: Loaded,
    /// Events a second that were accepted and delivered to every destination.
    pub rate: f64,
    /// Processor time of the server for an event, in microseconds.
    pub processor_us: f64,
    /// Resident memory before the load, in bytes.
    pub idle: u64,
    /// Maximum resident memory during the load, in bytes.
    pub peak: u64,
}

/// A section.
pub struct Section {
    /// Its name as an argument.
    pub name: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// Runs the measurement.
    pub measure: fn(&mut Run) -> Result<()>,
}

/// All sections, in their order.
pub const ALL: &[Section] = &[
    Section {
        name: "ceilings",
        what: "echo, group commit and client alone: what the machine gives",
        measure: measure_ceilings,
    },
    Section { name: "accept", what: "taking events of an account without destinations", measure: accept },
    Section {
        name: "sustained",
        what: "taking and delivering, 1 and 3 destinations, 1,000 accounts",
        measure: sustained,
    },
    Section { name: "bodies", what: "taking and delivering bodies of 10 and 100 KB", measure: super::shapes::bodies },
    Section {
        name: "many",
        what: "taking and delivering, 1,000 destinations of one account, also in strict order",
        measure: super::shapes::many,
    },
    Section {
        name: "https",
        what: "taking and delivering over https, and over new connections",
        measure: super::https::measure,
    },
    Section {
        name: "shaping",
        what: "taking and delivering with filters and with templates",
        measure: super::shaping::measure,
    },
    Section {
        name: "sealing",
        what: "taking and delivering with secrets sealed in the file",
        measure: super::sealing::measure,
    },
    Section {
        name: "parts",
        what: "processor time of an event against its parts alone",
        measure: super::parts::measure,
    },
    Section {
        name: "readers",
        what: "taking events beside 16 clients that page through long lists",
        measure: super::readers::measure,
    },
    Section { name: "latency", what: "time to the answer at 1 and 256 connections", measure: latency },
    Section { name: "start", what: "from the start until it listens", measure: start },
    Section {
        name: "backlog",
        what: "draining, taking, memory and start with 1,000,000 pending",
        measure: super::backlog::measure,
    },
    Section { name: "size", what: "the binary", measure: size },
];

impl Run {
    /// A run in which nothing is measured yet.
    pub fn new(options: Options) -> Self {
        Self { options, report: Report::default(), echo: None, ureq: None, commit_ms: None, sustained: None }
    }

    /// Rate of the echo.
    pub fn echo(&mut self) -> Result<Ceiling> {
        if let Some(echo) = self.echo {
            return Ok(echo);
        }
        let server = EchoServer::start()?;
        let plan = Plan { path: "/echo".to_owned(), ..self.plan(server.address, &[], CONNECTIONS) };
        let generator = Generator::start(&plan)?;
        let processor = server.processor_time();
        let loaded = generator.finish(|| Ok(()))?;
        let processor_us = (server.processor_time() - processor) * 1e6 / loaded.measured as f64;
        self.report.take("ceiling: echo of the body by poem-openapi", loaded.rate(), "requests/s");
        Ok(*self.echo.insert(Ceiling { rate: loaded.rate(), processor_us }))
    }

    /// Rate of the same requests by ureq.
    pub fn ureq(&mut self) -> Result<Ceiling> {
        if let Some(ureq) = self.ureq {
            return Ok(ureq);
        }
        let ureq = ceilings::ureq(&mut Receiver::start()?, self.options.warm, self.options.length)?;
        self.report.take("ceiling: ureq to the receiver, 32 threads", ureq.rate, "requests/s");
        Ok(*self.ureq.insert(ureq))
    }

    fn commit_ms(&mut self) -> Result<f64> {
        if let Some(commit_ms) = self.commit_ms {
            return Ok(commit_ms);
        }
        let commit_ms = ceilings::commit_ms(300)?;
        self.report.take("ceiling: commit of one event", commit_ms, "ms");
        Ok(*self.commit_ms.insert(commit_ms))
    }

    /// The load of one account with one destination, with which others are compared.
    pub fn sustained(&mut self) -> Result<Sustained> {
        if let Some(sustained) = &self.sustained {
            return Ok(sustained.clone());
        }
        let ureq = self.ureq()?;
        let one = self.sustain("1 destination", Load::default())?;
        let figure = |name: &str, value, unit, target| Figure { name: name.to_owned(), value, unit, of: None, target };
        self.report.judge(Figure {
            of: Some(("ureq", ureq.rate)),
            ..figure("sustained, 1 destination", one.rate, "events/s", Target::AtLeast(0.38))
        });
        self.report.take("  server's processor time an event", one.processor_us, "µs");
        self.report.take("  share of a processor that the load used", one.loaded.processor, "");
        let [p50, p99, p999, _] = one.loaded.latency_ms;
        self.report.take("  answer at 64 connections, p50", p50, "ms");
        self.report.judge(figure("  answer at 64 connections, p99", p99, "ms", Target::AtMost(20.0)));
        self.report.take("  answer at 64 connections, p99.9", p999, "ms");
        self.report.judge(figure("memory, idle", one.idle as f64 / MEGABYTE, "MB", Target::AtMost(16.0)));
        self.report.judge(figure("memory, under load", one.peak as f64 / MEGABYTE, "MB", Target::AtMost(40.0)));
        Ok(self.sustained.insert(one).clone())
    }

    /// A plan with the usual warm-up and length.
    pub fn plan(&self, address: std::net::SocketAddr, accounts: &[Account], connections: usize) -> Plan {
        Plan {
            address,
            path: "/server/incoming_data".to_owned(),
            tokens: accounts.iter().map(|account| account.token.clone()).collect(),
            body: message::BODY,
            connections,
            first: 0,
            warm: self.options.warm,
            length: self.options.length,
            count: None,
            gate: None,
        }
    }

    /// Sends as many events as the server can accept and deliver, and measures.
    pub fn sustain(&mut self, name: &str, load: Load) -> Result<Sustained> {
        let Load { accounts, destinations, connections, body, manner, settings, sealed } = load;
        let mut receiver = Receiver::start_as(manner)?;
        let (mut flags, folder) = (receiver.flags(), tempfile::tempdir()?);
        if sealed {
            flags.extend(super::sealing::flags(&self.options.binary, folder.path())?);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut server = Server::start(&self.options.binary, &flags)?;
        server.settings = serde_json::from_str(settings)?;
        let urls: Vec<String> = (0..destinations).map(|place| receiver.url(place)).collect();
        let accounts = server.accounts(accounts, destinations, |number| urls[number % destinations].clone())?;
        // Time for the server to give back the memory that the setup used.
        thread::sleep(Duration::from_millis(500));
        let idle = server.resident()?;
        let each = destinations as u64;
        let most = MAX_UNDELIVERED_EVENTS.min(MAX_PENDING_DELIVERIES / each);
        let gate = Gate { tally: receiver.tally.clone(), before: 0, each, most };
        let plan = Plan { gate: Some(gate), body, ..self.plan(server.address, &accounts, connections) };
        let generator = Generator::start(&plan)?;
        let (began, before, processor) = (Instant::now(), receiver.count()?.first, server.processor_time());
        let mut peak = 0;
        let loaded = generator.finish(|| {
            peak = peak.max(server.resident()?);
            Ok(())
        })?;
        let delivered = (receiver.count()?.first - before) as f64 / each as f64;
        let rate = loaded.rate().min(delivered / began.elapsed().as_secs_f64());
        let processor_us = (server.processor_time() - processor) * 1e6 / delivered;
        let all = loaded.accepted * each;
        wait_for(&mut receiver, all)?;
        self.check(name, &server, &loaded, &mut receiver, all)?;
        Ok(Sustained { loaded, rate, processor_us, idle, peak })
    }

    /// Checks that every event was accepted, that every accepted event was delivered, and that the log has no errors.
    fn check(&mut self, name: &str, server: &Server, loaded: &Loaded, receiver: &mut Receiver, all: u64) -> Result<()> {
        let received = receiver.count()?;
        if received.first != all {
            self.report.fault(format!("{name}: {all} deliveries were owed, {} came", received.first));
        }
        if loaded.refused > 0 {
            self.report.fault(format!("{name}: {} events were refused", loaded.refused));
        }
        if server.errors() > 0 {
            self.report.fault(format!("{name}: {} errors in the server's log", server.errors()));
        }
        if received.requests != received.first {
            self.report.take(format!("  {name}: repeats"), (received.requests - received.first) as f64, "requests");
        }
        Ok(())
    }
}

/// Waits until `all` deliveries have come, at most [`DELIVERY_TIMEOUT`].
pub fn wait_for(receiver: &mut Receiver, all: u64) -> Result<()> {
    let began = Instant::now();
    while receiver.count()?.first < all && began.elapsed() < DELIVERY_TIMEOUT {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn measure_ceilings(run: &mut Run) -> Result<()> {
    let receiver = Receiver::start()?;
    let plan = Plan { path: "/0".to_owned(), ..run.plan(receiver.address(), &[], CONNECTIONS) };
    let own = Generator::start(&plan)?.finish(|| Ok(()))?.rate();
    run.report.take("ceiling: the load to the receiver", own, "requests/s");
    drop(receiver);
    run.echo()?;
    let accepted = ceilings::group_commit(false, run.options.length)?;
    run.report.take("ceiling: group commit of events, 64 at once", accepted.rate, "events/s");
    let delivered = ceilings::group_commit(true, run.options.length)?;
    run.report.take("ceiling: the same with delivery and outcome", delivered.rate, "events/s");
    run.commit_ms()?;
    run.ureq()?;
    Ok(())
}

fn accept(run: &mut Run) -> Result<()> {
    let echo = run.echo()?;
    let mut server = Server::start(&run.options.binary, &[])?;
    let accounts = server.accounts(1, 0, |_| String::new())?;
    let generator = Generator::start(&run.plan(server.address, &accounts, CONNECTIONS))?;
    let processor = server.processor_time();
    let loaded = generator.finish(|| Ok(()))?;
    let processor_us = (server.processor_time() - processor) * 1e6 / loaded.measured as f64;
    run.report.judge(Figure {
        name: "taken, no destinations".to_owned(),
        value: loaded.rate(),
        unit: "events/s",
        of: Some(("echo", echo.rate)),
        target: Target::AtLeast(0.65),
    });
    run.report.take("  server's processor time an event", processor_us, "µs");
    run.report.take("  answer at 64 connections, p99", loaded.latency_ms[1], "ms");
    if loaded.refused > 0 {
        run.report.fault(format!("{} events were refused", loaded.refused));
    }
    Ok(())
}

fn sustained(run: &mut Run) -> Result<()> {
    let (ureq, one) = (run.ureq()?, run.sustained()?);
    let three = run.sustain("3 destinations", Load { destinations: 3, ..Load::default() })?;
    run.report.judge(Figure {
        name: "sustained, 3 destinations".to_owned(),
        value: three.rate * 3.0,
        unit: "deliveries/s",
        of: Some(("ureq", ureq.rate)),
        target: Target::AtLeast(0.60),
    });
    run.report.take("  server's processor time an event", three.processor_us, "µs");
    run.report.take("  answer at 64 connections, p99", three.loaded.latency_ms[1], "ms");
    let many = run.sustain("1,000 accounts", Load { accounts: 1_000, ..Load::default() })?;
    run.report.judge(Figure {
        name: "sustained, 1,000 accounts with 1 destination each".to_owned(),
        value: many.rate,
        unit: "events/s",
        of: Some(("one account", one.rate)),
        target: Target::AtLeast(0.8),
    });
    run.report.take("  server's processor time an event", many.processor_us, "µs");
    run.report.take("  answer at 64 connections, p99", many.loaded.latency_ms[1], "ms");
    Ok(())
}

fn latency(run: &mut Run) -> Result<()> {
    let commit_ms = run.commit_ms()?;
    for connections in [1, 256] {
        let what = format!("{connections} connection{}", if connections == 1 { "" } else { "s" });
        let found = run.sustain(&what, Load { connections, ..Load::default() })?;
        let [p50, p99, p999, _] = found.loaded.latency_ms;
        run.report.take(format!("sustained at {what}"), found.rate, "events/s");
        run.report.judge(Figure {
            name: format!("  answer at {what}, p50"),
            value: p50,
            unit: "ms",
            of: (connections == 1).then_some(("a commit", commit_ms)),
            target: if connections == 1 { Target::AtMost(3.0) } else { Target::None },
        });
        run.report.take(format!("  answer at {what}, p99"), p99, "ms");
        run.report.take(format!("  answer at {what}, p99.9"), p999, "ms");
    }
    Ok(())
}

fn start(run: &mut Run) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(Server::start(&run.options.binary, &[])?.started_in);
    }
    took.sort_unstable();
    run.report.judge(Figure {
        name: "start until it listens, a new file".to_owned(),
        value: took[2].as_secs_f64() * 1e3,
        unit: "ms",
        of: None,
        target: Target::AtMost(20.0),
    });
    Ok(())
}

fn size(run: &mut Run) -> Result<()> {
    run.report.judge(Figure {
        name: "size of the binary".to_owned(),
        value: run.options.binary.metadata()?.len() as f64 / MEGABYTE,
        unit: "MB",
        of: None,
        target: Target::AtMost(15.0),
    });
    Ok(())
}
