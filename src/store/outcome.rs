//! What came of an attempt, as it is handed to the write thread.

use std::time::Duration;

use crate::domain::delivery::{Attempt, Outcome, Transition};
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::time::Timestamp;

/// An attempt that has ended, and what follows.
#[derive(Debug)]
pub struct FinishedAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its destination.
    pub destination: DestinationKey,
    /// The request that was made; `None` where none was (a GET's URL that is too long).
    pub attempt: Option<Attempt>,
    /// What came of it, or why none was made.
    pub outcome: Outcome,
    /// Until when the destination was held back, as far as the attempt knew when it began; that may be over.
    pub held: Option<Timestamp>,
    /// Failures of the schedule that were used up when it began.
    pub step: u32,
    /// What follows; times on the engine's clock.
    pub verdict: Transition,
    /// The end of the attempt on the engine's clock.
    pub ended_at: Timestamp,
    /// The end of the attempt on the wall clock.
    pub wall: Timestamp,
    /// A destination with nothing but failures for this long is paused.
    pub pause_after: Duration,
    /// Writing it has failed for a reason of its own; then it is tried once more apart from others.
    pub failed_before: bool,
}
