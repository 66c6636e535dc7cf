//! What one floor needs of another that it must not know: declared here, wired by `app`.

use super::delivery::Attempt;
use super::destination::Destination;
use super::document::Document;

/// What `api` needs of the engine: one request to a destination now, past its queue, holds and pause, and not recorded.
pub trait SendTest: Send + Sync {
    /// Sends `payload` and calls `done` with the attempt.
    fn send_test(&self, destination: Destination, payload: Document, done: Box<dyn FnOnce(Attempt) + Send>);
}
