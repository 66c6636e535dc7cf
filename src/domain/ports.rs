//! What one floor needs of another that it must not know: declared here, wired by `app`.

use std::sync::Arc;

use super::delivery::Attempt;
use super::destination::Destination;

/// What `api` needs of the engine: one request to a destination now, past its queue, holds and pause, and not recorded.
pub trait SendTest: Send + Sync {
    /// Sends `payload` and calls `done` with the attempt.
    fn send_test(&self, destination: Destination, payload: Arc<[u8]>, done: Box<dyn FnOnce(Attempt) + Send>);
}
