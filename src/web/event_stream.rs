//! Responses of server-sent events (WHATWG HTML, "Server-sent events"). Which events are sent is not decided here.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use poem::http::header::HeaderName;
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse as _, Response};

/// If nothing else is sent for this time, a comment is sent, so that no proxy regards the connection as dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Time after which a browser connects again, in milliseconds.
const RECONNECT_MILLIS: u64 = 2_000;

/// A response that sends `events` as they come. The time to reconnect is sent at once, so that the client knows: from
/// here on no event is missed.
pub fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = stream::iter([Event::retry(RECONNECT_MILLIS)]).chain(events);
    SSE::new(Box::pin(events))
        .keep_alive(KEEP_ALIVE)
        // Tells nginx to pass on each event at once, and not to wait until its buffer is full.
        .with_header(HeaderName::from_static("x-accel-buffering"), "no")
        .into_response()
}
