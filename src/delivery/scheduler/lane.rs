//! A lane: what the engine knows of one destination, and how that changes. Pure: time is an argument. Nothing here may
//! read a clock, the store or other lanes.

pub mod file_order;
mod order;
mod rate;
pub mod slowness;
mod standing;
pub mod suspicion;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::limits::{
    CONCURRENCY_STEP, FAST, FLOOR, IMMEDIATE, MAX_BACKOFF, MAX_CONSECUTIVE_FAILURES, MAX_RUN, MIN_BACKOFF,
    MIN_CONCURRENCY_LIMIT, RUN_SHARE, RUN_TIME, STRICT_WINDOW, UNBUNDLED_SUCCESSES, WINDOW,
};
use crate::domain::destination::Destination;
use crate::domain::ids::DeliveryId;
use crate::domain::retry::Jitter;
use crate::domain::time::Timestamp;

use super::pools::Pool;
use crate::delivery::sending::attempt::Client;
use crate::delivery::workers::job::Job;
use crate::delivery::workers::pace::Pace;
use file_order::FileOrder;
use suspicion::Suspicion;

/// What the lane's attempts so far say about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No attempt has succeeded yet.
    New,
    /// The destination answers.
    Good,
    /// Only failures lately.
    Failing,
}

/// The state of a delivery in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waits in the lane.
    Queued,
    /// Given to a worker, in progress, or ended with an outcome that is not on disk yet.
    Sent,
    /// No longer in hand, but remembered until the refill ends that had begun before.
    Recorded,
}

/// The lane of one destination.
pub struct Lane {
    /// The destination as it is now. The next attempt uses this.
    pub destination: Arc<Destination>,
    /// The client with this destination's connections. Dropped after a time without work.
    pub client: Option<Arc<Client>>,
    /// When an attempt last ended.
    pub last_used: Timestamp,
    /// Jobs that wait, in the order in which they are sent.
    pub queue: VecDeque<Job>,
    /// Manually retried jobs, which ignore holds and back-off.
    pub urgent: VecDeque<Job>,
    /// Every delivery in hand, with its state.
    pub in_hand: HashMap<DeliveryId, JobState>,
    /// Jobs in hand above [`FLOOR`], without manual retries, at the last count.
    pub above_floor: usize,
    /// Runs that workers have. Each has at most one attempt in progress.
    pub in_flight: usize,
    /// The file holds further deliveries that are due.
    pub more: bool,
    /// `Some` while a refill is in progress; `Some(true)` once more became due in the file since the refill began.
    pub refilling: Option<bool>,
    /// Deliveries that were cancelled while a refill is in progress. The refill may still have read them.
    pub cancelled: HashSet<DeliveryId>,
    /// What is known of the order in the file. Counts only in strict order.
    pub file_order: FileOrder,
    /// The rate that the destination asks for, if it does.
    pub pace: Option<Arc<Pace>>,
    /// The health of the destination.
    pub health: Health,
    /// Typical duration of a success: a moving average in which each new one counts 1/8.
    typical_duration: Duration,
    /// Most attempts in progress, learned from successes and failures.
    adaptive_limit: usize,
    consecutive_failures: u32,
    halved_at: Timestamp,
    backoff: Duration,
    /// End of the back-off after failures. Applies only while the lane is failing.
    pub backoff_until: Timestamp,
    suspicion: Suspicion,
    /// Successes until the lane may share assignments with other lanes again.
    unbundled_successes: u32,
    /// The lane's turn among equals. The lane keeps the turn until its next run begins.
    pub turn: Option<u64>,
    /// When the lane's timer goes off.
    pub wakes_at: Option<Timestamp>,
    /// When the lane's timer for its rate goes off.
    pub rate_wakes_at: Option<Timestamp>,
}

impl Lane {
    /// A lane of which nothing is known yet.
    pub fn new(destination: Arc<Destination>, now: Timestamp) -> Self {
        let mut lane = Self {
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
            file_order: FileOrder::default(),
            pace: None,
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
            rate_wakes_at: None,
        };
        lane.keep_rate(now);
        lane
    }

