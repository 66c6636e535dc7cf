//! Operations on deliveries: list, read, retry and cancel. Following deliveries live is in `stream.rs`.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::admitted::{Operator, Viewer};
use crate::api::context::ApiContext;
use crate::api::model::deliveries::{Delivery, DeliveryDetail, DeliveryPage, DeliveryRetry};
use crate::api::model::values::{Limit, StatusFilter};
use crate::api::request::body::Body;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{AcceptedJson, Long, OkJson};
use crate::api::tags::Tag;
use crate::domain::delivery::DeliveryState;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::store::DeliveryFilter;
use crate::web::problem::ApiResult;

/// Operations on deliveries.
pub struct DeliveriesApi(pub Arc<ApiContext>);

#[OpenApi(tag = "Tag::Deliveries")]
impl DeliveriesApi {
    /// List deliveries
    ///
    /// Returns one page of deliveries, newest first. With several filters, a delivery must match all of them. A page
    /// can have fewer items than `limit`, or none, although more pages follow. Continue until `next_cursor` is null.
    #[allow(clippy::too_many_arguments, reason = "each filter is a parameter of the document")]
    #[oai(path = "/v1/deliveries", method = "get", operation_id = "listDeliveries")]
    async fn list(
        &self,
        viewer: Viewer,
        /// Maximum number of items in the page, from 1 to 200. The default is 50.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page; leave this parameter out for the first page.
        cursor: Query<Cursor>,
        /// Only deliveries of this account.
        account_id: Query<AccountId>,
        /// Only deliveries to this destination.
        destination_id: Query<DestinationId>,
        /// Only deliveries of this event.
        event_id: Query<EventId>,
        /// Only deliveries of events of this type.
        event_type: Query<EventType>,
        /// Only deliveries in this state. Leave this parameter out to get deliveries in all states (in Swagger UI:
        /// choose `--`).
        state: Query<DeliveryState>,
        /// Only deliveries whose last attempt got a response with this HTTP status.
        status_code: Query<StatusFilter>,
        /// Only deliveries of events that were received at or after this time.
        since: Query<Timestamp>,
        /// Only deliveries of events that were received before this time.
        until: Query<Timestamp>,
    ) -> ApiResult<Long<DeliveryPage>> {
        let filter = DeliveryFilter {
            account_id: account_id.0,
            destination_id: destination_id.0,
            event_id: event_id.0,
            event_type: event_type.0,
            state: state.0,
            status_code: status_code.0.map(|status| status.0),
            since: since.0,
            until: until.0,
        };
        let store = &viewer.store;
        Long::made(store, store.deliveries(filter, page(limit, cursor)), |found| found.into()).await
    }

    /// Read a delivery
    ///
    /// Returns one delivery with all its attempts, and all that was done with it manually, oldest first.
    #[oai(path = "/v1/deliveries/:delivery_id", method = "get", operation_id = "getDelivery")]
    async fn get(
        &self,
        viewer: Viewer,
        /// Id of the delivery.
        delivery_id: Path<DeliveryId>,
    ) -> ApiResult<OkJson<DeliveryDetail>> {
        Ok(OkJson(viewer.store.delivery(delivery_id.0).await?.into()))
    }

    /// Retry a delivery
    ///
    /// Sends a delivery again at once, in whatever state the delivery is. The delivery becomes `pending`, and its retry
    /// schedule starts from the beginning. A delay after failures or by `Retry-After` does not apply to this attempt.
    /// If the destination is paused, the delivery waits until the destination is resumed. New attempts are added to the
    /// delivery's log.
    ///
    /// If the destination has `ordering` `strict`, a pending delivery keeps its place. One that is not pending is refused
    /// (409, `out_of_order`) if a later one of the destination was sent or may be on its way, unless the body says
    /// `{"out_of_order": true}`. The body may be left out.
    #[oai(path = "/v1/deliveries/:delivery_id/retry", method = "post", operation_id = "retryDelivery")]
    async fn retry(
        &self,
        operator: Operator,
        /// Id of the delivery.
        delivery_id: Path<DeliveryId>,
        body: Body<DeliveryRetry>,
    ) -> ApiResult<AcceptedJson<Delivery>> {
        Ok(AcceptedJson(operator.store.retry_delivery(delivery_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Cancel a delivery
    ///
    /// Stops further attempts of a pending delivery. An attempt that is in progress may still reach the destination;
    /// after a success the delivery is `succeeded`. A delivery that is not pending cannot be cancelled (409).
    #[oai(path = "/v1/deliveries/:delivery_id/cancel", method = "post", operation_id = "cancelDelivery")]
    async fn cancel(
        &self,
        operator: Operator,
        /// Id of the delivery.
        delivery_id: Path<DeliveryId>,
    ) -> ApiResult<AcceptedJson<Delivery>> {
        Ok(AcceptedJson(operator.store.cancel_delivery(delivery_id.0, (self.0.clock)()).await?.into()))
    }
}
