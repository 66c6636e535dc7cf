//! Deliveries over https compared with the same over http, on kept connections and on new ones.

use super::sections::{Load, Run};
use super::support::Result;
use super::support::receiver::Manner;
use super::support::report::{Figure, Target};

/// Measures the whole section. Both of a pair are measured one after the other, because machines are noisy.
pub fn measure(run: &mut Run) -> Result<()> {
    for (destinations, manner, secure, what, least) in [
        (1, Manner::Http, Manner::Https, "1 destination, connections kept", Some(0.75)),
        (3, Manner::Http, Manner::Https, "3 destinations, connections kept", Some(0.75)),
        (1, Manner::HttpOnce, Manner::HttpsOnce, "1 destination, a connection each", None),
        (3, Manner::HttpOnce, Manner::HttpsOnce, "3 destinations, a connection each", None),
    ] {
        let load = Load { destinations, manner, ..Load::default() };
        let plain = run.sustain(what, load)?;
        let found = run.sustain(what, Load { manner: secure, ..load })?;
        let each = destinations as f64;
        run.report.take(format!("http, {what}"), plain.rate * each, "deliveries/s");
        run.report.judge(Figure {
            name: format!("https, {what}"),
            value: found.rate * each,
            unit: "deliveries/s",
            of: Some(("http", plain.rate * each)),
            target: least.map_or(Target::None, Target::AtLeast),
        });
        run.report.take("  server's processor time an event", found.processor_us, "µs");
        run.report.take("  answer at 64 connections, p99", found.loaded.latency_ms[1], "ms");
    }
    Ok(())
}
