//! Accepting events beside ten live pages, in turns with and without them. The pages show these very events.

use std::thread;
use std::time::{Duration, Instant};

use super::Options;
use super::file::BUSY;
use super::live::{LivePages, Page};
use super::pages::percentile_ms;
use super::support::Result;
use super::support::generator::{Gate, Generator, Loaded, Plan};
use super::support::message;
use super::support::receiver::Receiver;
use super::support::report::{Figure, Report, Target};
use super::support::server::{Account, Server};
use super::support::system::own_processor_time;

const CONNECTIONS: usize = 64;

/// Load before each measurement. The pages are open by then and have been read once.
const WARM: Duration = Duration::from_millis(1_500);

/// Maximum of events that are accepted and not yet delivered.
const MAX_UNDELIVERED: u64 = 1_000;

/// Maximum wait for the last deliveries of a measurement.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is measured.
struct Load<'a> {
    name: &'static str,
    account: &'a [Account],
    pages: Vec<Page>,
    /// Whether events are delivered. Otherwise their destination is paused.
    delivers: bool,
}

/// One measurement.
struct Measured {
    rate: f64,
    processor_us: f64,
    readings: Vec<Duration>,
    /// Share of a processor that the ten clients used.
    clients: f64,
    p99_ms: f64,
}

pub fn measure(options: &Options, server: &mut Server, report: &mut Report) -> Result<()> {
    let mut receiver = Receiver::start()?;
    let url = receiver.url(0);
    let delivered = server.accounts(1, 1, |_| url.clone())?;
    let kept = server.accounts(1, 1, |_| url.clone())?;
    let (to, held) = (one(server, &delivered)?, one(server, &kept)?);
    server.steer(std::slice::from_ref(&held), "pause")?;
    let mut sent = 0;
    for load in [
        Load { name: "sustained, 1 destination", account: &delivered, pages: pages(&to), delivers: true },
        Load { name: "taken, destination paused", account: &kept, pages: pages(&held), delivers: false },
    ] {
        pairs(options, server, &mut receiver, &load, &mut sent, report)?;
    }
    Ok(())
}

fn one(server: &Server, account: &[Account]) -> Result<String> {
    Ok(server.destinations(account)?.pop().ok_or("an account without a destination")?)
}

/// Four logs, three overviews, and three pages of destinations, of which one is another.
fn pages(destination: &str) -> Vec<Page> {
    let page = |page: String, stream: String| Page { page, stream };
    let of = |id: &str| page(format!("/destinations/{id}"), format!("/live?destination_id={id}"));
    let log = || page("/deliveries".to_owned(), "/live".to_owned());
    let overview = || page("/".to_owned(), "/live".to_owned());
    vec![log(), log(), log(), log(), overview(), overview(), overview(), of(destination), of(destination), of(BUSY)]
}

fn pairs(
    options: &Options,
    server: &Server,
    receiver: &mut Receiver,
    load: &Load<'_>,
    sent: &mut u64,
    report: &mut Report,
) -> Result<()> {
    let (mut ratios, mut without, mut with) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..options.pairs {
        // The order changes from pair to pair, because a machine's speed changes, and the file grows.
        let mut turn = |live: bool| once(options, server, receiver, load, live, sent);
        let (bare, beside) = if pair % 2 == 0 {
            let bare = turn(false)?;
            (bare, turn(true)?)
        } else {
            let beside = turn(true)?;
            (turn(false)?, beside)
        };
        ratios.push(beside.rate / bare.rate);
        without.push(bare);
        with.push(beside);
    }
    let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
    println!("{}, ratios of the pairs: {}", load.name, shown.join(" "));
    let of = |all: &[Measured], value: fn(&Measured) -> f64| median(all.iter().map(value).collect());
    let rate = of(&without, |one| one.rate);
    report.take(format!("{}, no page is open", load.name), rate, "events/s");
    // The median of the ratios, not the ratio of the medians: each ratio is of two neighbours in time.
    report.judge(Figure {
        name: format!("{}, beside ten live pages", load.name),
        value: median(ratios) * rate,
        unit: "events/s",
        of: Some(("no page", rate)),
        target: Target::AtLeast(0.95),
    });
    report.take("  server's processor time an event, no page", of(&without, |one| one.processor_us), "µs");
    report.take("  the same beside live pages", of(&with, |one| one.processor_us), "µs");
    report.take("  answer, p99, no page", of(&without, |one| one.p99_ms), "ms");
    report.take("  the same beside live pages", of(&with, |one| one.p99_ms), "ms");
    report.take("  share of a processor that the pages' clients used", of(&with, |one| one.clients), "");
    let mut readings: Vec<Duration> = with.iter().flat_map(|one| one.readings.iter().copied()).collect();
    let seconds = (options.length + WARM).as_secs_f64() * with.len() as f64;
    report.take("  pages read again", readings.len() as f64 / seconds, "pages/s");
    report.take("  reading a page again, p95", percentile_ms(&mut readings, 0.95), "ms");
    if readings.is_empty() {
        report.fault("no live page was read again".to_owned());
    }
    Ok(())
}

fn once(
    options: &Options,
    server: &Server,
    receiver: &mut Receiver,
    load: &Load<'_>,
    live: bool,
    sent: &mut u64,
) -> Result<Measured> {
    let before = receiver.count()?.first;
    let gate = Gate { tally: receiver.tally.clone(), before, each: 1, most: MAX_UNDELIVERED };
    let plan = Plan {
        address: server.address,
        path: "/server/incoming_data".to_owned(),
        tokens: load.account.iter().map(|account| account.token.clone()).collect(),
        body: message::BODY,
        connections: CONNECTIONS,
        first: *sent,
        warm: WARM,
        length: options.length,
        count: None,
        gate: load.delivers.then_some(gate),
    };
    let open = live.then(|| LivePages::open(server.address, &load.pages));
    let generator = Generator::start(&plan)?;
    let (processor, clients) = (server.processor_time(), own_processor_time());
    let loaded = generator.finish(|| Ok(()))?;
    let (processor, clients) = (server.processor_time() - processor, own_processor_time() - clients);
    let readings = open.map_or_else(|| Ok(Vec::new()), LivePages::close)?;
    *sent += loaded.accepted + loaded.refused;
    if loaded.refused > 0 {
        return Err(format!("{} events were refused", loaded.refused).into());
    }
    if load.delivers {
        wait_for(receiver, before + loaded.accepted)?;
    }
    Ok(measured(&loaded, processor, clients, readings))
}

fn measured(loaded: &Loaded, processor: f64, clients: f64, readings: Vec<Duration>) -> Measured {
    Measured {
        rate: loaded.rate(),
        processor_us: processor * 1e6 / loaded.measured as f64,
        readings,
        clients: clients / loaded.seconds,
        p99_ms: loaded.latency_ms[1],
    }
}

/// Waits until the receiver has as many events.
fn wait_for(receiver: &mut Receiver, all: u64) -> Result<()> {
    let end = Instant::now() + DELIVERY_TIMEOUT;
    while receiver.count()?.first < all {
        if Instant::now() > end {
            return Err("the last deliveries do not come".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
