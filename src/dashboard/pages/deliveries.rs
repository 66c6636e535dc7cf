//! The log of deliveries: filters, pages, and a search in the documents. The address holds the whole view.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use poem::Request;
use poem_openapi::OpenApi;

use super::{address, query};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::form::{Field, Form, parsed};
use crate::dashboard::respond::{PageResult, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::time::At;
use crate::dashboard::view::words;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::duration;
use crate::domain::page::{Cursor, DEFAULT_LIMIT, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::{DeliveryFilter, PayloadSearch, Store};

/// Most readings of the store for one page. Each looks at a bounded number of deliveries.
const MAX_READS: usize = 4;

/// Events that a page of the search shows.
const FOUND: u16 = 25;

/// Longest text to search for, in bytes.
const MAX_SEARCH_BYTES: usize = 1_000;

/// Windows to choose from: value in the address, and words.
const WITHIN: [(&str, &str); 5] =
    [("", "any time"), ("1h", "last hour"), ("1d", "last day"), ("7d", "last 7 days"), ("30d", "last 30 days")];

/// The filters of the address, as they are shown and passed on.
#[derive(Default)]
pub struct Filters {
    /// Account.
    pub account_id: Field,
    /// Destination.
    pub destination_id: Field,
    /// Event.
    pub event_id: Field,
    /// State.
    pub state: Field,
    /// Status of the last attempt.
    pub status_code: Field,
    /// Received at this time or later.
    pub since: Field,
    /// Received before this time.
    pub until: Field,
    /// Received within this time before now.
    pub within: Field,
    /// Text in the document.
    pub q: Field,
}

/// An event whose document holds the text that was searched for.
struct Found {
    id: String,
    account_id: String,
    received: At,
    size: String,
    states: String,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    filters: Filters,
    states: [DeliveryState; 4],
    windows: [(&'static str, &'static str); 5],
    rows: Vec<DeliveryRow>,
    is_first: bool,
    first: String,
    next: Option<String>,
    looked_to: Option<At>,
    replay: Option<String>,
    here: String,
    has_filter: bool,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    filters: Filters,
    states: [DeliveryState; 4],
    windows: [(&'static str, &'static str); 5],
    found: Vec<Found>,
    looked_at: String,
    back_to: Option<At>,
    next: Option<String>,
    is_over: bool,
}

/// The log of deliveries.
pub struct DeliveriesPages(pub Arc<DashboardContext>);

#[OpenApi]
impl DeliveriesPages {
    #[oai(path = "/deliveries", method = "get", hidden)]
    async fn list(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request)?;
        let mut asked = query(request);
        if !asked.text("q").is_empty() {
            return self.search(&visitor, asked).await;
        }
        let filter = read(&mut asked, visitor.now);
        let cursor = asked.optional("cursor", parsed::<Cursor>).flatten();
        let filters = Filters::shown(&asked);
        let store = &self.0.store;
        let page = match asked.is_right() {
            true => full_page(store, &filter, cursor).await?,
            // What is wrong stands at its field, and nothing is shown that was not asked for.
            false => Page { items: Vec::new(), next: None },
        };
        let is_short = page.items.len() < usize::from(DEFAULT_LIMIT);
        let looked_to = page.next.filter(|_| is_short).map(|Cursor(id)| At(crate::domain::ids::sequence_time(id)));
        let pairs = filters.pairs();
        let first = address("/deliveries", &pairs);
        let next = page.next.map(|next| with_cursor(&pairs, &next.to_string()));
        let narrow = [("account_id", &*filters.account_id.value), ("destination_id", &*filters.destination_id.value)];
        let has_filter = !pairs.is_empty();
        let is_first = cursor.is_none();
        let here = match cursor {
            Some(cursor) => with_cursor(&pairs, &cursor.to_string()),
            None => first.clone(),
        };
        let replay = (has_filter && asked.is_right()).then(|| address("/deliveries/replay", &pairs));
        show(&DeliveriesPage {
            frame: visitor.frame("deliveries").live(address("/live", &narrow)).noticing(asked.text("done")),
            rows: rows(store, page.items).await?,
            states: DeliveryState::ALL,
            windows: WITHIN,
            is_first,
            first,
            next,
            looked_to,
            replay,
            here,
            has_filter,
            filters,
        })
    }
}

impl DeliveriesPages {
    async fn search(&self, visitor: &Visitor, mut asked: Form) -> PageResult {
        let account_id = asked.optional("account_id", parsed).flatten();
        let before = asked.optional("before", parsed).flatten();
        let text = asked.text("q").to_owned();
        if text.len() > MAX_SEARCH_BYTES {
            asked.fault("q", format!("must be at most {MAX_SEARCH_BYTES} bytes long"));
        }
        let filters = Filters::shown(&asked);
        let frame = visitor.frame("deliveries");
        let (states, windows) = (DeliveryState::ALL, WITHIN);
        if !asked.is_right() {
            let (found, looked_at) = (Vec::new(), String::new());
            return show(&SearchPage {
                frame,
                filters,
                states,
                windows,
                found,
                looked_at,
                back_to: None,
                next: None,
                is_over: true,
            });
        }
        let search = PayloadSearch { account_id, text, before };
        let matches = self.0.store.search_payloads(search, FOUND).await?;
        let found = matches.events.into_iter().map(|event| Found {
            id: event.id.to_string(),
            account_id: event.account_id.to_string(),
            received: At(event.received_at),
            size: words::bytes(event.payload_bytes),
            states: states_of(&event.deliveries),
        });
        let pairs = [("q", &*filters.q.value), ("account_id", &*filters.account_id.value)];
        let next =
            matches.next.map(|next| address("/deliveries", &[pairs[0], pairs[1], ("before", &next.to_string())]));
        show(&SearchPage {
            frame,
            states,
            windows,
            found: found.collect(),
            looked_at: words::count(matches.looked_at),
            back_to: matches.back_to.map(At),
            next,
            is_over: matches.is_over,
            filters,
        })
    }
}

/// `2 succeeded, 1 pending`.
fn states_of(deliveries: &[Delivery]) -> String {
    let of = |state: DeliveryState| deliveries.iter().filter(|delivery| delivery.state == state).count();
    let parts = DeliveryState::ALL.into_iter().map(|state| (of(state), state)).filter(|(count, _)| *count > 0);
    parts.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

fn with_cursor(pairs: &[(&'static str, &str)], cursor: &str) -> String {
    let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain([("cursor", cursor)]).collect();
    address("/deliveries", &pairs)
}

/// Reads the filters. Errors are in the form.
pub fn read(asked: &mut Form, now: Timestamp) -> DeliveryFilter {
    let within = asked.optional("within", duration::parse).flatten();
    let since = asked.optional("since", parsed::<Timestamp>).flatten();
    DeliveryFilter {
        account_id: asked.optional("account_id", parsed).flatten(),
        destination_id: asked.optional("destination_id", parsed).flatten(),
        event_id: asked.optional("event_id", parsed).flatten(),
        state: asked.optional("state", parsed).flatten(),
        status_code: asked.optional("status_code", status).flatten(),
        since: since.or(within.map(|within: Duration| now.minus(within))),
        until: asked.optional("until", parsed::<Timestamp>).flatten(),
    }
}

fn status(text: &str) -> std::result::Result<u16, String> {
    let wrong = || "must be a status from 100 to 599".to_owned();
    text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(wrong)
}

impl Filters {
    /// The filters as they were given.
    pub fn shown(asked: &Form) -> Self {
        Self {
            account_id: asked.field("account_id"),
            destination_id: asked.field("destination_id"),
            event_id: asked.field("event_id"),
            state: asked.field("state"),
            status_code: asked.field("status_code"),
            since: asked.field("since"),
            until: asked.field("until"),
            within: asked.field("within"),
            q: asked.field("q"),
        }
    }

    /// Name and value of each filter that is set.
    pub fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            &self.account_id,
            &self.destination_id,
            &self.event_id,
            &self.state,
            &self.status_code,
            &self.since,
            &self.until,
            &self.within,
        ];
        let pairs = all.into_iter().map(|field| (field.name, field.value.trim()));
        pairs.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// What is wrong with the filters of the first row, which has no space for it at each field.
    pub fn faults(&self) -> Vec<String> {
        let row = [
            ("Account id", &self.account_id),
            ("Destination id", &self.destination_id),
            ("State", &self.state),
            ("Received", &self.within),
            ("Text", &self.q),
        ];
        row.into_iter().filter_map(|(label, field)| Some(format!("{label}: {}", field.fault.as_ref()?))).collect()
    }

    /// Whether a filter is set that stands in the second row, which is closed otherwise.
    pub fn has_more(&self) -> bool {
        [&self.event_id, &self.status_code, &self.since, &self.until].iter().any(|field| !field.value.is_empty())
    }
}

/// Reads until the page is full, there is no more, or enough was looked at.
async fn full_page(store: &Store, filter: &DeliveryFilter, mut cursor: Option<Cursor>) -> Result<Page<Delivery>> {
    let mut items = Vec::new();
    for _ in 0..MAX_READS {
        let left = usize::from(DEFAULT_LIMIT) - items.len();
        let limit = u16::try_from(left).unwrap_or(DEFAULT_LIMIT);
        let page = store.deliveries(filter.clone(), PageRequest { limit, cursor }).await?;
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() || items.len() >= usize::from(DEFAULT_LIMIT) {
            break;
        }
    }
    Ok(Page { items, next: cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_holds_the_whole_view() {
        let mut asked = Form::of(b"state=exhausted&status_code=503&within=1h&other=x");
        let now = Timestamp::from_millis(7_200_000);
        let filter = read(&mut asked, now);
        assert!(asked.is_right());
        assert_eq!((filter.state, filter.status_code), (Some(DeliveryState::Exhausted), Some(503)));
        assert_eq!(filter.since, Some(Timestamp::from_millis(3_600_000)));
        let filters = Filters::shown(&asked);
        let pairs = filters.pairs();
        assert_eq!(address("/deliveries", &pairs), "/deliveries?state=exhausted&status_code=503&within=1h");
    }

    #[test]
    fn a_wrong_filter_is_said_at_its_field() {
        let mut asked = Form::of(b"state=lost&status_code=9&since=yesterday");
        read(&mut asked, Timestamp::EPOCH);
        let filters = Filters::shown(&asked);
        for field in [filters.state, filters.status_code, filters.since] {
            assert!(field.fault.is_some(), "{}", field.name);
        }
    }
}
