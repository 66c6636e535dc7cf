//! Deliveries of one lane that one worker makes one after the other. Where a destination answers at once, handing over
//! each by itself would cost more than sending it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::job::Job;
use crate::delivery::sending::attempt::Client;
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;
use crate::store::FinishedAttempt;

/// Whether an attempt was cut short, and why.
#[derive(Debug, Default)]
pub struct Cancellation(AtomicU8);

impl Cancellation {
    const ROOM: u8 = 1;
    const STOP: u8 = 2;

    /// Why it was, if it was.
    pub fn why(&self) -> Option<CancelReason> {
        match self.0.load(Ordering::Acquire) {
            Self::ROOM => Some(CancelReason::Room),
            Self::STOP => Some(CancelReason::Stop),
            _ => None,
        }
    }

    /// Whether it was.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// To make room for others.
    pub fn for_room(&self) {
        self.0.store(Self::ROOM, Ordering::Release);
    }

    /// Because the server stops.
    pub fn for_stop(&self) {
        self.0.store(Self::STOP, Ordering::Release);
    }
}

/// Why an attempt was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// Others have no room.
    Room,
    /// The server stops.
    Stop,
}

/// What an attempt says of its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthSignal {
    /// A success that took this long.
    Good(Duration),
    /// A failure of the destination.
    Bad,
    /// Nothing about the destination.
    Nothing,
}

/// How a flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptResult {
    /// What it says of the lane.
    pub health: HealthSignal,
    /// Whether an outcome is on its way to the file; without one the delivery is no longer in hand.
    pub outcome: bool,
}

/// A run that a worker makes.
pub struct AssignedRun {
    /// Number of the flight.
    pub number: u64,
    /// What sends it.
    pub client: Arc<Client>,
    /// Its deliveries.
    pub run: Arc<Run>,
    /// Whether the lane does not fail, and so may use a kept connection: where that breaks, its peer has probably closed it
    /// before.
    pub may_reuse_connection: bool,
}

/// What a worker has been given. The scheduler sees how far it is, and may take back what has not begun.
pub struct Run {
    state: Mutex<State>,
    /// Whether its attempts are cut short.
    pub cut: Cancellation,
}

struct State {
    jobs: VecDeque<Job>,
    progress: Progress,
    finished: Vec<FinishedAttempt>,
    ended: Vec<CompletedAttempt>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its worker is busy with others.
    NotStarted,
    /// The attempt under way, or the last one, began then.
    Began(Timestamp),
    /// Its worker is done with it.
    Done,
}

/// One of its attempts, ended.
pub struct CompletedAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Bytes of the document that it held in memory.
    pub bytes: usize,
    /// When it began.
    pub began: Timestamp,
    /// How it ended.
    pub result: AttemptResult,
}

/// What came of a run.
pub struct RunReport {
    /// Its attempts.
    pub ended: Vec<CompletedAttempt>,
    /// Their outcomes.
    pub finished: Vec<FinishedAttempt>,
    /// What has not begun.
    pub left: VecDeque<Job>,
}

impl Run {
    /// Of these deliveries.
    pub fn new(jobs: VecDeque<Job>) -> Self {
        let state = State { jobs, progress: Progress::NotStarted, finished: Vec::new(), ended: Vec::new() };
        Self { state: Mutex::new(state), cut: Cancellation::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next delivery, which begins now.
    pub fn next(&self, now: Timestamp) -> Option<Job> {
        let mut state = self.state();
        let job = state.jobs.pop_front()?;
        state.progress = Progress::Began(now);
        Some(job)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.state().progress
    }

    /// Takes back what has not begun.
    pub fn recall(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.state().jobs)
    }

    /// Takes all of it back unless it has begun.
    pub fn recall_whole(&self) -> Option<VecDeque<Job>> {
        let mut state = self.state();
        (state.progress == Progress::NotStarted).then(|| {
            state.progress = Progress::Done;
            std::mem::take(&mut state.jobs)
        })
    }

    /// Keeps an outcome until the run ends; one write for all of them is cheaper.
    pub fn finished(&self, finished: FinishedAttempt) {
        self.state().finished.push(finished);
    }

    /// The outcomes so far.
    pub fn take_finished(&self) -> Vec<FinishedAttempt> {
        std::mem::take(&mut self.state().finished)
    }

    /// An attempt has ended.
    pub fn ended(&self, ended: CompletedAttempt) {
        self.state().ended.push(ended);
    }

    /// The worker is done with it.
    pub fn done(&self) {
        self.state().progress = Progress::Done;
    }

    /// What came of it, once its worker is done.
    pub fn result(&self) -> RunReport {
        let mut state = self.state();
        RunReport {
            ended: std::mem::take(&mut state.ended),
            finished: std::mem::take(&mut state.finished),
            left: std::mem::take(&mut state.jobs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::EventId;

    fn run() -> Run {
        let job =
            |id| Job { delivery: DeliveryId(id), event: EventId(id), step: Some(0), document: None, urgent: false };
        Run::new((1..=2).map(job).collect())
    }

    #[test]
    fn what_waits_for_a_worker_can_be_taken_back_and_is_then_not_made() {
        let run = run();
        assert_eq!(run.progress(), Progress::NotStarted);
        assert_eq!(run.recall_whole().map(|jobs| jobs.len()), Some(2));
        assert!(run.next(Timestamp::EPOCH).is_none(), "its worker comes too late");
        assert_eq!(run.progress(), Progress::Done);
    }

    #[test]
    fn what_has_begun_is_left_to_its_worker() {
        let (run, now) = (run(), Timestamp::from_millis(5));
        assert!(run.next(now).is_some());
        assert!(run.recall_whole().is_none());
        assert_eq!(run.progress(), Progress::Began(now));
        assert_eq!(run.recall().len(), 1);
        run.done();
        assert!(run.progress() == Progress::Done && run.result().left.is_empty());
    }
}
