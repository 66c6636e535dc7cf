//! Operations on events: list, read and replay. Accepting an event is in `send_event.rs`.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::admitted::{Operator, Viewer};
use crate::api::context::ApiContext;
use crate::api::model::deliveries::ReplayCount;
use crate::api::model::events::{EventDetail, EventPage};
use crate::api::model::values::Limit;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{AcceptedJson, Long, OkJson};
use crate::api::tags::Tag;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, EventId};
use crate::domain::page::Cursor;
use crate::web::problem::ApiResult;

/// Operations on events.
pub struct EventsApi(pub Arc<ApiContext>);

#[OpenApi(tag = "Tag::Events")]
impl EventsApi {
    /// List an account's events
    ///
    /// Returns one page of an account's events with their deliveries, newest first. The JSON documents are not
    /// included. A page can have fewer items than `limit`, although more pages follow. Continue until `next_cursor` is
    /// null.
    #[oai(path = "/v1/accounts/:account_id/events", method = "get", operation_id = "listEvents")]
    async fn list(
        &self,
        viewer: Viewer,
        /// Id of the account.
        account_id: Path<AccountId>,
        /// Maximum number of items in the page, from 1 to 200. The default is 50.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page; leave this parameter out for the first page.
        cursor: Query<Cursor>,
        /// Only events of this type.
        event_type: Query<EventType>,
    ) -> ApiResult<Long<EventPage>> {
        let store = &viewer.store;
        Long::made(store, store.events(account_id.0, event_type.0, page(limit, cursor)), |found| found.into()).await
    }

    /// Read an event
    ///
    /// Returns one event with its deliveries, and with its JSON document exactly as received.
    #[oai(path = "/v1/events/:event_id", method = "get", operation_id = "getEvent")]
    async fn get(
        &self,
        viewer: Viewer,
        /// Id of the event.
        event_id: Path<EventId>,
    ) -> ApiResult<OkJson<EventDetail>> {
        let (event, payload) = viewer.store.event(event_id.0).await?;
        Ok(OkJson(EventDetail::new(event, payload)?))
    }

    /// Replay an event
    ///
    /// Sends again all deliveries of an event, except pending ones. For each delivery, the retry schedule starts from
    /// the beginning. If a destination is paused, its delivery waits until the destination is resumed.
    #[oai(path = "/v1/events/:event_id/replay", method = "post", operation_id = "replayEvent")]
    async fn replay(
        &self,
        operator: Operator,
        /// Id of the event.
        event_id: Path<EventId>,
    ) -> ApiResult<AcceptedJson<ReplayCount>> {
        let count = operator.store.replay_event(event_id.0, (self.0.clock)()).await?;
        Ok(AcceptedJson(ReplayCount { count }))
    }
}
