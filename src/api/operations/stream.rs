//! The stream of deliveries as they change, as server-sent events (WHATWG HTML, "Server-sent events"). Which changes
//! are noted for a stream is decided in `store`.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use poem::web::sse::Event;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use crate::api::admitted::Viewer;
use crate::api::model::deliveries::Delivery;
use crate::api::request::params::Query;
use crate::api::responses::text_schema;
use crate::api::tags::Tag;
use crate::domain::delivery::DeliveryState;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DestinationId};
use crate::store::{ChangedDeliveries, Subscription, SubscriptionFilter};
use crate::web::event_stream;
use crate::web::problem::ApiResult;

/// Pause between two reads of the changes. A delivery that changes often is sent at most ten times a second, and not
/// thousands of times.
const PACE: Duration = Duration::from_millis(100);

const EXAMPLE: &str = "retry: 2000\n\nevent: skipped\ndata: {\"count\":12}\n\n";

/// The operation that streams deliveries.
pub struct StreamApi;

/// A response of server-sent events, until the client or the server ends it, or the client loses its access.
pub struct DeliveryStream {
    follow: Subscription,
    viewer: Viewer,
}

#[OpenApi(tag = "Tag::Deliveries")]
impl StreamApi {
    /// Follow deliveries
    ///
    /// Sends deliveries as they change, as server-sent events (in a browser: `EventSource`). Swagger UI cannot show a
    /// stream, so Execute does not finish. Use a terminal: `curl -N http://127.0.0.1:8080/v1/deliveries/stream`.
    /// Without `--dev`, add `-H 'Authorization: Bearer TOKEN'` with the admin token.
    ///
    /// A message `delivery` is sent for each delivery that is created, attempted, retried or cancelled from now on. The
    /// data of the message is one `Delivery` in JSON, in its present state. If a delivery changes several times within
    /// a tenth of a second, one message is sent. If too many deliveries change at once, a message `skipped` gives the
    /// number left out: `{"count": 12}`.
    ///
    /// Earlier changes are not sent; use `GET /v1/deliveries` for them. The stream ends when the server stops, or when
    /// the session that opened the stream ends. A stream of one account or destination ends when that one is deleted.
    /// At most 64 streams can be open; a further one gets 503.
    #[oai(path = "/v1/deliveries/stream", method = "get", operation_id = "streamDeliveries")]
    async fn stream(
        &self,
        viewer: Viewer,
        /// Only deliveries of this account.
        account_id: Query<AccountId>,
        /// Only deliveries to this destination.
        destination_id: Query<DestinationId>,
        /// Only deliveries that are in this state after the change. Leave this parameter out to get all states.
        state: Query<DeliveryState>,
        /// Only deliveries of events of this type.
        event_type: Query<EventType>,
    ) -> ApiResult<DeliveryStream> {
        let filter = SubscriptionFilter {
            account_id: account_id.0,
            destination_id: destination_id.0,
            state: state.0,
            event_type: event_type.0,
        };
        Ok(DeliveryStream { follow: viewer.store.follow(filter).await?, viewer })
    }
}

/// The server-sent events, in the batches that the store gives.
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
    batches.flatten()
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
        event_stream::respond(events(self.follow).take_until(Box::pin(self.viewer.over())))
    }
}

impl ApiResponse for DeliveryStream {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Server-sent events: `delivery` with one `Delivery` in JSON as its data, and `skipped` \
                          with the number of deliveries that were left out.",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: "text/event-stream", schema: text_schema(EXAMPLE) }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
