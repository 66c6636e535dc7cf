//! What waits for the write thread: steps, whose callers wait for the commit, and outcomes of attempts, which nobody
//! waits for. They queue apart, so that a backlog of outcomes never stands before an accepted event; and an outcome
//! waits a little for a step whose commit it can share.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::group::CommitGroup;
use super::outcome_queue::OutcomeQueue;
use super::pacing::{self, OutcomeBudget};
use super::write_request::WriteRequest;
use crate::store::outcome::FinishedAttempt;

/// Steps that may wait; a further one is refused with 503.
const MAX_QUEUED: usize = 16_384;

/// Most steps of one transaction.
const MAX_GROUP: usize = 512;

/// How long a transaction waits for those who were answered just now, as a part of the time that the last one took: else
/// they come while this one is written, wait for the whole of it, and there are two crowds of half the size in turn. One
/// that comes alone waits for nobody.
const LINGER_FRACTION: f64 = 0.3;
const MAX_LINGER: Duration = Duration::from_millis(4);

/// Where no outcomes come, a crowd is served in two: so many of a hundred first, while the rest is on its way. Nothing else
/// would be done while the disk syncs; outcomes come with deliveries, which are work enough.
const EARLY_COMMIT_PERCENT: usize = 60;
const EARLY_LINGER_FRACTION: f64 = 0.1;

/// How long outcomes wait for a step that they can share a commit with.
const OUTCOMES_LINGER: Duration = Duration::from_millis(3);

/// Where so many come in that time they wait longer: the more go together, the more of them share a page.
const MANY_OUTCOMES: usize = 48;
const MANY_OUTCOMES_LINGER: Duration = Duration::from_millis(12);

/// Why a step was not queued.
pub enum QueueError {
    /// Too many wait.
    Full,
    /// The write thread has ended.
    Closed,
}

struct State {
    requests: VecDeque<Box<dyn WriteRequest>>,
    outcomes: OutcomeQueue,
    /// When the oldest outcome came.
    outcomes_since: Option<Instant>,
    stop: Option<oneshot::Sender<()>>,
    closed: bool,
    /// So many steps wake the thread.
    requests_wanted: usize,
    /// So many outcomes wake the thread.
    outcomes_wanted: usize,
}

impl State {
    /// The thread is awake, or about to be: nobody needs to wake it.
    fn disarm_wakeup(&mut self) {
        (self.requests_wanted, self.outcomes_wanted) = (usize::MAX, usize::MAX);
    }
}

struct Inner {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that callers have.
#[derive(Clone)]
pub struct CommitQueue(Arc<Inner>);

/// The write thread's end; once it is gone everything is refused.
pub struct QueueReceiver {
    shared: Arc<Inner>,
    /// Steps of the last transaction that had some.
    last_group_size: usize,
    /// Whether the last transaction had some.
    had_requests: bool,
    /// Whether the last transaction had outcomes.
    had_outcomes: bool,
    /// When the last transaction began.
    began_at: Option<Instant>,
    /// How long it waited for further steps.
    lingered: Duration,
    group: CommitGroup,
    budget: OutcomeBudget,
}

/// What the write thread is to do.
pub enum Work {
    /// Write what it was given.
    Run,
    /// Nothing came in time.
    Idle,
    /// Write what it was given, which is all, and end.
    Stop(oneshot::Sender<()>),
}

/// An empty inbox, and its other end.
pub fn queue() -> (CommitQueue, QueueReceiver) {
    let state = State {
        requests: VecDeque::new(),
        outcomes: OutcomeQueue::default(),
        outcomes_since: None,
        stop: None,
        closed: false,
        requests_wanted: usize::MAX,
        outcomes_wanted: usize::MAX,
    };
    let shared = Arc::new(Inner { state: Mutex::new(state), arrived: Condvar::new() });
    let receiver = QueueReceiver {
        shared: Arc::clone(&shared),
        last_group_size: 0,
        had_requests: false,
        had_outcomes: false,
        began_at: None,
        lingered: Duration::ZERO,
        group: CommitGroup::of(0, Duration::ZERO),
        budget: OutcomeBudget::default(),
    };
    (CommitQueue(shared), receiver)
}

impl CommitQueue {
    /// Queues a step.
    ///
    /// # Errors
    /// Too many wait, or the thread has ended.
    pub fn push(&self, step: Box<dyn WriteRequest>) -> Result<(), QueueError> {
        let mut state = self.0.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        if state.requests.len() >= MAX_QUEUED {
            return Err(QueueError::Full);
        }
        state.requests.push_back(step);
        self.wake(state);
        Ok(())
    }

    /// Queues outcomes, of a destination that is `behind` or not. Their number is bounded by the deliveries in hand. A stopped
    /// thread takes none: those deliveries are still pending in the file and are sent again.
    pub fn push_outcomes(&self, finished: impl IntoIterator<Item = FinishedAttempt>, low_priority: bool) {
        let mut state = self.0.state();
        if state.closed {
            return;
        }
        let queue = if low_priority { &mut state.outcomes.low_priority } else { &mut state.outcomes.normal };
        queue.extend(finished);
        if state.outcomes_since.is_none() && !state.outcomes.is_empty() {
            state.outcomes_since = Some(Instant::now());
        }
        self.wake(state);
    }

    /// Lets the thread write what is queued and end; `done` is told.
    pub fn stop(&self, done: oneshot::Sender<()>) {
        let mut state = self.0.state();
        if !state.closed {
            state.stop = Some(done);
            self.0.arrived.notify_one();
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.requests.len() >= state.requests_wanted || state.outcomes.len() >= state.outcomes_wanted {
            state.disarm_wakeup();
            // Woken under the lock, the thread would at once wait for it.
            drop(state);
            self.0.arrived.notify_one();
        }
    }
}

impl QueueReceiver {
    /// To be told what transactions were like.
    pub fn budget(&mut self) -> &mut OutcomeBudget {
        &mut self.budget
    }

