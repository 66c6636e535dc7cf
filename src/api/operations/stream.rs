//! Deliveries as they change, as server-sent events (WHATWG HTML, "Server-sent events").

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use poem::http::header::HeaderName;
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use crate::api::auth::Admin;
use crate::api::context::ApiContext;
use crate::api::model::deliveries::Delivery;
use crate::api::request::params::Query;
use crate::api::responses::text_schema;
use crate::api::tags::Tag;
use crate::domain::delivery::DeliveryState;
use crate::domain::ids::{AccountId, DestinationId};
use crate::store::{ChangedDeliveries, Subscription, SubscriptionFilter};
use crate::web::problem::ApiResult;

/// Between two looks at what changed: a delivery that changes often is sent a few times a second, not thousands.
const PACE: Duration = Duration::from_millis(100);

/// A comment is sent after so long without anything else, so that no proxy takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A browser connects again after this.
const RECONNECT_MILLIS: u64 = 2_000;

const EXAMPLE: &str = "retry: 2000\n\nevent: skipped\ndata: {\"count\":12}\n\n";

/// The stream of deliveries.
pub struct StreamApi(pub Arc<ApiContext>);

/// Server-sent events until the client or the server goes, or the client may not follow any more.
pub struct DeliveryStream {
    follow: Subscription,
    admin: Admin,
}

#[OpenApi(tag = "Tag::Deliveries")]
impl StreamApi {
    /// Follow deliveries
    ///
    /// Server-sent events, as `EventSource` reads them. An event `delivery` for each delivery that is made, attempted,
    /// retried or cancelled from now on; its data is the delivery as it is then, as one `Delivery` in JSON. A delivery
    /// that changes several times within a tenth of a second is sent once. When more changes than the connection takes,
    /// an event `skipped` says how many were left out: `{"count": 12}`. This is a view of what goes on, not a record of
    /// it: what changed while nobody was connected is in the list. The stream ends when the server stops, when the session
    /// that opened it ends, and when the account or the destination that it is of is deleted.
    #[oai(path = "/v1/deliveries/stream", method = "get", operation_id = "streamDeliveries")]
    async fn stream(
        &self,
        admin: Admin,
        /// Only those of this account.
        account_id: Query<AccountId>,
        /// Only those for this destination.
        destination_id: Query<DestinationId>,
        /// Only those that are in this state then.
        state: Query<DeliveryState>,
    ) -> ApiResult<DeliveryStream> {
        let filter = SubscriptionFilter { account_id: account_id.0, destination_id: destination_id.0, state: state.0 };
        Ok(DeliveryStream { follow: self.0.store.follow(filter).await?, admin })
    }
}

/// The events, in batches as the store gives them.
fn events(follow: Subscription) -> impl Stream<Item = Event> + Send {
    let batches = stream::unfold((follow, false), async |(mut follow, begun)| {
        if begun {
            tokio::time::sleep(PACE).await;
        }
        match follow.next().await {
            Ok(changed) => Some((stream::iter(written(changed?)), (follow, true))),
            Err(error) => {
                tracing::warn!(error = error.detail(), "a stream of deliveries ends early");
                None
            }
        }
    });
    // At once, so that the client knows that from here on it misses nothing.
    stream::iter([Event::retry(RECONNECT_MILLIS)]).chain(batches.flatten())
}

fn written(changed: ChangedDeliveries) -> Vec<Event> {
    let mut events: Vec<Event> = changed
        .deliveries
        .into_iter()
        .filter_map(|delivery| {
            let text = serde_json::to_string(&Delivery::from(delivery));
            text.map(|text| Event::message(text).event_type("delivery"))
                .inspect_err(|error| tracing::error!(%error, "a delivery cannot be written"))
                .ok()
        })
        .collect();
    if changed.skipped > 0 {
        events.push(Event::message(json!({ "count": changed.skipped }).to_string()).event_type("skipped"));
    }
    events
}

impl IntoResponse for DeliveryStream {
    fn into_response(self) -> Response {
        SSE::new(Box::pin(events(self.follow).take_until(Box::pin(self.admin.over()))))
            .keep_alive(KEEP_ALIVE)
            // Tells nginx not to keep the events back until its buffer is full.
            .with_header(HeaderName::from_static("x-accel-buffering"), "no")
            .into_response()
    }
}

impl ApiResponse for DeliveryStream {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Events named `delivery`, each with one `Delivery` in JSON as its data, and `skipped`.",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: "text/event-stream", schema: text_schema(EXAMPLE) }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
