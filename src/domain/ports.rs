//! Traits by which floors that must not know each other call each other. `app` connects them.

use super::delivery::Attempt;
use super::destination::Destination;
use super::document::Document;

/// What `api` needs of the engine: sending one request to a destination at once. The request does not wait for the
/// queue, a hold or a pause, and is not recorded.
pub trait SendTest: Send + Sync {
    /// Sends `payload`, and calls `done` with the attempt.
    fn send_test(&self, destination: Destination, payload: Document, done: Box<dyn FnOnce(Attempt) + Send>);
}
