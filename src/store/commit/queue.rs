//! What waits for the write thread: steps, whose callers wait for the commit, and outcomes of attempts, which nobody
//! waits for. They queue apart, so that a backlog of outcomes never stands before an accepted event; and an outcome
//! waits a little for a step whose commit it can share.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::group::Crowd;
use super::outcome_queue::Outcomes;
use super::pacing::{self, Beside};
use super::step::Step;
use crate::store::outcome::FinishedAttempt;

/// Steps that may wait; a further one is refused with 503.
const QUEUE: usize = 16_384;

/// Most steps of one transaction.
const BATCH: usize = 512;

/// How long a transaction waits for those who were answered just now, as a part of the time that the last one took: else
/// they come while this one is written, wait for the whole of it, and there are two crowds of half the size in turn. One
/// that comes alone waits for nobody.
const LINGER: f64 = 0.3;
const LONGEST_LINGER: Duration = Duration::from_millis(4);

/// Where no outcomes come, a crowd is served in two: so many of a hundred first, while the rest is on its way. Nothing else
/// would be done while the disk syncs; outcomes come with deliveries, which are work enough.
const FIRST_OF_TWO: usize = 60;
const LINGER_IN_TWO: f64 = 0.1;

/// How long outcomes wait for a step that they can share a commit with.
const OUTCOMES_LINGER: Duration = Duration::from_millis(3);

/// Where so many come in that time they wait longer: the more go together, the more of them share a page.
const MANY_OUTCOMES: usize = 48;
const MANY_OUTCOMES_LINGER: Duration = Duration::from_millis(12);

/// Why a step was not queued.
pub enum Refused {
    /// Too many wait.
    Full,
    /// The write thread has ended.
    Closed,
}

struct State {
    steps: VecDeque<Box<dyn Step>>,
    outcomes: Outcomes,
    /// When the oldest outcome came.
    outcomes_since: Option<Instant>,
    stop: Option<oneshot::Sender<()>>,
    closed: bool,
    /// So many steps wake the thread.
    steps_wanted: usize,
    /// So many outcomes wake the thread.
    outcomes_wanted: usize,
}

impl State {
    /// The thread is awake, or about to be: nobody needs to wake it.
    fn let_be(&mut self) {
        (self.steps_wanted, self.outcomes_wanted) = (usize::MAX, usize::MAX);
    }
}

struct Shared {
    state: Mutex<State>,
    came: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that callers have.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

/// The write thread's end; once it is gone everything is refused.
pub struct Outlet {
    shared: Arc<Shared>,
    /// Steps of the last transaction that had some.
    usual: usize,
    /// Whether the last transaction had some.
    answered: bool,
    /// Whether the last transaction had outcomes.
    settled: bool,
    /// When the last transaction began.
    given_at: Option<Instant>,
    /// How long it waited for further steps.
    lingered: Duration,
    crowd: Crowd,
    beside: Beside,
}

/// What the write thread is to do.
pub enum Taken {
    /// Write what it was given.
    Work,
    /// Nothing came in time.
    Nothing,
    /// Write what it was given, which is all, and end.
    Stop(oneshot::Sender<()>),
}

/// An empty inbox, and its other end.
pub fn inbox() -> (Inbox, Outlet) {
    let state = State {
        steps: VecDeque::new(),
        outcomes: Outcomes::default(),
        outcomes_since: None,
        stop: None,
        closed: false,
        steps_wanted: usize::MAX,
        outcomes_wanted: usize::MAX,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), came: Condvar::new() });
    let outlet = Outlet {
        shared: Arc::clone(&shared),
        usual: 0,
        answered: false,
        settled: false,
        given_at: None,
        lingered: Duration::ZERO,
        crowd: Crowd::of(0, Duration::ZERO),
        beside: Beside::default(),
    };
    (Inbox(shared), outlet)
}

impl Inbox {
    /// Queues a step.
    ///
    /// # Errors
    /// Too many wait, or the thread has ended.
    pub fn step(&self, step: Box<dyn Step>) -> Result<(), Refused> {
        let mut state = self.0.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.steps.len() >= QUEUE {
            return Err(Refused::Full);
        }
        state.steps.push_back(step);
        self.wake(state);
        Ok(())
    }

    /// Queues outcomes, of a destination that is `behind` or not. Their number is bounded by the deliveries in hand. A stopped
    /// thread takes none: those deliveries are still pending in the file and are sent again.
    pub fn outcomes(&self, finished: impl IntoIterator<Item = FinishedAttempt>, behind: bool) {
        let mut state = self.0.state();
        if state.closed {
            return;
        }
        let queue = if behind { &mut state.outcomes.behind } else { &mut state.outcomes.first };
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
            self.0.came.notify_one();
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.steps.len() >= state.steps_wanted || state.outcomes.len() >= state.outcomes_wanted {
            state.let_be();
            // Woken under the lock, the thread would at once wait for it.
            drop(state);
            self.0.came.notify_one();
        }
    }
}

