//! Workers of the simulation: they begin and end attempts as the real ones do.

use std::sync::Arc;

use super::super::*;
use super::world::{Event, World};
use crate::delivery::limits::MAX_BUSY;
use crate::delivery::workers::batch::{AttemptResult, CompletedAttempt, HealthSignal};
use crate::delivery::workers::threads::Slot;
use crate::domain::delivery::{ErrorClass, Outcome, transition};
use crate::domain::retry::{Jitter, RetrySchedule};
use crate::store::FinishedAttempt;

impl World {
    pub(super) fn goes(&mut self, number: u64) {
        let now = self.now;
        let Some(mut worker) = self.workers.remove(&number) else { return };
        while let Some(assigned) = worker.runs.get(worker.at) {
            let late = worker.at > 0 && now.since(worker.began) > MAX_BUSY;
            if let Some(job) = (!late).then(|| assigned.run.next(now)).flatten() {
                let destination = assigned.client.session(true).destination().key;
                assert!(self.sending.insert(job.delivery), "{} is sent twice at once", job.delivery);
                assert!(!self.succeeded.contains(&job.delivery), "{} is sent again after its success", job.delivery);
                if let Some(destination) = self.destinations.get(&destination) {
                    self.promises.begins(destination, job.delivery, &self.rows, now);
                }
                let (millis, result) = self.attempt(destination);
                worker.job = Some((job, now, result));
                self.workers.insert(number, worker);
                return self.later(millis, Event::Ends(number));
            }
            assigned.run.done();
            worker.at += 1;
        }
        let runs = worker.runs.iter().map(|assigned| assigned.number).collect();
        self.soon(1, Event::Tells(Message::Completed { runs, slot: Slot::waiting() }));
    }

    pub(super) fn ends(&mut self, number: u64) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&number) else { return };
        let Some((job, began, result)) = worker.job.take() else { return };
        let assigned = &worker.runs[worker.at];
        let run = Arc::clone(&assigned.run);
        let destination = assigned.client.session(true).destination().key;
        let (health, outcome) = match result {
            Ok(()) => (HealthSignal::Good(now.since(began)), Outcome::Answer { status: 200, retry_after: None }),
            Err(()) => (HealthSignal::Bad, Outcome::NoAnswer(ErrorClass::Timeout)),
        };
        self.sending.remove(&job.delivery);
        // As the file is asked for what is not in memory: cancelled meanwhile, or deleted.
        let row = self.rows.get(&job.delivery).copied();
        let there = row.is_some() && self.destinations.contains_key(&destination);
        if there {
            let step = job.retry_step.or(row.map(|row| row.step)).unwrap_or(0);
            let schedule = RetrySchedule::parse("1s,2s,4s,8s,16s,30s,30s,30s,30s,30s").unwrap();
            let verdict = transition(step, outcome, &schedule, now, Jitter::NONE);
            if outcome.is_success() {
                self.succeeded.insert(job.delivery);
            }
            run.finished(FinishedAttempt {
                delivery: job.delivery,
                destination,
                attempt: None,
                outcome,
                held: None,
                retry_step: step,
                transition: verdict,
                ended_at: now,
                ended_at_wall: now,
                pause_after: Duration::MAX,
                failed_before: false,
            });
        } else {
            self.promises.settles(job.delivery);
        }
        let health = if there { health } else { HealthSignal::Nothing };
        let result = AttemptResult { health, outcome: there };
        run.ended(CompletedAttempt { delivery: job.delivery, bytes: job.bytes(), began, result });
        let goes_on = matches!(health, HealthSignal::Good(_)) && !run.cancellation.is_set();
        let Some(worker) = self.workers.get_mut(&number) else { return };
        if !goes_on || now.since(worker.began) > MAX_BUSY {
            run.done();
            worker.at += 1;
        }
        self.later(0, Event::Goes(number));
    }
}
