//! Decides when the write thread runs what waits, how much of that goes into one transaction, and when the transaction
//! is committed. Pure: time is an argument, and nothing here waits or locks. `queue` does the waiting.

use std::time::{Duration, Instant};

use super::budget::OutcomeBudget;
use super::group::CommitGroup;
use super::limits::{
    EARLY_COMMIT_PERCENT, EARLY_LINGER_FRACTION, LINGER_FRACTION, MANY_OUTCOMES, MANY_OUTCOMES_LINGER, MAX_GROUP,
    MAX_LINGER, MAX_OUTCOMES, MIN_OUTCOMES, OUTCOMES_LINGER,
};

/// What waits at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    /// Number of write requests.
    pub requests: usize,
    /// Number of outcomes of destinations without a backlog.
    pub normal: usize,
    /// Number of outcomes of destinations with a backlog.
    pub low_priority: usize,
    /// When the oldest of these outcomes arrived; `None` if none waits.
    pub outcomes_since: Option<Instant>,
}

impl Waiting {
    fn outcomes(&self) -> usize {
        self.normal + self.low_priority
    }
}

/// What wakes the write thread before its wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wakeup {
    /// This number of waiting write requests.
    pub requests: usize,
    /// This number of waiting outcomes.
    pub outcomes: usize,
}

/// What the write thread does next, before a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Begin a transaction with what waits.
    Run,
    /// Nothing arrived before the deadline.
    Idle,
    /// Wait until this time, or without end if there is none, or until the wake-up.
    Wait(Option<Instant>, Wakeup),
}

/// What the write thread does next, inside a transaction that has run all it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Commit.
    Commit,
    /// Run what has arrived meanwhile.
    Run,
    /// Wait for this long, or until this many write requests wait.
    Wait(Duration, usize),
}

/// What a transaction takes of what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of write requests.
    pub requests: usize,
    /// Number of outcomes of destinations without a backlog.
    pub normal: usize,
    /// Number of outcomes of destinations with a backlog.
    pub low_priority: usize,
}

/// What the last transactions were like, and the state of the current one.
#[derive(Debug, Default)]
pub struct Pacing {
    /// Learns how long outcomes take, and limits them.
    pub budget: OutcomeBudget,
    group: CommitGroup,
    /// Whether a group was answered just before this transaction, and is likely to return.
    group_returns: bool,
    /// Write requests of the last transaction that had some; 0 after a time without any.
    last_group_size: usize,
    /// Whether the last transaction had write requests.
    had_requests: bool,
    /// Whether the last transaction had outcomes.
    had_outcomes: bool,
    /// When the current or last transaction began.
    began_at: Option<Instant>,
    /// How long that transaction has waited for further write requests.
    lingered: Duration,
}

impl Pacing {
    /// The last transaction is over, and its callers have their answers: sets what the next one waits for.
    pub fn begin(&mut self, waiting: Waiting, now: Instant) {
        let had_requests = std::mem::take(&mut self.had_requests);
        let expected = match had_requests {
            // Those who were just answered return, and others wait already.
            true => self.last_group_size + waiting.requests,
            false => self.last_group_size.max(waiting.requests),
        };
        let has_outcomes = std::mem::take(&mut self.had_outcomes) || waiting.outcomes() > 0;
        let (target, fraction) = if has_outcomes {
            (expected, LINGER_FRACTION)
        } else {
            ((expected * EARLY_COMMIT_PERCENT).div_ceil(100), EARLY_LINGER_FRACTION)
        };
        let took = self.began_at.take().map_or(Duration::ZERO, |at| now.duration_since(at));
        let linger = took.saturating_sub(self.lingered).mul_f64(fraction).min(MAX_LINGER);
        self.lingered = Duration::ZERO;
        self.group_returns = self.budget.has_group(now);
        self.group = CommitGroup::of(target.clamp(1, MAX_GROUP), linger);
    }

    /// What to do before a transaction. Outcomes alone begin one only if `outcomes_too`. With nothing to run, the wait
    /// ends at `deadline`.
    pub fn next(&mut self, waiting: Waiting, outcomes_too: bool, deadline: Option<Instant>, now: Instant) -> Next {
        self.group.on_arrival(waiting.requests, now);
        let requests_due = match waiting.requests {
            0 => None,
            some if some >= self.group.chunk() => Some(now),
            _ => self.group.deadline,
        };
        let linger = match waiting.outcomes() {
            // While a group returns, outcomes run at once, and the commit waits for the group.
            _ if self.group_returns => Duration::ZERO,
            ..MANY_OUTCOMES => OUTCOMES_LINGER,
            MANY_OUTCOMES..MAX_OUTCOMES => MANY_OUTCOMES_LINGER,
            _ => Duration::ZERO,
        };
        let outcomes_due = waiting.outcomes_since.filter(|_| outcomes_too).map(|since| since + linger);
        let due = requests_due.into_iter().chain(outcomes_due).min();
        if due.is_some_and(|due| due <= now) {
            if waiting.requests == 0 {
                self.group.deadline = Some(if self.group_returns { now + OUTCOMES_LINGER } else { now });
            }
            self.began_at = Some(now);
            return Next::Run;
        }
        if due.is_none() && deadline.is_some_and(|deadline| deadline <= now) {
            self.last_group_size = 0;
            return Next::Idle;
        }
        let outcomes = match outcomes_due {
            Some(_) => MAX_OUTCOMES,
            None if outcomes_too => 1,
            None => usize::MAX,
        };
        Next::Wait(due.or(deadline), Wakeup { requests: self.group.wanted(), outcomes })
    }

    /// What to do inside a transaction while `requests` further write requests wait. When `stopping`, it waits no
    /// longer.
    pub fn then(&mut self, requests: usize, stopping: bool, now: Instant) -> Then {
        self.group.on_arrival(requests, now);
        let chunk = self.group.chunk();
        let left = self.group.deadline.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if chunk == 0 || stopping || (left.is_zero() && requests == 0) {
            Then::Commit
        } else if left.is_zero() || requests >= chunk {
            Then::Run
        } else {
            Then::Wait(left, self.group.wanted())
        }
    }

    /// The transaction has waited for `time` for further write requests.
    pub fn waited(&mut self, time: Duration) {
        self.lingered += time;
    }

    /// How long the transaction has waited for further write requests, in total.
    pub fn lingered(&self) -> Duration {
        self.lingered
    }

    /// What the transaction takes now of what waits.
    pub fn take(&mut self, waiting: Waiting, now: Instant) -> Share {
        let requests = waiting.requests.min(MAX_GROUP - self.group.taken);
        self.group.taken += requests;
        if requests > 0 {
            self.had_requests = true;
            self.last_group_size = self.group.taken;
            self.budget.requests_begin(now, self.group.taken.max(self.group.target));
        }
        let fit = self.budget.limit(now);
        let limit = fit.max(self.budget.created_last() + MIN_OUTCOMES).min(MAX_OUTCOMES);
        self.group.outcomes = self.group.outcomes.min(limit);
        // Outcomes of low priority have the time that the others leave.
        let left = fit.saturating_sub(waiting.normal).max(MIN_OUTCOMES);
        self.group.low_priority = self.group.low_priority.min(left);
        let normal = waiting.normal.min(self.group.outcomes);
        let low_priority = waiting.low_priority.min(self.group.low_priority).min(self.group.outcomes - normal);
        self.had_outcomes |= normal + low_priority > 0;
        self.group.outcomes -= normal + low_priority;
        self.group.low_priority -= low_priority;
        Share { requests, normal, low_priority }
    }
}

#[cfg(test)]
mod tests;
