//! A lane: what the engine knows of one destination, and how a lane moves. Pure; time is an argument.

pub mod suspicion;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::limits::{
    CONCURRENCY_STEP, FAST, FLOOR, IMMEDIATE, MAX_BACKOFF, MAX_CONSECUTIVE_FAILURES, MAX_RUN, MIN_BACKOFF,
    MIN_CONCURRENCY_LIMIT, RUN_SHARE, RUN_TIME, UNBUNDLED_SUCCESSES, WINDOW,
};
use crate::domain::destination::Destination;
use crate::domain::ids::DeliveryId;
use crate::domain::retry::Jitter;
use crate::domain::time::Timestamp;

use super::pools::Pool;
use crate::delivery::sending::attempt::Client;
use crate::delivery::workers::job::Job;
use suspicion::Suspicion;

/// What a lane's record says of its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No success yet.
    New,
    /// It answers.
    Good,
    /// Nothing but failures lately.
    Failing,
}

/// Where a delivery in hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waits in the lane.
    Queued,
    /// An attempt is under way, or its outcome is not on disk yet.
    Sent,
    /// On disk; remembered until the refill that began before is back.
    Settled,
}

/// One destination's lane.
pub struct Lane {
    /// The destination as it is now; the next attempt uses it.
    pub destination: Arc<Destination>,
    /// Client with this destination's connections; dropped when idle.
    pub client: Option<Arc<Client>>,
    /// When an attempt last ended.
    pub last_used: Timestamp,
    /// Jobs that wait, first to go first.
    pub queue: VecDeque<Job>,
    /// Jobs that pass holds and back-off.
    pub urgent: VecDeque<Job>,
    /// Every delivery in hand.
    pub in_hand: HashMap<DeliveryId, JobState>,
    /// What it has in hand beyond what each lane may have in any case, as it was last counted.
    pub above_floor: usize,
    /// Attempts under way.
    pub in_flight: usize,
    /// The file holds more that is due.
    pub more: bool,
    /// A refill is under way; `Some(true)` when the file got more since it began.
    pub refilling: Option<bool>,
    /// Deliveries cancelled while a refill is under way.
    pub cancelled: HashSet<DeliveryId>,
    /// What its record says.
    pub health: Health,
    /// Usual duration of a success (moving average, 1/8).
    typical_duration: Duration,
    /// Attempts that it may have at once.
    adaptive_limit: usize,
    consecutive_failures: u32,
    halved_at: Timestamp,
    backoff: Duration,
    /// Not before then, after failures.
    pub backoff_until: Timestamp,
    suspicion: Suspicion,
    /// Successes until it goes with others again.
    unbundled_successes: u32,
    /// Its turn among equals, which it keeps until it takes it.
    pub turn: Option<u64>,
    /// When its timer goes off.
    pub wakes_at: Option<Timestamp>,
}

impl Lane {
    /// A lane without a record.
    pub fn new(destination: Arc<Destination>, now: Timestamp) -> Self {
        Self {
            destination,
            client: None,
            last_used: now,
            queue: VecDeque::new(),
            urgent: VecDeque::new(),
            in_hand: HashMap::new(),
            above_floor: 0,
            in_flight: 0,
            more: false,
            refilling: None,
            cancelled: HashSet::new(),
            health: Health::New,
            typical_duration: Duration::ZERO,
            adaptive_limit: 1,
            consecutive_failures: 0,
            halved_at: Timestamp::EPOCH,
            backoff: MIN_BACKOFF,
            backoff_until: Timestamp::EPOCH,
            suspicion: Suspicion::default(),
            unbundled_successes: 0,
            turn: None,
            wakes_at: None,
        }
    }

    /// The pool that its next attempt draws on.
    pub fn pool(&self) -> Pool {
        match self.health {
            Health::Failing => Pool::Failing,
            Health::New | Health::Good if self.is_suspect() => Pool::Suspect,
            Health::New => Pool::New,
            Health::Good if self.typical_duration < IMMEDIATE => Pool::Immediate,
            Health::Good if self.typical_duration < FAST => Pool::Fast,
            Health::Good => Pool::Slow,
        }
    }

