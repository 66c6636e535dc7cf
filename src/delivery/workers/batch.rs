//! A run: jobs of one lane that one worker makes one after the other, and what came of them. Handing over each job by
//! itself would cost more than sending it, where a destination answers at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::job::Job;
use super::pace::Pace;
use crate::delivery::sending::attempt::Client;
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;
use crate::store::FinishedAttempt;

/// Whether attempts are cancelled, and why.
#[derive(Debug, Default)]
pub struct Cancellation(AtomicU8);

impl Cancellation {
    const ROOM: u8 = 1;
    const STOP: u8 = 2;

    /// Why they are cancelled; `None` where they are not.
    pub fn why(&self) -> Option<CancelReason> {
        match self.0.load(Ordering::Acquire) {
            Self::ROOM => Some(CancelReason::Preempted),
            Self::STOP => Some(CancelReason::Stopping),
            _ => None,
        }
    }

    /// Whether they are cancelled.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Cancels them because other lanes need the thread.
    pub fn preempt(&self) {
        self.0.store(Self::ROOM, Ordering::Release);
    }

    /// Cancels them because the server stops.
    pub fn stop(&self) {
        self.0.store(Self::STOP, Ordering::Release);
    }
}

/// Why an attempt is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// Other lanes need the thread.
    Preempted,
    /// The server stops.
    Stopping,
}

/// What an attempt says about the health of its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthSignal {
    /// A success that took this long.
    Good(Duration),
    /// A failure of the destination, or one of the engine after which the lane must back off.
    Bad,
    /// Nothing about the destination.
    Nothing,
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptResult {
    /// What the attempt says about the lane.
    pub health: HealthSignal,
    /// Whether an outcome was kept for the file. Without an outcome the delivery is no longer in hand.
    pub outcome: bool,
}

/// A run in an assignment, with all that its worker needs.
pub struct AssignedRun {
    /// Number of the run, given by the scheduler.
    pub number: u64,
    /// The lane's client.
    pub client: Arc<Client>,
    /// The jobs.
    pub run: Arc<Run>,
    /// Whether the run may use a kept connection of its origin. A failing lane may not: it would break the connections
    /// of healthy lanes.
    pub may_reuse_connection: bool,
}

/// Jobs that a worker was given. The scheduler sees the progress, and can take back the jobs that have not begun.
pub struct Run {
    state: Mutex<State>,
    /// The lane's rate, if it has one. Each job that has not begun has the promise of a token.
    pace: Option<Arc<Pace>>,
    /// Whether the attempts of this run are cancelled.
    pub cancellation: Cancellation,
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
    /// The worker has not begun: it is busy with another run, or has not been given a processor.
    NotStarted,
    /// An attempt is in progress, or has ended as the last one so far. The attempt began at this time.
    Began(Timestamp),
    /// The worker is done with the run, or the run was reclaimed.
    Done,
}

/// An attempt of a run that has ended.
pub struct CompletedAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Bytes of the document that the job held in memory.
    pub bytes: usize,
    /// When the attempt began, on the engine's clock.
    pub began: Timestamp,
    /// The result.
    pub result: AttemptResult,
}

/// What came of a run.
pub struct RunReport {
    /// Attempts that have ended.
    pub ended: Vec<CompletedAttempt>,
    /// Outcomes that have not been passed to the store yet.
    pub finished: Vec<FinishedAttempt>,
    /// Jobs that have not begun.
    pub not_started: VecDeque<Job>,
}

impl Run {
    /// A run of these jobs, not begun.
    pub fn new(jobs: VecDeque<Job>, pace: Option<Arc<Pace>>) -> Self {
        if let Some(pace) = &pace {
            pace.promise(jobs.len());
        }
        let state = State { jobs, progress: Progress::NotStarted, finished: Vec::new(), ended: Vec::new() };
        Self { state: Mutex::new(state), pace, cancellation: Cancellation::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next job, whose attempt begins at `now`. None is taken if the lane's rate does not allow it: then the
    /// run is done, and the scheduler requeues what is left.
    pub fn next(&self, now: Timestamp) -> Option<Job> {
        let mut state = self.state();
        if state.jobs.is_empty() || self.pace.as_ref().is_some_and(|pace| !pace.begin(now)) {
            return None;
        }
        state.progress = Progress::Began(now);
        state.jobs.pop_front()
    }

    /// Takes all jobs that have not begun.
    fn take_jobs(&self, state: &mut State) -> VecDeque<Job> {
        let jobs = std::mem::take(&mut state.jobs);
        if let Some(pace) = &self.pace {
            pace.give_back(jobs.len());
        }
        jobs
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        self.state().progress
    }

    /// Takes back the jobs that have not begun.
    pub fn recall(&self) -> VecDeque<Job> {
        self.take_jobs(&mut self.state())
    }

    /// Takes back all jobs and ends the run; `None` if the run has begun.
    pub fn recall_whole(&self) -> Option<VecDeque<Job>> {
        let mut state = self.state();
        (state.progress == Progress::NotStarted).then(|| {
            state.progress = Progress::Done;
            self.take_jobs(&mut state)
        })
    }

    /// Keeps an outcome until the run ends: one write for all of them is cheaper.
    pub fn finished(&self, finished: FinishedAttempt) {
        self.state().finished.push(finished);
    }

    /// Takes the outcomes that were kept so far.
    pub fn take_finished(&self) -> Vec<FinishedAttempt> {
        std::mem::take(&mut self.state().finished)
    }

    /// Notes an attempt that has ended.
    pub fn ended(&self, ended: CompletedAttempt) {
        self.state().ended.push(ended);
    }

    /// Notes that the worker is done with the run.
    pub fn done(&self) {
        self.state().progress = Progress::Done;
    }

    /// Bytes of documents that the run holds, without those of the attempt in progress.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        let state = self.state();
        state.jobs.iter().map(Job::bytes).sum::<usize>()
            + state.ended.iter().map(|attempt| attempt.bytes).sum::<usize>()
    }

    /// Tokens of `pace` that are promised to jobs of the run.
    #[cfg(test)]
    pub fn promised(&self, pace: &Arc<Pace>) -> usize {
        let is_its = self.pace.as_ref().is_some_and(|own| Arc::ptr_eq(own, pace));
        if is_its { self.state().jobs.len() } else { 0 }
    }

    /// Takes what came of the run. To be called once its worker is done.
    pub fn result(&self) -> RunReport {
        let mut state = self.state();
        RunReport {
            ended: std::mem::take(&mut state.ended),
            finished: std::mem::take(&mut state.finished),
            not_started: self.take_jobs(&mut state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::EventId;

    fn run() -> Run {
        let job = |id| Job {
            delivery: DeliveryId(id),
            event: EventId(id),
            retry_step: Some(0),
            document: None,
            urgent: false,
        };
        Run::new((1..=2).map(job).collect(), None)
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
        assert!(run.progress() == Progress::Done && run.result().not_started.is_empty());
    }
}
