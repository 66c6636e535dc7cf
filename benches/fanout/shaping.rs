//! What filters and templates cost: the same load with and without them.

use super::compare::{Comparison, compare};
use super::sections::{Load, Run};
use super::support::Result;

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
        let comparison = Comparison {
            plain: (&format!("3 destinations without {what}"), load),
            other: (&format!("3 destinations with {what} each"), Load { settings, ..load }),
            of: "without",
            least,
            unit: ("deliveries/s", DESTINATIONS as f64),
        };
        compare(run, &comparison)?;
    }
    Ok(())
}
