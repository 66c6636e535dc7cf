//! Whether a lane's destination is slow, for people. No decision of the scheduler depends on this.

use std::time::Duration;

use super::{Health, Lane};
use crate::delivery::limits::SLOW;
use crate::delivery::scheduler::pools::Pool;
use crate::domain::time::Timestamp;

/// How slow a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowness {
    /// Usual duration of a success; zero where there was none.
    pub usual: Duration,
    /// For how long an attempt has had no response, if that is unusually long.
    pub stalled: Option<Duration>,
}

impl Slowness {
    /// The longer of both durations.
    pub fn rank(&self) -> Duration {
        self.usual.max(self.stalled.unwrap_or_default())
    }
}

impl Lane {
    /// How slow the destination is; `None` where it is not slow. `failing` is when the oldest attempt began that is in
    /// progress since the lane is failing, because no such attempt is ever overdue.
    pub fn slowness(&self, failing: Option<Timestamp>, now: Timestamp) -> Option<Slowness> {
        let usual = if self.health == Health::New { Duration::ZERO } else { self.typical_duration };
        let patience = SLOW.max(self.overdue_after(Pool::Slow).unwrap_or_default());
        let suspect = self.suspicion.oldest().map(|began| now.since(began)).filter(|age| *age >= SLOW);
        let failing = failing.map(|began| now.since(began)).filter(|age| *age >= patience);
        let stalled = suspect.max(failing);
        let is_slow = stalled.is_some() || (self.health == Health::Good && usual >= SLOW);
        is_slow.then_some(Slowness { usual, stalled })
    }
}

#[cfg(test)]
mod tests;
