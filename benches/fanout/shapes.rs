//! Events with long bodies, and events that go to many destinations.

use super::compare::{Comparison, compare};
use super::sections::{Load, Run};
use super::support::Result;
use super::support::report::{Figure, Target};

/// Events with long bodies.
pub fn bodies(run: &mut Run) -> Result<()> {
    for (name, body) in [("10 KB", 10_000), ("100 KB", 100_000)] {
        let found = run.sustain(name, Load { body, ..Load::default() })?;
        run.report.take(format!("sustained, bodies of {name}"), found.rate, "events/s");
        run.report.take("  of documents", found.rate * body as f64 / 1e6, "MB/s");
        run.report.take("  server's processor time an event", found.processor_us, "µs");
        run.report.take("  answer at 64 connections, p99", found.loaded.latency_ms[1], "ms");
        run.report.take("  memory under load", found.peak as f64 / 1e6, "MB");
    }
    Ok(())
}

/// One account with as many destinations as an account may have.
pub fn many(run: &mut Run) -> Result<()> {
    const DESTINATIONS: usize = 1_000;
    let ureq = run.ureq()?;
    let found = run.sustain("1,000 destinations", Load { destinations: DESTINATIONS, ..Load::default() })?;
    run.report.judge(Figure {
        name: "sustained, 1 account with 1,000 destinations".to_owned(),
        value: found.rate * DESTINATIONS as f64,
        unit: "deliveries/s",
        of: Some(("ureq", ureq.rate)),
        target: Target::AtLeast(0.4),
    });
    run.report.take("  server's processor time a delivery", found.processor_us / DESTINATIONS as f64, "µs");
    run.report.take("  answer, 16 events at once, p50", found.loaded.latency_ms[0], "ms");
    run.report.take("  answer, 16 events at once, p99", found.loaded.latency_ms[1], "ms");
    run.report.take("  memory under load", found.peak as f64 / 1e6, "MB");
    in_order(run, DESTINATIONS)
}

/// Strict order against one request at a time without it.
fn in_order(run: &mut Run, destinations: usize) -> Result<()> {
    let load = Load { destinations, ..Load::default() };
    let comparison = Comparison {
        plain: (
            "sustained, the same with one request at a time",
            Load { settings: r#"{"max_concurrency": 1}"#, ..load },
        ),
        other: ("sustained, the same in strict order", Load { settings: r#"{"ordering": "strict"}"#, ..load }),
        of: "one at a time",
        least: 0.95,
        unit: ("deliveries/s", destinations as f64),
    };
    compare(run, &comparison)
}
