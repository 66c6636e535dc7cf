//! Operations on events.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::auth::Admin;
use crate::api::context::ApiContext;
use crate::api::model::deliveries::ReplayCount;
use crate::api::model::events::{EventDetail, EventPage};
use crate::api::model::values::Limit;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{AcceptedJson, Long, OkJson};
use crate::api::tags::Tag;
use crate::domain::ids::{AccountId, EventId};
use crate::domain::page::Cursor;
use crate::web::problem::ApiResult;

/// Operations on events.
pub struct EventsApi(pub Arc<ApiContext>);

#[OpenApi(tag = "Tag::Events")]
impl EventsApi {
    /// List an account's events
    ///
    /// A page of them with their deliveries, newest first.
    #[oai(path = "/v1/accounts/:account_id/events", method = "get", operation_id = "listEvents")]
    async fn list(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
        /// Most items of the page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor>,
    ) -> ApiResult<Long<EventPage>> {
        let store = &self.0.store;
        Long::made(store, store.events(account_id.0, page(limit, cursor)), |found| found.into()).await
    }

    /// Read an event
    ///
    /// With its deliveries, and its document exactly as it was received.
    #[oai(path = "/v1/events/:event_id", method = "get", operation_id = "getEvent")]
    async fn get(
        &self,
        _admin: Admin,
        /// Id of the event.
        event_id: Path<EventId>,
    ) -> ApiResult<OkJson<EventDetail>> {
        let (event, payload) = self.0.store.event(event_id.0).await?;
        Ok(OkJson(EventDetail::new(event, payload)?))
    }

    /// Replay an event
    ///
    /// Opens its deliveries again; those still pending are skipped.
    #[oai(path = "/v1/events/:event_id/replay", method = "post", operation_id = "replayEvent")]
    async fn replay(
        &self,
        _admin: Admin,
        /// Id of the event.
        event_id: Path<EventId>,
    ) -> ApiResult<AcceptedJson<ReplayCount>> {
        let count = self.0.store.replay_event(event_id.0).await?;
        Ok(AcceptedJson(ReplayCount { count }))
    }
}
