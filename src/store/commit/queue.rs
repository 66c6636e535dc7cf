//! The queue before the write thread: write requests, whose callers wait for the commit, and outcomes of attempts, for
//! which nobody waits. Both have queues of their own, so that a backlog of outcomes never stands in front of an
//! accepted event. This file locks and waits; `pacing` decides when something runs, and how much.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::budget::OutcomeBudget;
use super::limits::MAX_QUEUED;
use super::outcome_queue::OutcomeQueue;
use super::pacing::{Next, Pacing, Then, Waiting, Wakeup};
use super::write_request::WriteRequest;
use crate::store::outcome::FinishedAttempt;

/// Why a write request was not queued.
pub enum QueueError {
    /// The maximum number waits already.
    Full,
    /// The write thread has ended, or is about to end.
    Closed,
}

/// For a thread that is awake, or about to be: nothing that arrives needs to wake it.
const AWAKE: Wakeup = Wakeup { requests: usize::MAX, outcomes: usize::MAX };

struct State {
    requests: VecDeque<Box<dyn WriteRequest>>,
    outcomes: OutcomeQueue,
    /// When the oldest waiting outcome arrived. Outcomes that a transaction leaves keep this time.
    outcomes_since: Option<Instant>,
    /// Set when the thread has to end; gets the answer then.
    stop: Option<oneshot::Sender<()>>,
    closed: bool,
    /// What wakes the thread.
    wakeup: Wakeup,
}

impl State {
    fn waiting(&self) -> Waiting {
        Waiting {
            requests: self.requests.len(),
            normal: self.outcomes.normal.len(),
            low_priority: self.outcomes.low_priority.len(),
            outcomes_since: self.outcomes_since,
        }
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

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Option<Duration>) -> MutexGuard<'a, State> {
        match time {
            Some(time) => self.arrived.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
            None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// The callers' end of the queue.
#[derive(Clone)]
pub struct CommitQueue(Arc<Inner>);

/// The write thread's end of the queue. Once it is dropped, everything is refused.
pub struct QueueReceiver {
    inner: Arc<Inner>,
    pacing: Pacing,
}

/// What the write thread does next.
pub enum Work {
    /// Write what was appended.
    Run,
    /// Nothing arrived before the deadline.
    Idle,
    /// Write what was appended, which is all that waits, and end. Then the sender gets the answer.
    Stop(oneshot::Sender<()>),
}

/// An empty queue: the callers' end and the write thread's end.
pub fn queue() -> (CommitQueue, QueueReceiver) {
    let state = State {
        requests: VecDeque::new(),
        outcomes: OutcomeQueue::default(),
        outcomes_since: None,
        stop: None,
        closed: false,
        wakeup: AWAKE,
    };
    let inner = Arc::new(Inner { state: Mutex::new(state), arrived: Condvar::new() });
    (CommitQueue(Arc::clone(&inner)), QueueReceiver { inner, pacing: Pacing::default() })
}

impl CommitQueue {
    /// Queues a write request.
    ///
    /// # Errors
    /// The maximum number waits already, or the write thread has ended.
    pub fn push(&self, request: Box<dyn WriteRequest>) -> Result<(), QueueError> {
        let mut state = self.0.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        if state.requests.len() >= MAX_QUEUED {
            return Err(QueueError::Full);
        }
        state.requests.push_back(request);
        self.wake(state);
        Ok(())
    }

    /// Queues outcomes; those of a destination with a backlog have `low_priority`. Their number is bounded by the
    /// deliveries in hand. After the end of the write thread they are dropped: those deliveries are still pending in
    /// the file, and are sent again.
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

    /// Lets the write thread write what is queued and end. Then `done` gets a message.
    pub fn stop(&self, done: oneshot::Sender<()>) {
        let mut state = self.0.state();
        if !state.closed {
            state.stop = Some(done);
            self.0.arrived.notify_one();
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.requests.len() >= state.wakeup.requests || state.outcomes.len() >= state.wakeup.outcomes {
            state.wakeup = AWAKE;
            // Unlocked first: a thread that is notified under the lock would only wait for that lock.
            drop(state);
            self.0.arrived.notify_one();
        }
    }
}

impl QueueReceiver {
    /// The budget of outcomes, to which the write thread reports what transactions were like.
    pub fn budget(&mut self) -> &mut OutcomeBudget {
        &mut self.pacing.budget
    }

    /// Waits until `deadline` for work, and appends it to `requests` and `outcomes`. Outcomes alone are work only if
    /// `outcomes_too`.
    pub fn next_work(
        &mut self,
        deadline: Option<Instant>,
        outcomes_too: bool,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) -> Work {
        let inner = Arc::clone(&self.inner);
        let mut state = inner.state();
        self.pacing.begin(state.waiting(), Instant::now());
        loop {
            if let Some(done) = state.stop.take() {
                state.closed = true;
                requests.extend(state.requests.drain(..));
                state.outcomes.drain(usize::MAX, usize::MAX, outcomes);
                return Work::Stop(done);
            }
            let now = Instant::now();
            match self.pacing.next(state.waiting(), outcomes_too, deadline, now) {
                Next::Run => {
                    self.take(&mut state, now, requests, outcomes);
                    return Work::Run;
                }
                Next::Idle => return Work::Idle,
                Next::Wait(until, wakeup) => {
                    state.wakeup = wakeup;
                    state = inner.wait(state, until.map(|until| until.saturating_duration_since(now)));
                }
            }
        }
    }

    /// Waits for what else goes into a transaction that has run all it was given. Returns whether more was appended; if
    /// not, the transaction is to be committed.
    pub fn wait_for_group(
        &mut self,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) -> bool {
        let inner = Arc::clone(&self.inner);
        let mut state = inner.state();
        let began = Instant::now();
        let mut now = began;
        let runs = loop {
            match self.pacing.then(state.requests.len(), state.stop.is_some(), now) {
                Then::Commit => break false,
                Then::Run => break true,
                Then::Wait(time, requests) => {
                    state.wakeup = Wakeup { requests, ..AWAKE };
                    state = inner.wait(state, Some(time));
                    now = Instant::now();
                }
            }
        };
        self.pacing.waited(now - began);
        if runs {
            self.take(&mut state, now, requests, outcomes);
        } else {
            state.wakeup = AWAKE;
        }
        runs
    }

    /// How long the transaction has waited for further write requests.
    pub fn lingered(&self) -> Duration {
        self.pacing.lingered()
    }

    fn take(
        &mut self,
        state: &mut State,
        now: Instant,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        outcomes: &mut VecDeque<FinishedAttempt>,
    ) {
        state.wakeup = AWAKE;
        let share = self.pacing.take(state.waiting(), now);
        requests.extend(state.requests.drain(..share.requests));
        state.outcomes.drain(share.normal, share.low_priority, outcomes);
        // Outcomes that are left keep the time of arrival, since they are due already.
        state.outcomes_since = state.outcomes_since.filter(|_| !state.outcomes.is_empty());
    }
}

impl Drop for QueueReceiver {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        state.closed = true;
        // The callers of these learn by the drop that nothing will be done.
        let (requests, stop) = (std::mem::take(&mut state.requests), state.stop.take());
        drop(state);
        drop((requests, stop));
    }
}

#[cfg(test)]
mod tests;
