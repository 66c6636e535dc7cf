//! Accepting events while clients page through long lists: reads must not keep events out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::sections::{CONNECTIONS, Run};
use super::support::Result;
use super::support::generator::{Generator, Loaded, Plan};
use super::support::http::Client;
use super::support::report::{Figure, Target};
use super::support::server::{Account, Server};
use super::support::system::own_processor_time;

/// Clients that page. Each asks for its next page as soon as it has the previous one.
const CLIENTS: usize = 16;

/// Number of events whose deliveries are listed.
const LISTED: u64 = 50_000;

/// Deliveries on a page.
const PAGE: usize = 200;

/// Measures the whole section.
pub fn measure(run: &mut Run) -> Result<()> {
    let mut server = Server::start(&run.options.binary, &[])?;
    let listed = server.accounts(1, 1, |_| "http://127.0.0.1:9/".to_owned())?;
    server.steer(&server.destinations(&listed)?, "pause")?;
    let plan = Plan { count: Some(LISTED), warm: Duration::ZERO, ..run.plan(server.address, &listed, CONNECTIONS) };
    Generator::start(&plan)?.finish(|| Ok(()))?;
    let accounts = server.accounts(1, 0, |_| String::new())?;
    let before = accept(run, &server, &accounts)?;
    let (stop, pages) = (AtomicBool::new(false), AtomicU64::new(0));
    let (with_readers, read, used) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| page(&server, &listed[0], &stop, &pages))).collect();
        let (first, used) = (pages.load(Ordering::Relaxed), own_processor_time());
        let with_readers = accept(run, &server, &accounts);
        let (last, used) = (pages.load(Ordering::Relaxed), own_processor_time() - used);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((with_readers?, last - first, used))
    })?;
    // The pages were counted during the warm-up too.
    let seconds = (run.options.warm + run.options.length).as_secs_f64();
    run.report.take("taken, nobody pages", before.rate(), "events/s");
    run.report.judge(Figure {
        name: format!("taken beside {CLIENTS} clients that page"),
        value: with_readers.rate(),
        unit: "events/s",
        of: Some(("nobody pages", before.rate())),
        target: Target::AtLeast(0.8),
    });
    run.report.take("  answer at 64 connections, p99", with_readers.latency_ms[1], "ms");
    run.report.take(format!("  pages of {PAGE}"), read as f64 / seconds, "pages/s");
    run.report.take("  share of a processor that the clients used", used / seconds, "");
    if server.errors() > 0 {
        run.report.fault(format!("readers: {} errors in the server's log", server.errors()));
    }
    Ok(())
}

fn accept(run: &Run, server: &Server, accounts: &[Account]) -> Result<Loaded> {
    Generator::start(&run.plan(server.address, accounts, CONNECTIONS))?.finish(|| Ok(()))
}

/// Pages through the deliveries of an account, again and again.
fn page(server: &Server, account: &Account, stop: &AtomicBool, pages: &AtomicU64) -> Result<()> {
    let mut client = Client::new(server.address);
    let mut cursor = String::new();
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/v1/deliveries?account_id={}&limit={PAGE}{cursor}", account.id);
        let answer = client.get(&path)?;
        if answer.status != 200 {
            return Err(format!("{path} answered {}", answer.status).into());
        }
        pages.fetch_add(1, Ordering::Relaxed);
        // A search for the cursor costs less than parsing the whole page as JSON.
        let text = String::from_utf8_lossy(&answer.body);
        let next = text.rsplit_once(r#""next_cursor":""#).and_then(|(_, rest)| rest.split('"').next());
        cursor = next.map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    Ok(())
}