    /// The pool that the next attempt needs a permit of.
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

    /// How long an attempt of `pool` may be in progress before it is overdue; `None` where it never is.
    pub fn overdue_after(&self, pool: Pool) -> Option<Duration> {
        match pool {
            Pool::Failing => None,
            // A slow destination gets twice its typical duration and 100 ms. After that it is more likely that the
            // attempt hangs.
            Pool::Slow | Pool::Suspect if self.typical_duration >= FAST => Some(self.typical_duration * 2 + FAST * 2),
            _ => Some(FAST),
        }
    }

    /// Whether the destination is paused.
    pub fn is_paused(&self) -> bool {
        self.destination.pause.is_some()
    }

    /// When the lane may send again, if that is after `now`. Until then a hold (`Retry-After`), a back-off or the wait
    /// for the next probe applies. Manual retries do not wait for this.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let held = self.destination.held_until.unwrap_or(Timestamp::EPOCH);
        let until = held.max(if self.health == Health::Failing { self.backoff_until } else { Timestamp::EPOCH });
        let probe = self.suspicion.waits_until(now).filter(|_| self.health != Health::Failing);
        (until > now).then_some(until).max(probe)
    }

    /// Whether an attempt is overdue and no later one has succeeded. Then the destination has probably stopped
    /// answering.
    pub fn is_suspect(&self) -> bool {
        self.suspicion.is_on()
    }

    /// Attempts in progress that are overdue.
    pub fn hanging(&self) -> usize {
        self.suspicion.hanging()
    }

    /// Runs of the lane without an overdue attempt.
    pub fn lively(&self) -> usize {
        self.in_flight.saturating_sub(self.hanging())
    }

    /// The lane's rank in its pool, lowest first: attempts that hold permits, or in the suspect pool the weight of the
    /// next probe.
    pub fn weight(&self) -> usize {
        match self.pool() {
            Pool::Suspect => self.suspicion.weight(),
            _ => self.lively(),
        }
    }

    /// Whether a further attempt may begin. `most` is the limit of attempts in progress, unless the destination sets
    /// its own. Overdue attempts count too, because that limit was asked for. `hanging` is how many of them a good lane
    /// may have. In strict order there is one at a time.
    pub fn has_capacity(&self, most: usize, hanging: usize) -> bool {
        if self.is_strict() {
            return self.is_settled();
        }
        let most = self.destination.fields.max_concurrency.map_or(most, usize::from).max(1);
        let in_time = self.in_flight < most;
        match self.health {
            // A manual retry does not wait for the attempt in progress that is probably failing.
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

    /// The destination leads to another server now, of which nothing is known.
    pub fn moved(&mut self) {
        self.health = Health::New;
        self.suspicion.moved();
    }

    /// Whether overdue attempts may be all that holds a good lane back. Such a lane must be looked at again when others
    /// have fewer.
    pub fn hangs_much(&self) -> bool {
        self.health == Health::Good && !self.is_suspect() && self.hanging() > 1
    }

    /// The highest useful number of attempts in progress. With more, attempts only compete for processors, to this
    /// destination or to others that answer as fast.
    pub fn max_useful_concurrency(&self) -> usize {
        usize::try_from(self.typical_duration.as_micros() / CONCURRENCY_STEP.as_micros())
            .unwrap_or(usize::MAX)
            .max(MIN_CONCURRENCY_LIMIT)
    }

    /// Most jobs that the lane may have in hand. `share` is the lane's part of the shared window, and `spare` is what
    /// nobody uses of that window.
    pub fn window(&self, share: usize, spare: usize) -> usize {
        match self.health {
            Health::Good => FLOOR.max(self.most_in_hand().min(share).min(self.in_hand.len() + spare)),
            Health::New | Health::Failing => FLOOR,
        }
    }

    /// Most jobs that a good lane can make use of.
    fn most_in_hand(&self) -> usize {
        let window = if self.is_strict() { STRICT_WINDOW } else { WINDOW };
        window.min(self.window_of_rate())
    }

    /// Most jobs of the next run.
    pub fn run_length(&self) -> usize {
        if self.health != Health::Good || self.is_suspect() || self.is_strict() {
            return 1;
        }
        let typical = self.typical_duration.as_micros().max(1);
        let in_time = usize::try_from(RUN_TIME.as_micros() / typical).unwrap_or(MAX_RUN);
        (self.queue.len() / RUN_SHARE).min(in_time).clamp(1, MAX_RUN)
    }

    /// Takes the jobs of the next run, as many as the rate allows at `now`. A manual retry goes first and alone: while
    /// the lane waits, it is ready only for its manual retries.
    pub fn next_jobs(&mut self, now: Timestamp) -> VecDeque<Job> {
        let allowed = self.rate_allows(now);
        if allowed == 0 {
            return VecDeque::new();
        }
        match self.urgent.pop_front() {
            Some(job) => VecDeque::from([job]),
            None => self.queue.drain(..self.run_length().min(allowed).min(self.queue.len())).collect(),
        }
    }

    /// Typical duration of a success.
    pub fn typical_duration(&self) -> Duration {
        self.typical_duration
    }

    /// Whether the lane must have an assignment of its own.
    pub fn goes_alone(&self) -> bool {
        self.unbundled_successes > 0
    }

    /// A run was reclaimed because another lane delayed it. The lane gets assignments of its own until its next
    /// success.
    pub fn delayed_by_other(&mut self) {
        self.unbundled_successes = self.unbundled_successes.max(1);
    }

    /// An attempt took so long that it delayed other lanes. The lane gets assignments of its own for
    /// [`UNBUNDLED_SUCCESSES`] successes.
    pub fn delayed_others(&mut self) {
        self.unbundled_successes = UNBUNDLED_SUCCESSES;
    }

    /// An attempt that began at `began` is overdue.
    pub fn overdue(&mut self, began: Timestamp, now: Timestamp) {
        self.suspicion.overdue(began, now);
    }

    /// An attempt that began at `began` has succeeded.
    pub fn succeeded(&mut self, began: Timestamp, took: Duration) {
        self.typical_duration = if self.health == Health::Good { (self.typical_duration * 7 + took) / 8 } else { took };
        self.adaptive_limit = if self.health == Health::Good { self.adaptive_limit + 1 } else { 2 };
        self.health = Health::Good;
        self.consecutive_failures = 0;
        self.unbundled_successes = self.unbundled_successes.saturating_sub(1);
        self.backoff = MIN_BACKOFF;
        self.suspicion.succeeded(began);
    }

    /// An attempt that began at `began` has failed.
    pub fn failed(&mut self, began: Timestamp, now: Timestamp, jitter: Jitter) {
        if began >= self.halved_at {
            // Halved once for each round. Attempts that were in progress at the last halving say nothing new.
            self.adaptive_limit = (self.adaptive_limit / 2).max(1);
            self.halved_at = now;
        }
        if self.health == Health::Good && self.suspicion.is_stale(began) {
            // A later attempt has succeeded meanwhile. This one hung since before, and says nothing about the
            // destination now.
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

    /// A worker is done with a run. `overdue` is when the run's overdue attempt began, if it had one.
    pub fn ended(&mut self, overdue: Option<Timestamp>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(began) = overdue {
            self.suspicion.ended(began);
        }
    }

    /// Whether the file holds more than the lane has in hand, and the lane may have much in hand. A lane of a low rate
    /// never needs more than its floor, so it takes no part of the shared window from others.
    pub fn is_backlogged(&self) -> bool {
        let holds_more = (self.more || self.refilling.is_some()) && !self.is_paused();
        holds_more && self.health == Health::Good && self.most_in_hand() > FLOOR
    }

    /// The file holds something for this lane that is due.
    pub fn note_more(&mut self) {
        self.file_order.is_behind = true;
        match &mut self.refilling {
            Some(came_meanwhile) => *came_meanwhile = true,
            None => self.more = true,
        }
    }

    /// Ends the back-off, and makes the next one the shortest again.
    pub fn clear_backoff(&mut self) {
        self.backoff_until = Timestamp::EPOCH;
        self.backoff = MIN_BACKOFF;
    }
}

#[cfg(test)]
mod tests;
