//! Deliveries of one lane that one worker makes one after the other. Where a destination answers at once, handing over
//! each by itself would cost more than sending it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::flight::{Cut, Landed};
use super::lane::Job;
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;
use crate::store::FinishedAttempt;

/// What a worker has been given. The scheduler sees how far it is, and may take back what has not begun.
pub struct Run {
    state: Mutex<State>,
    /// Whether its attempts are cut short.
    pub cut: Cut,
}

struct State {
    jobs: VecDeque<Job>,
    began: Timestamp,
    finished: Vec<FinishedAttempt>,
}

/// One of its attempts, ended.
pub struct Ended {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Bytes of the document that it held in memory.
    pub bytes: usize,
    /// When it began.
    pub began: Timestamp,
    /// How it ended.
    pub landed: Landed,
}

impl Run {
    /// Of these deliveries; the first begins now.
    pub fn new(jobs: VecDeque<Job>, now: Timestamp) -> Self {
        Self { state: Mutex::new(State { jobs, began: now, finished: Vec::new() }), cut: Cut::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next delivery, which begins now.
    pub fn next(&self, now: Timestamp) -> Option<Job> {
        let mut state = self.state();
        state.began = now;
        state.jobs.pop_front()
    }

    /// When the attempt under way began.
    pub fn began(&self) -> Timestamp {
        self.state().began
    }

    /// Takes back what has not begun.
    pub fn recall(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.state().jobs)
    }

    /// Keeps an outcome until the run ends; one write for all of them is cheaper.
    pub fn finished(&self, finished: FinishedAttempt) {
        self.state().finished.push(finished);
    }

    /// The outcomes so far.
    pub fn take_finished(&self) -> Vec<FinishedAttempt> {
        std::mem::take(&mut self.state().finished)
    }
}
