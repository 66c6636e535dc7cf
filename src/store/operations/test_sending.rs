//! Tests of destinations: one request at once, outside the queue. It is not recorded; only a hold ends with its success.

use tokio::sync::oneshot;

use crate::domain::delivery::Attempt;
use crate::domain::event::SAMPLE;
use crate::domain::ids::DestinationId;
use crate::domain::ports::SendTest;
use crate::error::{Error, Result, Unavailable};
use crate::store::handle::ScopedStore;

impl ScopedStore {
    /// Sends a sample event to a destination by `sender`, and returns the attempt, successful or not. A success ends the
    /// destination's hold.
    ///
    /// # Errors
    /// Not found; conflict if its secrets cannot be opened. Unavailable if `sender` takes no test now.
    pub async fn test_destination(&self, id: DestinationId, sender: &dyn SendTest) -> Result<Attempt> {
        let destination = self.destination_with_secrets(id.clone()).await?;
        let held = destination.held_until;
        let (done, attempt) = oneshot::channel();
        let done = Box::new(move |attempt| drop(done.send(attempt)));
        sender.send_test(destination, SAMPLE.as_bytes().into(), done);
        let busy = |_| Error::unavailable(Unavailable::EngineBusy, "No test can be sent now; try again.");
        let attempt = attempt.await.map_err(busy)?;
        if let Some(held) = held.filter(|_| attempt.outcome.is_success()) {
            // The attempt is returned, even if the hold cannot be lifted.
            let lifted = self.lift_hold(id, held).await;
            let _ = lifted.inspect_err(|error| tracing::warn!(%error, "a hold stays after a test that went well"));
        }
        Ok(attempt)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::delivery::Outcome;
    use crate::domain::destination::Destination;
    use crate::domain::document::Document;
    use crate::domain::time::Timestamp;
    use crate::store::operations::fixture::{Fixture, at};

    /// Answers each test with this status, or takes none.
    struct Answers(Option<u16>);

    impl SendTest for Answers {
        fn send_test(&self, _: Destination, _: Document, done: Box<dyn FnOnce(Attempt) + Send>) {
            if let Some(status) = self.0 {
                done(Attempt {
                    at: Timestamp::EPOCH,
                    duration: Duration::ZERO,
                    outcome: Outcome::Answer { status, retry_after: None },
                    detail: None,
                    body: Vec::new(),
                    body_truncated: false,
                    made_body: None,
                });
            }
        }
    }

    #[tokio::test]
    async fn only_a_success_ends_the_hold() {
        let fixture = Fixture::new().await;
        let (id, key) = (fixture.destination.id.clone(), fixture.destination.key.0);
        let hold = "UPDATE destination SET held_until = 5000 WHERE key = ?1";
        fixture.step(move |tx| tx.run(hold, [key])).await.unwrap();
        let held = async || fixture.store.destination(id.clone()).await.unwrap().held_until;
        let test = async |status| fixture.store.test_destination(id.clone(), &Answers(status)).await;
        let busy = test(None).await;
        assert!(busy.is_err_and(|error| error.is_unavailable(Unavailable::EngineBusy)));
        assert_eq!(test(Some(503)).await.unwrap().outcome.status(), Some(503));
        assert_eq!(held().await, Some(at(5)));
        assert_eq!(test(Some(204)).await.unwrap().outcome.status(), Some(204));
        assert_eq!(held().await, None);
    }
}
