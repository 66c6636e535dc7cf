//! Asks the engine what only it knows, and does not wait long for the answer.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::destination::Destination;
use crate::domain::ports::WatchEngine;
use crate::domain::time::Timestamp;

/// When each of `destinations` may send next, where it waits for its rate. The engine is asked only if one of them has a
/// rate. Nothing is known if the engine does not answer `within` this time.
pub async fn next_sends(
    engine: &dyn WatchEngine,
    destinations: &[Destination],
    within: Duration,
) -> Vec<Option<Timestamp>> {
    let nothing = vec![None; destinations.len()];
    if destinations.iter().all(|destination| destination.fields.rate_limit.is_none()) {
        return nothing;
    }
    let (reply, answer) = oneshot::channel();
    let keys = destinations.iter().map(|destination| destination.key).collect();
    engine.next_sends(keys, Box::new(move |next| drop(reply.send(next))));
    match tokio::time::timeout(within, answer).await {
        Ok(Ok(next)) => next,
        Ok(Err(_)) | Err(_) => nothing,
    }
}
