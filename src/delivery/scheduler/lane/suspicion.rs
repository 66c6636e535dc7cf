//! What overdue attempts mean for a lane. A destination may leave one request unanswered and answer all others at once:
//! then the others must not wait. Or the destination has stopped answering: then each further attempt is one more
//! thread that waits in vain. A lane that may have stopped answering is *suspect*, and sends one probe at a time.

use crate::delivery::limits::{
    MAX_PROBE_WAIT, PROBE_WAIT, PROBE_WEIGHT_HUNG, PROBE_WEIGHT_PROVEN, PROBE_WEIGHT_UNKNOWN, PROBE_WEIGHT_UNPROVEN,
};
use crate::domain::time::Timestamp;

/// The overdue attempts of a lane, and what follows from them.
///
/// A lane is suspect while an attempt is overdue and none that began later has succeeded. A suspect lane goes on with
/// one attempt at a time, a *probe*, besides the overdue ones. A probe that is overdue too makes the next probe wait.
/// The next probe also needs more free permits, so each suspect lane has a few at most. A success ends the suspicion.
#[derive(Debug)]
pub struct Suspicion {
    /// When each overdue attempt began.
    overdue: Vec<Timestamp>,
    /// When the successful attempt began that began last.
    answered: Option<Timestamp>,
    /// When the lane became suspect, if it is.
    since: Timestamp,
    /// Overdue probes since the last success.
    hung: u32,
    /// No probe begins before this time.
    wait: Timestamp,
    /// Whether the last probe succeeded.
    proven: bool,
}

impl Default for Suspicion {
    /// Nothing is known, and no attempt is overdue.
    fn default() -> Self {
        let (since, wait) = (Timestamp::EPOCH, Timestamp::EPOCH);
        Self { overdue: Vec::new(), answered: None, since, hung: 0, wait, proven: false }
    }
}

impl Suspicion {
    /// Whether the lane is suspect.
    pub fn is_on(&self) -> bool {
        self.overdue.iter().any(|began| self.answered.is_none_or(|answered| *began > answered))
    }

    /// When the oldest overdue attempt began of those for which the lane is suspect.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.overdue.iter().filter(|began| self.answered.is_none_or(|answered| **began > answered)).min().copied()
    }

    /// Number of overdue attempts.
    pub fn hanging(&self) -> usize {
        self.overdue.len()
    }

    /// Whether a later attempt than the one that began at `began` has succeeded.
    pub fn is_stale(&self, began: Timestamp) -> bool {
        self.answered.is_some_and(|answered| began < answered)
    }

    /// When the next probe may begin, if that is after `now`.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        (self.is_on() && self.wait > now).then_some(self.wait)
    }

    /// The weight of the next probe in the suspect pool. A probe of weight `w` begins only while `2 * w` permits of
    /// that pool are free.
    pub fn weight(&self) -> usize {
        let base = match self.answered {
            None => PROBE_WEIGHT_UNKNOWN,
            Some(_) if self.proven => PROBE_WEIGHT_PROVEN,
            Some(_) => PROBE_WEIGHT_UNPROVEN,
        };
        base + PROBE_WEIGHT_HUNG * self.hung as usize
    }

    /// An attempt that began at `began` is overdue.
    pub fn overdue(&mut self, began: Timestamp, now: Timestamp) {
        let was_on = self.is_on();
        self.overdue.push(began);
        if !was_on {
            (self.since, self.hung, self.wait) = (now, 0, Timestamp::EPOCH);
        } else if began >= self.since {
            let wait = PROBE_WAIT.saturating_mul(4_u32.saturating_pow(self.hung)).min(MAX_PROBE_WAIT);
            self.wait = now.plus(wait);
            self.hung += 1;
            self.proven = false;
        }
    }

    /// An attempt that began at `began` has succeeded.
    pub fn succeeded(&mut self, began: Timestamp) {
        if self.is_on() {
            // The destination does answer, although late.
            (self.hung, self.wait) = (0, Timestamp::EPOCH);
            self.proven |= began >= self.since;
        }
        self.answered = Some(self.answered.map_or(began, |answered| answered.max(began)));
    }

    /// Attempts go to another server from now on. Overdue attempts to the old server still use threads, so they are
    /// kept.
    pub fn moved(&mut self) {
        *self = Self { overdue: std::mem::take(&mut self.overdue), ..Self::default() };
    }

    /// An overdue attempt that began at `began` has ended.
    pub fn ended(&mut self, began: Timestamp) {
        if let Some(place) = self.overdue.iter().position(|at| *at == began) {
            self.overdue.swap_remove(place);
        }
    }
}