    /// How old an attempt of `pool` must be to be overdue.
    pub fn overdue_after(&self, pool: Pool) -> Option<Duration> {
        match pool {
            Pool::Failing => None,
            // Those that usually take long are given their usual, and some; after that a hang is likelier.
            Pool::Slow | Pool::Suspect if self.typical_duration >= FAST => Some(self.typical_duration * 2 + FAST * 2),
            _ => Some(FAST),
        }
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.destination.pause.is_some()
    }

    /// Held by `Retry-After` or back-off until then, if it lies after `now`. What was asked for by hand passes that.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let held = self.destination.held_until.unwrap_or(Timestamp::EPOCH);
        let until = held.max(if self.health == Health::Failing { self.backoff_until } else { Timestamp::EPOCH });
        let probe = self.suspicion.waits_until(now).filter(|_| self.health != Health::Failing);
        (until > now).then_some(until).max(probe)
    }

    /// An overdue attempt and no success since it began: it probably hangs.
    pub fn is_suspect(&self) -> bool {
        self.suspicion.is_on()
    }

    /// Attempts that are overdue.
    pub fn hanging(&self) -> usize {
        self.suspicion.hanging()
    }

    /// Attempts under way that may still end soon.
    pub fn lively(&self) -> usize {
        self.in_flight.saturating_sub(self.hanging())
    }

    /// Its place among the lanes of its pool: attempts of it that hold permits there, or what its probe weighs.
    pub fn weight(&self) -> usize {
        match self.pool() {
            Pool::Suspect => self.suspicion.weight(),
            _ => self.lively(),
        }
    }

    /// Whether a further attempt may begin where a destination may have `most` at once, and a lane that still answers
    /// may have `hanging` of them overdue. Those that are overdue count for the destination's own bound: it was asked for.
    pub fn has_capacity(&self, most: usize, hanging: usize) -> bool {
        let most = self.destination.fields.max_concurrency.map_or(most, usize::from).max(1);
        let in_time = self.in_flight < most;
        match self.health {
            // One that was asked for by hand does not wait for the one that fails.
            Health::Failing => in_time && self.lively() < 1 + usize::from(!self.urgent.is_empty()),
            Health::New => in_time && self.lively() < 1,
            Health::Good if self.is_suspect() => in_time && self.lively() < 1,
            Health::Good => {
                in_time
                    && self.lively() < self.adaptive_limit.min(self.max_useful_concurrency())
                    && self.hanging() <= hanging
            }
        }
    }

    /// It leads to another server, of which nothing is known.
    pub fn moved(&mut self) {
        self.health = Health::New;
        self.suspicion.moved();
    }

    /// Whether what hangs is all that keeps it from going on: it is to be looked at again when others hang less.
    pub fn hangs_much(&self) -> bool {
        self.health == Health::Good && !self.is_suspect() && self.hanging() > 1
    }

    /// Attempts at once of which none waits for another, to this destination or others that answer as soon.
    pub fn max_useful_concurrency(&self) -> usize {
        usize::try_from(self.typical_duration.as_micros() / CONCURRENCY_STEP.as_micros())
            .unwrap_or(usize::MAX)
            .max(MIN_CONCURRENCY_LIMIT)
    }

    /// Jobs that it may have in hand where its share of the common room is `share` and `spare` of it are left.
    pub fn window(&self, share: usize, spare: usize) -> usize {
        match self.health {
            Health::Good => FLOOR.max(WINDOW.min(share).min(self.in_hand.len() + spare)),
            Health::New | Health::Failing => FLOOR,
        }
    }

    /// Jobs that the worker which comes next is given.
    pub fn run_length(&self) -> usize {
        if self.health != Health::Good || self.is_suspect() {
            return 1;
        }
        let typical = self.typical_duration.as_micros().max(1);
        let in_time = usize::try_from(RUN_TIME.as_micros() / typical).unwrap_or(MAX_RUN);
        (self.queue.len() / RUN_SHARE).min(in_time).clamp(1, MAX_RUN)
    }

    /// Takes out what the worker which comes next is given: what was asked for by hand first, and alone. While the lane
    /// waits for anything it stands among those that could send for that only.
    pub fn next_jobs(&mut self) -> VecDeque<Job> {
        match self.urgent.pop_front() {
            Some(job) => VecDeque::from([job]),
            None => self.queue.drain(..self.run_length().min(self.queue.len())).collect(),
        }
    }

    /// Usual duration of a success.
    pub fn typical_duration(&self) -> Duration {
        self.typical_duration
    }

    /// Whether its worker is to be given nothing of other lanes.
    pub fn goes_alone(&self) -> bool {
        self.unbundled_successes > 0
    }

    /// It was given to a worker that another lane has held up. It goes alone until its next success.
    pub fn delayed_by_other(&mut self) {
        self.unbundled_successes = self.unbundled_successes.max(1);
    }

    /// It took longer than others may be held up. It goes alone for a while.
    pub fn delayed_others(&mut self) {
        self.unbundled_successes = UNBUNDLED_SUCCESSES;
    }

    /// An attempt that began at `began` is overdue.
    pub fn overdue(&mut self, began: Timestamp, now: Timestamp) {
        self.suspicion.overdue(began, now);
    }

    /// An attempt was answered well.
    pub fn succeeded(&mut self, began: Timestamp, took: Duration) {
        self.typical_duration = if self.health == Health::Good { (self.typical_duration * 7 + took) / 8 } else { took };
        self.adaptive_limit = if self.health == Health::Good { self.adaptive_limit + 1 } else { 2 };
        self.health = Health::Good;
        self.consecutive_failures = 0;
        self.unbundled_successes = self.unbundled_successes.saturating_sub(1);
        self.backoff = MIN_BACKOFF;
        self.suspicion.succeeded(began);
    }

    /// An attempt failed.
    pub fn failed(&mut self, began: Timestamp, now: Timestamp, jitter: Jitter) {
        if began >= self.halved_at {
            // Once a round: those that were under way at the last halving say nothing new.
            self.adaptive_limit = (self.adaptive_limit / 2).max(1);
            self.halved_at = now;
        }
        if self.health == Health::Good && self.suspicion.is_stale(began) {
            // The destination has answered what it was asked later: that one hung and ended now says nothing of now.
            return;
        }
        let was_suspect = self.is_suspect();
        self.consecutive_failures += 1;
        if self.health != Health::Good || was_suspect || self.consecutive_failures >= MAX_CONSECUTIVE_FAILURES {
            if self.health != Health::Failing {
                self.backoff = MIN_BACKOFF;
            }
            self.health = Health::Failing;
            self.adaptive_limit = 1;
            self.backoff_until = now.plus(jitter.apply(self.backoff));
            self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// A worker is done with it; `overdue` is when its attempt began that was overdue, if one was.
    pub fn ended(&mut self, overdue: Option<Timestamp>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(began) = overdue {
            self.suspicion.ended(began);
        }
    }

    /// The file holds more than it has in hand, and it may have much in hand.
    pub fn is_backlogged(&self) -> bool {
        (self.more || self.refilling.is_some()) && self.health == Health::Good && !self.is_paused()
    }

    /// The file has something for it that is due.
    pub fn note_more(&mut self) {
        match &mut self.refilling {
            Some(came_meanwhile) => *came_meanwhile = true,
            None => self.more = true,
        }
    }

    /// Begins anew with the shortest back-off, and at once.
    pub fn clear_backoff(&mut self) {
        self.backoff_until = Timestamp::EPOCH;
        self.backoff = MIN_BACKOFF;
    }
}

#[cfg(test)]
mod tests;
