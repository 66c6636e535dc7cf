use super::*;

mod aim;
mod documents;
mod expressions;
mod jinja;
mod mistakes;
mod properties;
mod rules;
mod twin;

const RECEIVED_AT: &str = "2026-10-05T12:00:00.123Z";
const ACCOUNT: &str = "acc_V1StGXR8Z5jd";

/// An event of type `order.paid`.
fn event(document: &[u8]) -> FilteredEvent<'_> {
    FilteredEvent { document, event_type: Some("order.paid"), received_at: RECEIVED_AT, account_id: ACCOUNT }
}

/// Whether an event with this document comes through.
fn holds(source: &str, document: &str) -> bool {
    Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}")).matches(&event(document.as_bytes()))
}

/// Checks that each filter gives `answer` for a document.
fn all(answer: bool, document: &str, sources: &[&str]) {
    for source in sources {
        assert_eq!(holds(source, document), answer, "{source} for {document}");
    }
}
