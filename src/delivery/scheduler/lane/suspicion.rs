//! What a lane makes of attempts that take far too long. A destination may leave one request unanswered and answer all
//! others at once: the others must not wait for that one. It may as well have stopped answering: then each further
//! attempt is one more thread that waits for nothing.
//!
//! A lane is *suspect* while an attempt is overdue and none that began later has succeeded. It then goes on with one
//! attempt at a time, a *probe*, besides those that are overdue. A probe that hangs too makes the next one wait, and takes
//! a larger part of the permits that all suspect lanes share, so that each of them has a few at most. A success clears it.


use crate::delivery::limits::{
    MAX_PROBE_WAIT, PROBE_WAIT, PROBE_WEIGHT_HUNG, PROBE_WEIGHT_PROVEN, PROBE_WEIGHT_UNKNOWN, PROBE_WEIGHT_UNPROVEN,
};
use crate::domain::time::Timestamp;

/// Attempts that are overdue, and what followed from them.
#[derive(Debug)]
pub struct Suspicion {
    /// When each of them began.
    overdue: Vec<Timestamp>,
    /// When the attempt began that began last of those that succeeded.
    answered: Option<Timestamp>,
    /// When the lane became suspect, if it is.
    since: Timestamp,
    /// Probes that are overdue themselves, since the last success.
    hung: u32,
    /// No further probe before then.
    wait: Timestamp,
    /// The last probe was answered.
    proven: bool,
}

impl Default for Suspicion {
    /// Nothing is known, and nothing hangs.
    fn default() -> Self {
        let (since, wait) = (Timestamp::EPOCH, Timestamp::EPOCH);
        Self { overdue: Vec::new(), answered: None, since, hung: 0, wait, proven: false }
    }
}

impl Suspicion {
    /// Whether the destination has probably stopped answering.
    pub fn is_on(&self) -> bool {
        self.overdue.iter().any(|began| self.answered.is_none_or(|answered| *began > answered))
    }

    /// Attempts that are overdue.
    pub fn hanging(&self) -> usize {
        self.overdue.len()
    }

    /// Whether an attempt that began at `began` is older than what the destination has answered since.
    pub fn is_stale(&self, began: Timestamp) -> bool {
        self.answered.is_some_and(|answered| began < answered)
    }

    /// No further probe before then, if that lies after `now`.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        (self.is_on() && self.wait > now).then_some(self.wait)
    }

    /// What its next probe weighs among the permits of suspect lanes: a lane of weight `w` begins one only while `2 * w`
    /// of them are free.
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
            // The destination answers, if late.
            (self.hung, self.wait) = (0, Timestamp::EPOCH);
            self.proven |= began >= self.since;
        }
        self.answered = Some(self.answered.map_or(began, |answered| answered.max(began)));
    }

    /// Attempts go to another server from now on. What hangs at the one before still takes threads.
    pub fn moved(&mut self) {
        *self = Self { overdue: std::mem::take(&mut self.overdue), ..Self::default() };
    }

    /// An attempt that began at `began` and was overdue has ended.
    pub fn ended(&mut self, began: Timestamp) {
        if let Some(place) = self.overdue.iter().position(|at| *at == began) {
            self.overdue.swap_remove(place);
        }
    }
}
