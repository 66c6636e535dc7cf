//! What filters and templates cost: the same load with and without them, one after the other, because machines are noisy.

use super::sections::{Load, Run};
use super::support::Result;
use super::support::report::{Figure, Target};

/// Destinations of the account. Each of them has the filter, or the template.
const DESTINATIONS: usize = 3;

/// True for every event of the load.
const FILTER: &str = r#"{"filter": "data.kind == 'order.paid' and data.total > 10 and 'eu' in data.customer.tags"}"#;

/// Begins as a body of the load does, so that the receiver knows the event's number.
const TEMPLATE: &str =
    r#"{"body_template": "{\"id\":{{ data.id }},\"name\":{{ data.customer.name }},\"total\":{{ raw.total }}}"}"#;

/// Measures the whole section.
pub fn measure(run: &mut Run) -> Result<()> {
    for (what, settings, least) in [("a filter", FILTER, 0.9), ("a template", TEMPLATE, 0.7)] {
        let load = Load { destinations: DESTINATIONS, ..Load::default() };
        let plain = run.sustain(what, load)?;
        let found = run.sustain(what, Load { settings, ..load })?;
        let each = DESTINATIONS as f64;
        run.report.take(format!("3 destinations without {what}"), plain.rate * each, "deliveries/s");
        run.report.judge(Figure {
            name: format!("3 destinations with {what} each"),
            value: found.rate * each,
            unit: "deliveries/s",
            of: Some(("without", plain.rate * each)),
            target: Target::AtLeast(least),
        });
        run.report.take("  server's processor time an event", found.processor_us, "µs");
        run.report.take("  the same without", plain.processor_us, "µs");
    }
    Ok(())
}
