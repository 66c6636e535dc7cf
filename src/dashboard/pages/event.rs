//! One event: its document, and its deliveries.

use std::sync::Arc;

use askama::Template;
use poem::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use poem::{Request, Response};
use poem_openapi::OpenApi;

use super::{path_id, query};
use crate::dashboard::context::DashboardContext;
use crate::dashboard::respond::{PageResult, redirect, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::payload::{self, Shown};
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::time::At;
use crate::dashboard::view::words;
use crate::domain::access::Role;
use crate::domain::ids::EventId;
use crate::web::static_page::Page;

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    frame: Frame,
    id: String,
    account_id: String,
    account: String,
    event_type: Option<String>,
    received: At,
    size: String,
    pretty: Shown,
    raw: Shown,
    rows: Vec<DeliveryRow>,
    here: String,
}

/// The page of one event.
pub struct EventPages(pub Arc<DashboardContext>);

#[OpenApi]
impl EventPages {
    #[oai(path = "/events/:event_id", method = "get", hidden)]
    async fn page(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        let id = id(request)?;
        let store = &visitor.store;
        let (event, document) = store.event(id).await?;
        let account = store.account(event.account_id.clone()).await?;
        let live = super::address("/live", &[("account_id", account.id.as_str())]);
        show(&EventPage {
            frame: visitor.frame("deliveries").live(live).noticing(query(request).text("done")),
            id: event.id.to_string(),
            account_id: account.id.to_string(),
            account: account.name.to_string(),
            event_type: event.event_type.map(|event_type| event_type.to_string()),
            received: At(event.received_at),
            size: words::bytes(event.payload_bytes),
            pretty: payload::pretty(&document),
            raw: payload::raw(&document),
            rows: rows(store, event.deliveries, visitor.may(Role::Operator)).await?,
            here: format!("/events/{}", event.id),
        })
    }

    /// The document, byte for byte, as a file.
    #[oai(path = "/events/:event_id/document", method = "get", hidden)]
    async fn document(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        let id = id(request)?;
        let (event, document) = visitor.store.event(id).await?;
        let name = format!("attachment; filename=\"{}.json\"", event.id);
        let response = Response::builder().header(CONTENT_TYPE, "application/json").header(CONTENT_DISPOSITION, name);
        Ok(Page(response.body(document)))
    }

    #[oai(path = "/events/:event_id/replay", method = "post", hidden)]
    async fn replay(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let id = id(request)?;
        visitor.store.replay_event(id, visitor.now).await?;
        redirect(&format!("/events/{id}"), "replayed")
    }
}

fn id(request: &Request) -> PageResult<EventId> {
    path_id(request, "event")
}
