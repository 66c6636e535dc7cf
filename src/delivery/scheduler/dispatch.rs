//! Attempts from beginning to end: which may begin, what their end means, and which are cancelled. The HTTP exchange
//! itself is in `sending`.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::assignment::Assignment;
use super::lane::{Health, JobState, Lane};
use super::message::Test;
use super::pools::Pool;
use super::{InFlightRun, Scheduler};
use crate::delivery::limits::{CUT_AFTER, FAST, MAX_TESTS, RECENT_FAILURE, RECLAIM_AFTER};
use crate::delivery::workers::batch::{AssignedRun, HealthSignal, Progress, Run};
use crate::delivery::workers::job::Job;
use crate::domain::ids::DestinationKey;
use crate::domain::retry::Jitter;
use crate::domain::time::Timestamp;

impl Scheduler {
    pub(super) fn dispatch(&mut self, now: Timestamp) {
        let mut assignment = Assignment::among(self.pools.busy_immediate());
        while let Some((key, pool)) = self.next_lane(!assignment.is_empty()) {
            let Some(lane) = self.lanes.get_mut(&key) else {
                self.remove_ready(key);
                continue;
            };
            let jobs = lane.next_jobs(now);
            if jobs.is_empty() {
                self.remove_ready(key);
                self.wait_for_rate(key, now);
                continue;
            }
            if pool != Pool::Immediate || lane.goes_alone() {
                self.send_alone(key, jobs, pool, now);
                continue;
            }
            let (count, typical) = (jobs.len(), lane.typical_duration());
            if let Some(assigned) = self.begin(key, jobs, pool, now) {
                assignment.add(assigned, count, typical);
            }
            if assignment.is_full() {
                self.assign(assignment.take(), Pool::Immediate);
            }
        }
        self.assign(assignment.take(), Pool::Immediate);
        if self.busy_workers + 1 >= self.limits.workers
            && self.pools.good_wait(|pool, lane| self.finds_processor(pool, lane))
        {
            self.preempt_stalled(now);
        }
    }

    /// The lane that sends next, and its pool. An assignment that is being put together takes one more worker.
    fn next_lane(&self, assigns: bool) -> Option<(DestinationKey, Pool)> {
        let busy = self.busy_workers + usize::from(assigns);
        self.pools.next(busy, self.limits.workers, |pool, lane| self.finds_processor(pool, lane))
    }

    fn finds_processor(&self, pool: Pool, lane: DestinationKey) -> bool {
        self.lanes.get(&lane).is_none_or(|lane| self.processors.are_free(pool, lane.max_useful_concurrency()))
    }

    fn send_alone(&mut self, key: DestinationKey, jobs: VecDeque<Job>, pool: Pool, now: Timestamp) {
        let assigned = self.begin(key, jobs, pool, now);
        self.assign(assigned.into_iter().collect(), pool);
    }

    /// Takes a permit and records the run that a worker will be given.
    fn begin(&mut self, key: DestinationKey, jobs: VecDeque<Job>, pool: Pool, now: Timestamp) -> Option<AssignedRun> {
        self.remove_ready(key);
        let number = self.next_run;
        self.next_run += 1;
        let lane = self.lanes.get_mut(&key)?;
        lane.in_flight += 1;
        if let Some(turn) = lane.turn.take() {
            self.account_turns.taken(turn);
        }
        for job in &jobs {
            lane.in_hand.insert(job.delivery, JobState::Sent);
        }
        let may_reuse_connection = lane.health != Health::Failing;
        let client = lane.client.get_or_insert_with(|| Arc::new(self.environment.client(&lane.destination)));
        let client = Arc::clone(client);
        let overdue_after = lane.overdue_after(pool);
        let recent_failing = pool == Pool::Failing;
        self.pools.take(pool);
        self.pools.recent_failing += usize::from(recent_failing);
        if let Some(overdue_after) = overdue_after.or(recent_failing.then_some(FAST)) {
            let first_check = if pool == Pool::Immediate { RECLAIM_AFTER } else { overdue_after };
            self.overdue_checks.push(Reverse((now.plus(first_check), number)));
        }
        let run = Arc::new(Run::new(jobs, lane.pace.clone()));
        self.in_flight.insert(
            number,
            InFlightRun {
                lane: key,
                run: Arc::clone(&run),
                first: Arc::clone(&run),
                pool,
                overdue_after: overdue_after.unwrap_or(FAST),
                recent_failing,
                overdue: None,
            },
        );
        self.reschedule(key);
        Some(AssignedRun { number, client, run, may_reuse_connection })
    }