impl Outlet {
    /// To be told what transactions were like.
    pub fn beside(&mut self) -> &mut Beside {
        &mut self.beside
    }

    /// Waits for work until `deadline` and appends it to `steps` and `outcomes`. Outcomes alone are work only while
    /// `outcomes_too`.
    pub fn take(
        &mut self,
        deadline: Option<Instant>,
        outcomes_too: bool,
        steps: &mut Vec<Box<dyn Step>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) -> Taken {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let began = Instant::now();
        let crowded = self.beside.is_crowded(began);
        // Whoever was answered just now, and whoever waits already.
        let waiting = state.steps.len();
        let answered = std::mem::take(&mut self.answered);
        let all = if answered { self.usual + waiting } else { self.usual.max(waiting) };
        let settles = std::mem::take(&mut self.settled) || !state.outcomes.is_empty();
        let (enough, linger) =
            if settles { (all, LINGER) } else { ((all * FIRST_OF_TWO).div_ceil(100), LINGER_IN_TWO) };
        let since = self.given_at.take().map_or(Duration::ZERO, |at| began.duration_since(at));
        let patience = since.saturating_sub(self.lingered).mul_f64(linger).min(LONGEST_LINGER);
        self.lingered = Duration::ZERO;
        self.crowd = Crowd::of(enough.clamp(1, BATCH), patience);
        loop {
            if let Some(done) = state.stop.take() {
                state.closed = true;
                steps.extend(state.steps.drain(..));
                state.outcomes.take(usize::MAX, usize::MAX, outcomes);
                return Taken::Stop(done);
            }
            let now = Instant::now();
            let queued = state.steps.len();
            self.crowd.see(queued, now);
            let steps_due = match queued {
                0 => None,
                _ if queued >= self.crowd.part() => Some(now),
                _ => self.crowd.until,
            };
            // Beside a crowd they run while it comes; the commit waits for it.
            let at_once = crowded || state.outcomes.len() >= pacing::MOST;
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
                    self.crowd.until = Some(if crowded { now + OUTCOMES_LINGER } else { now });
                }
                self.given_at = Some(now);
                self.give(&mut state, now, steps, outcomes);
                return Taken::Work;
            }
            if due.is_none() && deadline.is_some_and(|deadline| deadline <= now) {
                self.usual = 0;
                return Taken::Nothing;
            }
            state.steps_wanted = self.crowd.wanted();
            state.outcomes_wanted = match outcomes_due {
                Some(_) => pacing::MOST,
                None if outcomes_too => 1,
                None => usize::MAX,
            };
            state = match due.or(deadline) {
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    shared.came.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => shared.came.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Waits for what else is to go with a transaction that has run all it was given. Where there is nothing left to wait
    /// for it is to be committed.
    pub fn more(&mut self, steps: &mut Vec<Box<dyn Step>>, outcomes: &mut VecDeque<FinishedAttempt>) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let began = Instant::now();
        let mut now = began;
        let came = loop {
            let queued = state.steps.len();
            self.crowd.see(queued, now);
            let part = self.crowd.part();
            let left = self.crowd.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            let over = left.is_zero();
            if part == 0 || state.stop.is_some() || (over && queued == 0) {
                break false;
            }
            if over || queued >= part {
                break true;
            }
            state.steps_wanted = self.crowd.wanted();
            state = shared.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            now = Instant::now();
        };
        self.lingered += now - began;
        if came {
            self.give(&mut state, now, steps, outcomes);
        } else {
            state.let_be();
        }
        came
    }

    /// How long the transaction has waited for what else is to go with it.
    pub fn lingered(&self) -> Duration {
        self.lingered
    }

    fn give(
        &mut self,
        state: &mut State,
        now: Instant,
        steps: &mut Vec<Box<dyn Step>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) {
        state.let_be();
        let some = state.steps.len().min(BATCH - self.crowd.taken);
        steps.extend(state.steps.drain(..some));
        self.crowd.taken += some;
        if some > 0 {
            self.answered = true;
            self.usual = self.crowd.taken;
            self.beside.steps_begin(now, self.crowd.taken.max(self.crowd.enough));
        }
        let fit = self.beside.outcomes(now);
        // A backlog has the time that is left.
        let left = fit.saturating_sub(state.outcomes.first.len()).max(pacing::LEAST);
        self.crowd.outcomes =
            self.crowd.outcomes.min(fit.max(self.beside.made_last() + pacing::LEAST).min(pacing::MOST));
        self.crowd.behind = self.crowd.behind.min(left);
        let (some, behind) = state.outcomes.take(self.crowd.outcomes, self.crowd.behind, outcomes);
        self.settled |= some > 0;
        self.crowd.outcomes -= some;
        self.crowd.behind -= behind;
        // Those that are left have waited long enough.
        state.outcomes_since = state.outcomes_since.filter(|_| !state.outcomes.is_empty());
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        // Whoever waits for one of these learns that it will not be done.
        let (steps, stop) = (std::mem::take(&mut state.steps), state.stop.take());
        drop(state);
        drop((steps, stop));
    }
}

#[cfg(test)]
mod tests;
