//! Operations on deliveries.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::auth::Admin;
use crate::api::context::ApiContext;
use crate::api::model::deliveries::{Delivery, DeliveryDetail, DeliveryPage};
use crate::api::model::values::{Limit, StatusFilter};
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{AcceptedJson, Long, OkJson};
use crate::api::tags::Tag;
use crate::domain::delivery::DeliveryState;
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
    /// A page of the deliveries that pass every filter, newest first. A page may hold fewer than asked for, even none,
    /// and still not be the last: go on until `next_cursor` is null.
    #[allow(clippy::too_many_arguments, reason = "each filter is a parameter of the document")]
    #[oai(path = "/v1/deliveries", method = "get", operation_id = "listDeliveries")]
    async fn list(
        &self,
        _admin: Admin,
        /// Most items of the page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor>,
        /// Only those of this account.
        account_id: Query<AccountId>,
        /// Only those for this destination.
        destination_id: Query<DestinationId>,
        /// Only those of this event.
        event_id: Query<EventId>,
        /// Only those in this state.
        state: Query<DeliveryState>,
        /// Only those whose last attempt was answered with this HTTP status.
        status_code: Query<StatusFilter>,
        /// Only those of events received at or after this.
        since: Query<Timestamp>,
        /// Only those of events received before this.
        until: Query<Timestamp>,
    ) -> ApiResult<Long<DeliveryPage>> {
        let filter = DeliveryFilter {
            account_id: account_id.0,
            destination_id: destination_id.0,
            event_id: event_id.0,
            state: state.0,
            status_code: status_code.0.map(|status| status.0),
            since: since.0,
            until: until.0,
        };
        let store = &self.0.store;
        Long::made(store, store.deliveries(filter, page(limit, cursor)), |found| found.into()).await
    }

    /// Read a delivery
    ///
    /// With its attempts, oldest first.
    #[oai(path = "/v1/deliveries/:delivery_id", method = "get", operation_id = "getDelivery")]
    async fn get(
        &self,
        _admin: Admin,
        /// Id of the delivery.
        delivery_id: Path<DeliveryId>,
    ) -> ApiResult<OkJson<DeliveryDetail>> {
        Ok(OkJson(self.0.store.delivery(delivery_id.0).await?.into()))
    }

    /// Retry a delivery
    ///
    /// Sends it again at once, whatever its state, past holds and back-off. Its log goes on.
    #[oai(path = "/v1/deliveries/:delivery_id/retry", method = "post", operation_id = "retryDelivery")]
    async fn retry(
        &self,
        _admin: Admin,
        /// Id of the delivery.
        delivery_id: Path<DeliveryId>,
    ) -> ApiResult<AcceptedJson<Delivery>> {
        Ok(AcceptedJson(self.0.store.retry_delivery(delivery_id.0).await?.into()))
    }

    /// Cancel a delivery
    ///
    /// Gives up a pending delivery. An attempt that is under way may still arrive.
    #[oai(path = "/v1/deliveries/:delivery_id/cancel", method = "post", operation_id = "cancelDelivery")]
    async fn cancel(
        &self,
        _admin: Admin,
        /// Id of the delivery.
        delivery_id: Path<DeliveryId>,
    ) -> ApiResult<AcceptedJson<Delivery>> {
        Ok(AcceptedJson(self.0.store.cancel_delivery(delivery_id.0).await?.into()))
    }
}
