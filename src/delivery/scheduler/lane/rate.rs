//! The rate that a destination asks for, as its lane keeps to it. Waiting for the rate says nothing about the
//! destination, so nothing here touches the lane's health.

use std::sync::Arc;
use std::time::Duration;

use super::Lane;
use crate::delivery::limits::{FLOOR, PACED_WINDOW};
use crate::delivery::workers::pace::Pace;
use crate::domain::time::Timestamp;

impl Lane {
    /// Takes over the rate that the destination asks for now. A new rate begins with an empty bucket.
    pub fn keep_rate(&mut self, now: Timestamp) {
        let rate = self.destination.fields.rate_limit;
        if self.pace.as_ref().map(|pace| pace.rate()) != rate {
            self.pace = rate.map(|rate| Arc::new(Pace::new(rate, now)));
        }
    }

    /// When the rate allows the next attempt, if that is after `now`.
    pub fn waits_for_rate(&self, now: Timestamp) -> Option<Timestamp> {
        self.pace.as_ref().and_then(|pace| pace.waits_until(now))
    }

    /// Most jobs that the rate allows to be given to a worker.
    pub(super) fn rate_allows(&self, now: Timestamp) -> usize {
        self.pace.as_ref().map_or(usize::MAX, |pace| pace.free(now))
    }

    /// Most jobs that are worth having in hand at this rate.
    pub(super) fn window_of_rate(&self) -> usize {
        let Some(rate) = self.destination.fields.rate_limit else { return usize::MAX };
        let each = rate.each_rounded_up().max(Duration::from_nanos(1));
        usize::try_from(PACED_WINDOW.as_nanos() / each.as_nanos()).unwrap_or(usize::MAX).max(FLOOR)
    }
}

#[cfg(test)]
mod tests;
