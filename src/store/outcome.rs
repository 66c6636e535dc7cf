//! The outcome of one attempt, as the write thread gets it. Rules on what follows from an outcome are in
//! `domain/delivery.rs`.

use std::time::Duration;

use crate::domain::delivery::{Attempt, Outcome, Transition};
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::time::Timestamp;

/// An attempt that has ended, its outcome, and what follows.
#[derive(Debug)]
pub struct FinishedAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Destination of the delivery.
    pub destination: DestinationKey,
    /// The request that was made. `None` if none was sent, for example because the URL of a GET is too long.
    pub attempt: Option<Attempt>,
    /// What came of the attempt, or why no request was sent.
    pub outcome: Outcome,
    /// End of the destination's hold, as known when the attempt began. That time may be past.
    pub held: Option<Timestamp>,
    /// How many failures of the retry schedule were used up when the attempt began.
    pub retry_step: u32,
    /// What follows for the delivery and its destination. Times are on the engine clock.
    pub transition: Transition,
    /// End of the attempt, on the engine clock.
    pub ended_at: Timestamp,
    /// End of the attempt, on the wall clock.
    pub ended_at_wall: Timestamp,
    /// A destination that has only failed for this long is paused.
    pub pause_after: Duration,
    /// Whether recording this outcome failed before, for a reason of its own. The next try then runs in a savepoint, so
    /// that other outcomes are not blocked.
    pub failed_before: bool,
}