    /// Gives the whole assignment to one worker.
    fn assign(&mut self, assignment: Vec<AssignedRun>, pool: Pool) {
        let Some(first) = assignment.first() else { return };
        let (number, first) = (first.number, Arc::clone(&first.run));
        self.busy_workers += 1;
        for assigned in &assignment[1..] {
            if let Some(run) = self.in_flight.get_mut(&assigned.number) {
                run.first = Arc::clone(&first);
            }
        }
        self.processors.given(number, pool, &first, self.now());
        self.environment.run(assignment);
    }

    /// A worker is done with its assignment.
    pub(super) fn runs_completed(&mut self, runs: Vec<u64>) {
        self.busy_workers -= 1;
        for run in runs {
            self.processors.ended(run);
            self.completed(run);
        }
    }

    /// A run is done: passes on its outcomes and updates its lane.
    pub(super) fn completed(&mut self, number: u64) {
        // The run may have been reclaimed, or found done while its worker was still busy with later runs.
        let Some(run) = self.in_flight.remove(&number) else { return };
        let (key, now, result) = (run.lane, self.now(), run.run.result());
        // The scheduler passes the outcomes on, not the worker. A worker has low priority: if it held the lock of the
        // store's queue, callers would wait for it.
        let behind = self.lanes.get(&key).is_some_and(Lane::is_backlogged);
        self.environment.record(result.finished, behind);
        self.pools.give(run.pool);
        self.hanging -= usize::from(run.overdue.is_some());
        self.bytes -= result.ended.iter().map(|attempt| attempt.bytes).sum::<usize>();
        if run.recent_failing {
            // An attempt that failed at once still counts as recent for 10 ms. Otherwise 16 at a time would be
            // thousands a second.
            let began = result.ended.first().map_or(now, |attempt| attempt.began);
            self.recent_failures_until.push_back(now.max(began.plus(RECENT_FAILURE)));
        }
        self.remove_ready(key);
        self.requeue(key, result.not_started);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.last_used = now;
            for attempt in &result.ended {
                match attempt.result.health {
                    HealthSignal::Good(took) => lane.succeeded(attempt.began, took),
                    HealthSignal::Bad => lane.failed(attempt.began, now, Jitter::from_unit(fastrand::f64())),
                    HealthSignal::Nothing => {}
                }
            }
            lane.ended(run.overdue);
        }
        for attempt in result.ended.iter().filter(|attempt| !attempt.result.outcome) {
            // The delivery is still pending in the file, if it exists.
            self.give_up_behind(key, attempt.delivery);
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.note_more();
            }
            self.released(key, attempt.delivery);
        }
        self.reschedule(key);
    }

    /// Reclaims a run: its worker is busy with another lane, and this lane must not wait for that.
    fn reclaim(&mut self, number: u64, jobs: VecDeque<Job>) {
        let Some(run) = self.in_flight.remove(&number) else { return };
        self.pools.give(run.pool);
        self.remove_ready(run.lane);
        self.requeue(run.lane, jobs);
        if let Some(lane) = self.lanes.get_mut(&run.lane) {
            lane.ended(None);
            lane.delayed_by_other();
            // The lane has waited already, so it goes first among equals.
            lane.turn = Some(0);
        }
        self.reschedule(run.lane);
    }

    /// Puts jobs that were given to a worker and have not begun back to the front of their lane.
    fn requeue(&mut self, key: DestinationKey, jobs: VecDeque<Job>) {
        let Some(lane) = self.lanes.get_mut(&key) else {
            self.bytes -= jobs.iter().map(Job::bytes).sum::<usize>();
            return;
        };
        for job in jobs.into_iter().rev() {
            lane.in_hand.insert(job.delivery, JobState::Queued);
            lane.requeue(job);
        }
    }

    /// Takes back all jobs of a lane that workers were given and have not begun.
    pub(super) fn recall_unstarted(&mut self, key: DestinationKey) {
        let runs = self.in_flight.values().filter(|run| run.lane == key).map(|run| run.run.recall());
        for jobs in runs.collect::<Vec<_>>() {
            self.requeue(key, jobs);
        }
    }

    /// Ended attempts of failing lanes stop counting as recent. Workers that have been busy for long stop counting as
    /// wanting a processor.
    pub(super) fn expire_recent(&mut self, now: Timestamp) {
        self.processors.pass(now);
        while self.recent_failures_until.front().is_some_and(|at| *at <= now) {
            self.recent_failures_until.pop_front();
            self.pools.recent_failing -= 1;
        }
    }

    /// Finds overdue attempts. Each gives its permit back, except in the suspect pool, and its lane goes on with one
    /// attempt at a time until one succeeds.
    pub(super) fn check_overdue(&mut self, now: Timestamp) {
        while let Some(Reverse((at, number))) = self.overdue_checks.peek().copied() {
            if at > now {
                return;
            }
            self.overdue_checks.pop();
            let Some(run) = self.in_flight.get_mut(&number) else { continue };
            if run.recent_failing {
                run.recent_failing = false;
                self.pools.recent_failing -= 1;
                continue;
            }
            let began = match run.run.progress() {
                Progress::Began(began) => began,
                Progress::Done => {
                    self.completed(number);
                    continue;
                }
                Progress::NotStarted => {
                    // The worker has not been given a processor at all. Another worker would not begin sooner.
                    let unscheduled = run.first.progress() == Progress::NotStarted && self.stopping.is_none();
                    match (!unscheduled).then(|| run.run.recall_whole()).flatten() {
                        Some(jobs) => self.reclaim(number, jobs),
                        None => self.overdue_checks.push(Reverse((now.plus(RECLAIM_AFTER), number))),
                    }
                    continue;
                }
            };
            if run.pool == Pool::Immediate
                && now.since(began) >= RECLAIM_AFTER
                && let Some(lane) = self.lanes.get_mut(&run.lane)
            {
                lane.delayed_others();
            }
            let due = began.plus(run.overdue_after);
            if due > now {
                // An earlier attempt of this run has ended. The current one is timed from its own beginning.
                self.overdue_checks.push(Reverse((due, number)));
                continue;
            }
            if run.pool != Pool::Suspect {
                self.pools.give(run.pool);
                run.pool = Pool::Free;
            }
            run.overdue = Some(began);
            self.hanging += 1;
            let (key, left, finished) = (run.lane, run.run.recall(), run.run.take_finished());
            // Outcomes of earlier attempts in this run must not wait for the overdue one.
            self.environment.record(finished, false);
            self.requeue(key, left);
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.overdue(began, now);
            }
            self.reschedule(key);
        }
    }

    /// Cancels attempts where threads have run out and lanes that are not known to fail wait. Takes the oldest ones of
    /// failing and suspect lanes, and of good lanes with several overdue attempts. Cancelled attempts are made again
    /// later.
    pub(super) fn preempt_stalled(&mut self, now: Timestamp) {
        let mut room = (self.limits.workers / 16).max(1);
        let mut lanes = HashSet::new();
        for run in self.in_flight.values() {
            let Some(lane) = self.lanes.get(&run.lane) else { continue };
            let hangs = lane.health == Health::Failing || lane.is_suspect() || lane.hangs_much();
            // An attempt that is connecting does not notice that it is cancelled. A cancelled attempt is not counted
            // again, else it could keep others from being cancelled.
            let long = matches!(run.run.progress(), Progress::Began(began) if now.since(began) > CUT_AFTER);
            if room > 0 && hangs && long && !run.run.cancellation.is_set() {
                lanes.insert(run.lane);
                room -= 1;
            }
        }
        // All attempts of a lane share the client that is shut down.
        self.in_flight.values().filter(|run| lanes.contains(&run.lane)).for_each(|run| run.run.cancellation.preempt());
        for key in lanes {
            if let Some(client) = self.lanes.get_mut(&key).and_then(|lane| lane.client.take()) {
                client.shutdown();
            }
        }
    }

    pub(super) fn cut_all(&mut self) {
        for run in self.in_flight.values() {
            run.run.cancellation.stop();
        }
        for lane in self.lanes.values_mut() {
            if let Some(client) = lane.client.take() {
                client.shutdown();
            }
        }
    }

    /// Sends a test. Above [`MAX_TESTS`] the test is dropped together with `done`, so the caller sees that no result
    /// will come.
    pub(super) fn test(&mut self, test: Test) {
        if self.tests < MAX_TESTS {
            self.tests += 1;
            let key = test.destination.key;
            if let Some(pace) = self.lanes.get(&key).and_then(|lane| lane.pace.as_ref()) {
                // A test is sent at once, but what comes later waits for it.
                pace.owe(self.now());
                self.reschedule(key);
            }
            self.environment.test(test);
        }
    }
}