    /// Waits for work until `deadline` and appends it to `steps` and `outcomes`. Outcomes alone are work only while
    /// `outcomes_too`.
    pub fn next_work(
        &mut self,
        deadline: Option<Instant>,
        outcomes_too: bool,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) -> Work {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let began = Instant::now();
        let crowded = self.budget.has_group(began);
        // Whoever was answered just now, and whoever waits already.
        let waiting = state.requests.len();
        let answered = std::mem::take(&mut self.had_requests);
        let all = if answered { self.last_group_size + waiting } else { self.last_group_size.max(waiting) };
        let settles = std::mem::take(&mut self.had_outcomes) || !state.outcomes.is_empty();
        let (enough, linger) = if settles {
            (all, LINGER_FRACTION)
        } else {
            ((all * EARLY_COMMIT_PERCENT).div_ceil(100), EARLY_LINGER_FRACTION)
        };
        let since = self.began_at.take().map_or(Duration::ZERO, |at| began.duration_since(at));
        let patience = since.saturating_sub(self.lingered).mul_f64(linger).min(MAX_LINGER);
        self.lingered = Duration::ZERO;
        self.group = CommitGroup::of(enough.clamp(1, MAX_GROUP), patience);
        loop {
            if let Some(done) = state.stop.take() {
                state.closed = true;
                requests.extend(state.requests.drain(..));
                state.outcomes.drain(usize::MAX, usize::MAX, outcomes);
                return Work::Stop(done);
            }
            let now = Instant::now();
            let queued = state.requests.len();
            self.group.on_arrival(queued, now);
            let steps_due = match queued {
                0 => None,
                _ if queued >= self.group.chunk() => Some(now),
                _ => self.group.deadline,
            };
            // Beside a crowd they run while it comes; the commit waits for it.
            let at_once = crowded || state.outcomes.len() >= pacing::MAX_OUTCOMES;
            let outcomes_due = state.outcomes_since.filter(|_| outcomes_too);
            let linger = match state.outcomes.len() {
                _ if at_once => Duration::ZERO,
                ..MANY_OUTCOMES => OUTCOMES_LINGER,
                _ => MANY_OUTCOMES_LINGER,
            };
            let outcomes_due = outcomes_due.map(|since| since + linger);
            let due = steps_due.into_iter().chain(outcomes_due).min();
            if due.is_some_and(|due| due <= now) {
                if queued == 0 {
                    self.group.deadline = Some(if crowded { now + OUTCOMES_LINGER } else { now });
                }
                self.began_at = Some(now);
                self.drain(&mut state, now, requests, outcomes);
                return Work::Run;
            }
            if due.is_none() && deadline.is_some_and(|deadline| deadline <= now) {
                self.last_group_size = 0;
                return Work::Idle;
            }
            state.requests_wanted = self.group.wanted();
            state.outcomes_wanted = match outcomes_due {
                Some(_) => pacing::MAX_OUTCOMES,
                None if outcomes_too => 1,
                None => usize::MAX,
            };
            state = match due.or(deadline) {
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    shared.arrived.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => shared.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Waits for what else is to go with a transaction that has run all it was given. Where there is nothing left to wait
    /// for it is to be committed.
    pub fn wait_for_group(
        &mut self,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let began = Instant::now();
        let mut now = began;
        let came = loop {
            let queued = state.requests.len();
            self.group.on_arrival(queued, now);
            let part = self.group.chunk();
            let left = self.group.deadline.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            let over = left.is_zero();
            if part == 0 || state.stop.is_some() || (over && queued == 0) {
                break false;
            }
            if over || queued >= part {
                break true;
            }
            state.requests_wanted = self.group.wanted();
            state = shared.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            now = Instant::now();
        };
        self.lingered += now - began;
        if came {
            self.drain(&mut state, now, requests, outcomes);
        } else {
            state.disarm_wakeup();
        }
        came
    }

    /// How long the transaction has waited for what else is to go with it.
    pub fn lingered(&self) -> Duration {
        self.lingered
    }

    fn drain(
        &mut self,
        state: &mut State,
        now: Instant,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) {
        state.disarm_wakeup();
        let some = state.requests.len().min(MAX_GROUP - self.group.taken);
        requests.extend(state.requests.drain(..some));
        self.group.taken += some;
        if some > 0 {
            self.had_requests = true;
            self.last_group_size = self.group.taken;
            self.budget.requests_begin(now, self.group.taken.max(self.group.target));
        }
        let fit = self.budget.limit(now);
        // A backlog has the time that is left.
        let left = fit.saturating_sub(state.outcomes.normal.len()).max(pacing::MIN_OUTCOMES);
        self.group.outcomes = self
            .group
            .outcomes
            .min(fit.max(self.budget.created_last() + pacing::MIN_OUTCOMES).min(pacing::MAX_OUTCOMES));
        self.group.low_priority = self.group.low_priority.min(left);
        let (some, low_priority) = state.outcomes.drain(self.group.outcomes, self.group.low_priority, outcomes);
        self.had_outcomes |= some > 0;
        self.group.outcomes -= some;
        self.group.low_priority -= low_priority;
        // Those that are left have waited long enough.
        state.outcomes_since = state.outcomes_since.filter(|_| !state.outcomes.is_empty());
    }
}

impl Drop for QueueReceiver {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        // Whoever waits for one of these learns that it will not be done.
        let (requests, stop) = (std::mem::take(&mut state.requests), state.stop.take());
        drop(state);
        drop((requests, stop));
    }
}

#[cfg(test)]
mod tests;
