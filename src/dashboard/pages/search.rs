//! The search for a text in the documents of events.

use askama::Template;

use super::address;
use super::filters::Filters;
use crate::dashboard::context::Visitor;
use crate::dashboard::form::{Form, parsed};
use crate::dashboard::respond::{PageResult, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::time::At;
use crate::dashboard::view::words;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::store::PayloadSearch;

/// Events that a page of the search shows.
const FOUND: u16 = 25;

/// Longest text to search for, in bytes.
const MAX_SEARCH_BYTES: usize = 1_000;

/// An event whose document holds the text that was searched for.
struct Found {
    id: String,
    account_id: String,
    received: At,
    size: String,
    states: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    filters: Filters,
    states: [DeliveryState; 4],
    found: Vec<Found>,
    looked_at: String,
    back_to: Option<At>,
    next: Option<String>,
    is_over: bool,
}

/// The page of a search.
///
/// # Errors
/// Unavailable if the file cannot be read.
pub async fn search(visitor: &Visitor, mut asked: Form) -> PageResult {
    let account_id = asked.optional("account_id", parsed).flatten();
    let before = asked.optional("before", parsed).flatten();
    let text = asked.text("q").to_owned();
    if text.len() > MAX_SEARCH_BYTES {
        asked.fault("q", format!("must be at most {MAX_SEARCH_BYTES} bytes long"));
    }
    let filters = Filters::shown(&asked);
    let frame = visitor.frame("deliveries");
    let states = DeliveryState::ALL;
    if !asked.is_right() {
        let (found, looked_at) = (Vec::new(), String::new());
        return show(&SearchPage {
            frame,
            filters,
            states,
            found,
            looked_at,
            back_to: None,
            next: None,
            is_over: true,
        });
    }
    let search = PayloadSearch { account_id, text, before };
    let matches = visitor.store.search_payloads(search, FOUND).await?;
    let found = matches.events.into_iter().map(|event| Found {
        id: event.id.to_string(),
        account_id: event.account_id.to_string(),
        received: At(event.received_at),
        size: words::bytes(event.payload_bytes),
        states: states_of(&event.deliveries),
    });
    let pairs = [("q", &*filters.q.value), ("account_id", &*filters.account_id.value)];
    let next = matches.next.map(|next| address("/deliveries", &[pairs[0], pairs[1], ("before", &next.to_string())]));
    show(&SearchPage {
        frame,
        states,
        found: found.collect(),
        looked_at: words::count(matches.looked_at),
        back_to: matches.back_to.map(At),
        next,
        is_over: matches.is_over,
        filters,
    })
}

/// `2 succeeded, 1 pending`.
fn states_of(deliveries: &[Delivery]) -> String {
    let of = |state: DeliveryState| deliveries.iter().filter(|delivery| delivery.state == state).count();
    let parts = DeliveryState::ALL.into_iter().map(|state| (of(state), state)).filter(|(count, _)| *count > 0);
    parts.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}
