//! The first page: what has happened lately, what waits, and which destinations need attention. A new server shows a
//! guide to the first delivery instead.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use askama::Template;
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use tokio::sync::oneshot;

use super::query;
use super::start::{GUIDE, Guide, guide};
use crate::dashboard::context::{DashboardContext, wanted};
use crate::dashboard::figure_cache::FigureCache;
use crate::dashboard::respond::{PageError, PageResult, show};
use crate::dashboard::view::chart::{Chart, WINDOWS, Window};
use crate::dashboard::view::figures;
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::time::{self, At};
use crate::dashboard::view::words::{self, Badge};
use crate::domain::account::AccountName;
use crate::domain::destination::Destination;
use crate::domain::page::PageRequest;
use crate::domain::ports::SlowDestination;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::DeliveryFilter;

/// Most destinations that the page lists as in need of attention.
const ATTENTION: u16 = 50;

/// Deliveries that the page shows.
const NEWEST: u16 = 10;

/// The engine answers within this time, or the page is shown without the slow destinations.
const ENGINE_WITHIN: Duration = Duration::from_millis(250);

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

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    window: Window,
    windows: [Window; 4],
    chart: Chart,
    events: String,
    created: String,
    success: String,
    failed: String,
    latency: Option<(String, String, String)>,
    pending: String,
    oldest: Option<At>,
    attention: Vec<Attention>,
    attention_more: u64,
    knows_slow: bool,
    newest: Vec<DeliveryRow>,
}

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    frame: Frame,
    guide: Guide,
}

/// The first page.
pub struct OverviewPages {
    context: Arc<DashboardContext>,
    figures: Arc<FigureCache>,
    /// Whether an attempt was seen. A server that was used does not become a new one.
    is_used: AtomicBool,
}

#[OpenApi]
impl OverviewPages {
    #[oai(path = "/", method = "get", hidden)]
    async fn overview(&self, request: &Request) -> PageResult {
        if self.context.is_logged_out(request) {
            self.context.check_origin(request)?;
            return Err(PageError::login(None, wanted(request), StatusCode::OK));
        }
        let visitor = self.context.enter(request)?;
        let store = &self.context.store;
        let asked = query(request);
        let frame = visitor.frame("overview").live("/live").noticing(asked.text("done"));
        if asked.has("guide") || (!asked.has("window") && self.is_new().await?) {
            let guide = guide(&self.context, store.contents().await?).await?;
            return show(&GuidePage { frame: frame.at(GUIDE), guide });
        }
        let (now, window) = (visitor.now, Window::find(asked.text("window")));
        let (figures, left) = self.figures.figures(store, None, window, now).await?;
        let chart = Chart::draw(&figures.buckets, "Attempts that succeeded and failed, by time");
        let backlog = store.backlog().await?;
        let (attention, attention_more, knows_slow) = self.attention(now).await?;
        let page = PageRequest { limit: NEWEST, cursor: None };
        let newest = rows(store, store.deliveries(DeliveryFilter::default(), page).await?.items).await?;
        let sum = chart.sum;
        show(&OverviewPage {
            frame: frame.again(left),
            window,
            windows: WINDOWS,
            events: words::count(sum.events),
            created: words::count(sum.accepted),
            success: figures::success(sum.succeeded, sum.failed),
            failed: words::count(sum.failed),
            chart,
            latency: figures.latency.map(figures::latency),
            pending: words::count(backlog.pending),
            oldest: backlog.oldest.map(At),
            attention,
            attention_more,
            knows_slow,
            newest,
        })
    }
}

impl OverviewPages {
    /// The page on `context`.
    pub fn new(context: Arc<DashboardContext>, figures: Arc<FigureCache>) -> Self {
        Self { context, figures, is_used: AtomicBool::new(false) }
    }

    /// Whether no attempt has been made yet, so that there is nothing to see.
    async fn is_new(&self) -> Result<bool> {
        if self.is_used.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let store = &self.context.store;
        let is_used =
            store.contents().await?.has_delivered || store.latency(None, None, Timestamp::EPOCH).await?.is_some();
        self.is_used.store(is_used, Ordering::Relaxed);
        Ok(!is_used)
    }

    /// The destinations that need attention, how many more there are, and whether the engine said which are slow.
    async fn attention(&self, now: Timestamp) -> Result<(Vec<Attention>, u64, bool)> {
        let store = &self.context.store;
        let (found, total) = store.attention(now, ATTENTION).await?;
        let more = total.saturating_sub(found.len() as u64);
        let known: HashSet<_> = found.iter().map(|(destination, _)| destination.key).collect();
        let mut list: Vec<Attention> = found.into_iter().map(|(one, account)| troubled(&one, &account, now)).collect();
        let slow = self.slow().await;
        let is_whole = slow.is_some();
        let slow = slow.unwrap_or_default();
        let keys: Vec<_> = slow.iter().map(|one| one.destination).filter(|key| !known.contains(key)).collect();
        for (destination, account) in store.destinations_by_key(keys).await? {
            if let Some(state) = slow.iter().find(|one| one.destination == destination.key) {
                list.push(slowed(&destination, &account, state));
            }
        }
        Ok((list, more, is_whole))
    }

    /// What the engine says of slow destinations. `None` if it does not answer in time.
    async fn slow(&self) -> Option<Vec<SlowDestination>> {
        let (reply, answer) = oneshot::channel();
        self.context.engine.slow_destinations(Box::new(move |slow| drop(reply.send(slow))));
        match tokio::time::timeout(ENGINE_WITHIN, answer).await {
            Ok(Ok(slow)) => Some(slow),
            Ok(Err(_)) | Err(_) => None,
        }
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

fn troubled(destination: &Destination, account: &AccountName, now: Timestamp) -> Attention {
    let badge = words::health(destination, now);
    if let Some(pause) = destination.pause {
        let why = words::paused(pause.reason).to_owned();
        return Attention { since: Some(At(pause.at)), ..attention(destination, account, badge, why) };
    }
    if let Some(since) = destination.failing_since {
        let why = "Every attempt has failed. Open it to see why.".to_owned();
        return Attention { since: Some(At(since)), ..attention(destination, account, badge, why) };
    }
    let why = "The receiver asked to wait (Retry-After). Resume it to send now.".to_owned();
    Attention { until: destination.held_until.map(At), ..attention(destination, account, badge, why) }
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
