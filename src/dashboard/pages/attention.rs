//! The destinations that need attention. The overview shows the first of them, and a page of its own all.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use poem::Request;
use poem_openapi::OpenApi;
use tokio::sync::oneshot;

use super::{address, query};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::respond::{PageResult, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::time::{self, At};
use crate::dashboard::view::words::{self, Badge};
use crate::domain::access::Role;
use crate::domain::account::AccountName;
use crate::domain::destination::Destination;
use crate::domain::ports::SlowDestination;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::web::problem::ApiError;

/// Destinations on a page of the list. Those that are only slow stand on the first page besides.
const PAGE: usize = 100;

/// The engine answers within this time, or the page is shown without the slow destinations.
pub const ENGINE_WITHIN: Duration = Duration::from_millis(250);

/// A destination that needs attention.
pub struct Attention {
    /// Its id.
    pub id: String,
    /// Method and URL.
    pub label: String,
    /// Name of its account.
    pub account: String,
    /// What is wrong.
    pub badge: Badge,
    /// Why, and what to do.
    pub why: String,
    /// Since when.
    pub since: Option<At>,
    /// When it goes on by itself.
    pub until: Option<At>,
}

/// Destinations that need attention, in the order in which they are looked at.
pub struct Found {
    /// Some of them.
    pub list: Vec<Attention>,
    /// How many there are in all.
    pub total: u64,
    /// Whether the engine said which destinations are slow.
    pub knows_slow: bool,
}

impl Found {
    /// How many there are besides those listed.
    pub fn more(&self) -> u64 {
        self.total.saturating_sub(self.list.len() as u64)
    }
}

#[derive(Template)]
#[template(path = "attention.html")]
struct AttentionPage {
    frame: Frame,
    list: Vec<Attention>,
    is_first: bool,
    next: Option<String>,
    total: String,
    knows_slow: bool,
}

/// The list of all destinations that need attention.
pub struct AttentionPages(pub Arc<DashboardContext>);

#[OpenApi]
impl AttentionPages {
    #[oai(path = "/attention", method = "get", hidden)]
    async fn list(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        let asked = query(request);
        let page = match asked.text("page") {
            "" => 1,
            text => text.parse::<u16>().ok().filter(|page| *page > 0).ok_or_else(wrong_page)?,
        };
        let skip = usize::from(page - 1) * PAGE;
        let found = needing(&self.0, &visitor, skip, PAGE).await?;
        let is_last = found.total <= (skip + found.list.len()) as u64;
        let next = (!is_last && !found.list.is_empty())
            .then(|| address("/attention", &[("page", &page.saturating_add(1).to_string())]));
        show(&AttentionPage {
            frame: visitor.frame("overview").live("/live"),
            is_first: page == 1,
            next,
            total: words::count(found.total),
            knows_slow: found.knows_slow,
            list: found.list,
        })
    }
}

fn wrong_page() -> ApiError {
    ApiError::bad_parameter("`page` must be a whole number from 1 to 65535.")
}

/// The destinations of the visitor that need attention, after the first `skip`, and not more than `limit`. At the
/// beginning those that are slow and nothing else come besides.
///
/// # Errors
/// Unavailable if the file cannot be read.
pub async fn needing(context: &DashboardContext, visitor: &Visitor, skip: usize, limit: usize) -> Result<Found> {
    let (store, now) = (&visitor.store, visitor.now);
    let (found, mut total) = store.attention(now, skip..skip + limit).await?;
    let mut list: Vec<Attention> = found.into_iter().map(|(one, account)| troubled(&one, &account, now)).collect();
    if skip > 0 {
        return Ok(Found { list, total, knows_slow: true });
    }
    let slow = slow(context, visitor).await;
    let knows_slow = slow.is_some();
    let slow = slow.unwrap_or_default();
    let keys: Vec<_> = slow.iter().map(|one| one.destination).collect();
    for (destination, account) in store.destinations_by_key(keys).await? {
        let state = slow.iter().find(|one| one.destination == destination.key);
        if let Some(state) = state.filter(|_| !is_troubled(&destination, now)) {
            list.push(slowed(&destination, &account, state));
            total += 1;
        }
    }
    Ok(Found { list, total, knows_slow })
}

/// What the engine says of the visitor's slow destinations. `None` if it does not answer in time.
async fn slow(context: &DashboardContext, visitor: &Visitor) -> Option<Vec<SlowDestination>> {
    let (reply, answer) = oneshot::channel();
    let account = visitor.store.scope().account().map(|(_, key)| key);
    context.engine.slow_destinations(account, Box::new(move |slow| drop(reply.send(slow))));
    match tokio::time::timeout(ENGINE_WITHIN, answer).await {
        Ok(Ok(slow)) => Some(slow),
        Ok(Err(_)) | Err(_) => None,
    }
}

fn attention(destination: &Destination, account: &AccountName, badge: Badge, why: String) -> Attention {
    Attention {
        id: destination.id.to_string(),
        label: words::label(&destination.fields),
        account: account.to_string(),
        badge,
        why,
        since: None,
        until: None,
    }
}

/// Whether the list of the store has this destination.
fn is_troubled(destination: &Destination, now: Timestamp) -> bool {
    destination.pause.is_some() || destination.failing_since.is_some() || words::held(destination, now).is_some()
}

fn troubled(destination: &Destination, account: &AccountName, now: Timestamp) -> Attention {
    let (since, until) = (destination.failing_since.map(At), words::held(destination, now).map(At));
    let (why, since) = match destination.pause {
        Some(pause) => (words::paused(pause.reason), Some(At(pause.at))),
        None if until.is_some() && since.is_some() => {
            ("Every attempt has failed, and the receiver asked to wait (Retry-After). Resume it to send now.", since)
        }
        None if until.is_some() => ("The receiver asked to wait (Retry-After). Resume it to send now.", None),
        None => ("Every attempt has failed. Open it to see why.", since),
    };
    Attention { since, until, ..attention(destination, account, words::health(destination, now), why.to_owned()) }
}

fn slowed(destination: &Destination, account: &AccountName, state: &SlowDestination) -> Attention {
    let usual = time::short(state.usual);
    let (word, why) = if state.is_stalled {
        ("blocked", format!("Attempts get no response: {} in progress, usually {usual}.", state.in_progress))
    } else {
        ("slow", format!("An attempt takes {usual}; {} in progress.", state.in_progress))
    };
    attention(destination, account, Badge { kind: "wait", word }, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::destination::{Pause, PausedReason};
    use crate::domain::ids::DestinationKey;

    #[test]
    fn a_delayed_destination_says_until_when_and_whether_it_fails_too() {
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let account = AccountName::from_stored("Ada".to_owned());
        let mut destination = Destination::example(DestinationKey(1), "https://example.com/");
        let shown = |destination: &Destination| {
            let shown = troubled(destination, &account, at(10));
            let times = [shown.since, shown.until].map(|time| time.map(|At(time)| time));
            (shown.badge.word, times, shown.why.contains("failed"), shown.why.contains("Retry-After"))
        };
        destination.held_until = Some(at(20));
        assert_eq!(shown(&destination), ("delayed", [None, Some(at(20))], false, true));
        destination.failing_since = Some(at(5));
        assert_eq!(shown(&destination), ("delayed", [Some(at(5)), Some(at(20))], true, true));
        destination.held_until = Some(at(10));
        assert_eq!(shown(&destination), ("failing", [Some(at(5)), None], true, false));
        destination.pause = Some(Pause { reason: PausedReason::Manual, at: at(7) });
        destination.held_until = Some(at(20));
        assert_eq!(shown(&destination), ("paused", [Some(at(7)), None], false, false));
    }
}
