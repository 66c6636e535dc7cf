//! The log of deliveries: filters, pages, and a search in the documents. The address holds the whole view.

use std::sync::Arc;

use askama::Template;
use poem::Request;
use poem_openapi::OpenApi;

use super::filters::{Filters, read};
use super::search::search;
use super::{address, query};
use crate::dashboard::context::DashboardContext;
use crate::dashboard::form::parsed;
use crate::dashboard::respond::{PageResult, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::time::At;
use crate::domain::access::Role;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::page::{Cursor, DEFAULT_LIMIT, Page, PageRequest};
use crate::error::Result;
use crate::store::{DeliveryFilter, ScopedStore};

/// Most readings of the store for one page. Each looks at a bounded number of deliveries.
const MAX_READS: usize = 4;

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    filters: Filters,
    states: [DeliveryState; 4],
    rows: Vec<DeliveryRow>,
    is_first: bool,
    first: String,
    next: Option<String>,
    looked_to: Option<At>,
    replay: Option<String>,
    here: String,
    has_filter: bool,
    is_wrong: bool,
}

/// The log of deliveries.
pub struct DeliveriesPages(pub Arc<DashboardContext>);

#[OpenApi]
impl DeliveriesPages {
    #[oai(path = "/deliveries", method = "get", hidden)]
    async fn list(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        let mut asked = query(request);
        if !asked.text("q").is_empty() {
            return search(&visitor, asked).await;
        }
        let filter = read(&mut asked, visitor.now);
        let cursor = asked.optional("cursor", parsed::<Cursor>).flatten();
        let filters = Filters::shown(&asked);
        let store = &visitor.store;
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
        // Nothing happens to a list of nothing.
        let live = if asked.is_right() { address("/live", &narrow) } else { String::new() };
        let may_replay = visitor.may(Role::Operator) && has_filter && asked.is_right();
        let replay = may_replay.then(|| address("/deliveries/replay", &pairs));
        show(&DeliveriesPage {
            frame: visitor.frame("deliveries").live(live).noticing(asked.text("done")),
            rows: rows(store, page.items, visitor.may(Role::Operator)).await?,
            states: DeliveryState::ALL,
            is_first,
            first,
            next,
            looked_to,
            replay,
            here,
            has_filter,
            is_wrong: !asked.is_right(),
            filters,
        })
    }
}

fn with_cursor(pairs: &[(&'static str, &str)], cursor: &str) -> String {
    let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain([("cursor", cursor)]).collect();
    address("/deliveries", &pairs)
}

/// Reads until the page is full, there is no more, or enough was looked at.
async fn full_page(store: &ScopedStore, filter: &DeliveryFilter, mut cursor: Option<Cursor>) -> Result<Page<Delivery>> {
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
