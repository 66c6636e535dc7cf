//! The token bucket that keeps the requests to one destination to its rate.

use super::rate::Rate;
use super::time::Timestamp;

/// A bucket holds at most as many tokens as are refilled in this time, in nanoseconds. So over any second at most a
/// tenth more than the rate begins.
const HELD: u64 = 100_000_000;

/// What the next token may lie in the past without loss, in nanoseconds. Time comes in whole milliseconds, so nobody can
/// ask for a token at the moment when it comes.
const UNSEEN: u64 = 999_999;

/// A token bucket that holds a tenth of a second's worth of tokens, and always at least one.
///
/// The bucket is stored as the time of its next token (the "generic cell rate algorithm"), which is one number: workers
/// may share it without a lock. Time comes in whole milliseconds. Tokens of a higher rate than one a millisecond are
/// given together, so nothing of the rate is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacer {
    /// Nanoseconds in which one token is refilled, rounded up.
    each: u64,
    /// Nanoseconds that the next token may lie in the past: all tokens that are held, but one.
    slack: u64,
    /// When the next token is there, in nanoseconds since the epoch.
    next: u64,
}

impl Pacer {
    /// An empty bucket, whose first token comes when one was refilled.
    pub fn empty(rate: Rate, now: Timestamp) -> Self {
        let each = u64::try_from(rate.each_rounded_up().as_nanos()).unwrap_or(u64::MAX);
        Self { each, slack: HELD.saturating_sub(each).max(UNSEEN), next: nanos(now).saturating_add(each) }
    }

    /// Takes a token; gives false if there is none.
    #[must_use]
    pub fn take(&mut self, now: Timestamp) -> bool {
        let next = self.next_at(now);
        let is_there = next <= nanos(now);
        if is_there {
            self.next = next.saturating_add(self.each);
        }
        is_there
    }

    /// Takes a token that may not be there yet. What comes later waits for it.
    pub fn owe(&mut self, now: Timestamp) {
        self.next = self.next_at(now).saturating_add(self.each);
    }

    /// Number of tokens that the bucket holds.
    pub fn tokens(&self, now: Timestamp) -> u64 {
        nanos(now).checked_sub(self.next_at(now)).map_or(0, |ahead| ahead / self.each + 1)
    }

    /// When the bucket holds more than `count` tokens, if none is taken until then. No earlier than `now`. Too early
    /// where it cannot hold as many.
    pub fn holds_more_than(&self, count: u64, now: Timestamp) -> Timestamp {
        let at = self.next_at(now).saturating_add(self.each.saturating_mul(count));
        let millis = at.div_ceil(1_000_000);
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)).max(now)
    }

    /// Time of the next token, without those that are above what the bucket holds.
    fn next_at(&self, now: Timestamp) -> u64 {
        self.next.max(nanos(now).saturating_sub(self.slack))
    }

    /// All of the bucket that changes, as one number.
    pub fn state(&self) -> u64 {
        self.next
    }

    /// This bucket with a state that [`Pacer::state`] gave.
    pub fn with_state(self, state: u64) -> Self {
        Self { next: state, ..self }
    }
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.millis()).unwrap_or(0).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
