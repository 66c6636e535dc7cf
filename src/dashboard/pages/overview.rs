//! The first page: what has happened lately, what waits, and which destinations need attention. A new server shows a
//! guide to the first delivery instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use askama::Template;
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;

use super::attention::{Attention, needing};
use super::query;
use super::start::{GuidePage, guide};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::figure_cache::FigureCache;
use crate::dashboard::respond::{PageResult, show};
use crate::dashboard::view::chart::{Chart, WINDOWS, Window};
use crate::dashboard::view::figures;
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::time::At;
use crate::dashboard::view::words;
use crate::dashboard::way_back::GUIDE;
use crate::domain::access::Role;
use crate::domain::page::PageRequest;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::DeliveryFilter;

/// Most destinations that the page lists as in need of attention.
const ATTENTION: usize = 50;

/// Deliveries that the page shows.
const NEWEST: u16 = 10;

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
    attention_more: Option<String>,
    knows_slow: bool,
    newest: Vec<DeliveryRow>,
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
            return Err(self.context.login(request, StatusCode::OK));
        }
        let visitor = self.context.enter(request, Role::Viewer)?;
        let store = &visitor.store;
        let asked = query(request);
        let frame = visitor.frame("overview").live("/live").noticing(asked.text("done"));
        // The guide is for those who can take its steps.
        if visitor.runs_server() && (asked.has("guide") || (!asked.has("window") && self.is_new(&visitor).await?)) {
            let guide = guide(&self.context, &visitor).await?;
            return show(&GuidePage { frame: frame.at(GUIDE), guide });
        }
        let (now, window) = (visitor.now, Window::find(asked.text("window")));
        let (figures, left) = self.figures.figures(store, None, window, now).await?;
        let chart = Chart::draw(&figures.buckets, "Attempts that succeeded and failed, by time");
        let backlog = store.backlog().await?;
        let attention = needing(&self.context, &visitor, 0, ATTENTION).await?;
        let page = PageRequest { limit: NEWEST, cursor: None };
        let newest = store.deliveries(DeliveryFilter::default(), page).await?.items;
        let newest = rows(store, newest, visitor.may(Role::Operator)).await?;
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
            attention_more: (attention.more() > 0).then(|| words::count(attention.more())),
            attention: attention.list,
            knows_slow: attention.knows_slow,
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
    async fn is_new(&self, visitor: &Visitor) -> Result<bool> {
        if self.is_used.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let store = &visitor.store;
        let is_used =
            store.contents().await?.has_delivered || store.latency(None, None, Timestamp::EPOCH).await?.is_some();
        self.is_used.store(is_used, Ordering::Relaxed);
        Ok(!is_used)
    }
}
