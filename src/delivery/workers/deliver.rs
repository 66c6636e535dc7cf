//! What a worker does with its assignment: reads missing documents, sends, decides what follows, and keeps the
//! outcomes. Outcomes are not written here: the scheduler passes them to the store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{AssignedRun, AttemptResult, CancelReason, CompletedAttempt, HealthSignal, Run};
use super::job::Job;
use crate::delivery::clock::{self, Clock};
use crate::delivery::limits::MAX_BUSY;
use crate::delivery::metrics::EngineMetrics;
use crate::delivery::sending::attempt::{self, Client, Request, RequestNotSent, Session};
use crate::delivery::sending::connections::DestinationConnections;
use crate::domain::delivery::{self, Attempt, ErrorClass, Next, Outcome};
use crate::domain::destination::Destination;
use crate::domain::ids::{EventId, sequence_id};
use crate::domain::retry::{Jitter, RetrySchedule};
use crate::error::Unavailable;
use crate::process::critical::panic_point;
use crate::store::{FinishedAttempt, Store};

/// What all workers share.
pub struct WorkerContext {
    /// Where missing documents are read. The scheduler passes the outcomes to the same store.
    pub store: Store,
    /// The clock of due times.
    pub clock: Clock,
    /// Where attempts are counted.
    pub metrics: Arc<EngineMetrics>,
    /// Connections to all destinations.
    pub connections: DestinationConnections,
    /// The schedule for destinations that have none of their own.
    pub retry_schedule: RetrySchedule,
    /// The timeout for destinations that have none of their own.
    pub timeout: Duration,
    /// See [`FinishedAttempt::pause_after`].
    pub pause_after: Duration,
}

/// Makes the runs of an assignment one after the other. After [`MAX_BUSY`] no further run is begun, and the scheduler
/// requeues its jobs.
pub fn run_assignment(context: &WorkerContext, assignment: &[AssignedRun]) {
    let started = Instant::now();
    for (place, assigned) in assignment.iter().enumerate() {
        if place == 0 || started.elapsed() <= MAX_BUSY {
            send_run(context, assigned, started);
        }
        assigned.run.done();
    }
}

/// Makes the attempts of a run until one is not good, the run is cancelled, or the worker has been busy for
/// [`MAX_BUSY`].
fn send_run(context: &WorkerContext, assigned: &AssignedRun, started: Instant) {
    let run = &*assigned.run;
    let mut session = None;
    loop {
        let began = context.clock.now();
        let Some(job) = run.next(began) else { break };
        let session = session.get_or_insert_with(|| assigned.client.session(assigned.may_reuse_connection));
        let attempt = || {
            panic_point("attempt");
            deliver(context, session, &job, run)
        };
        let result = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            tracing::error!(delivery.id = %job.delivery, "an attempt panicked; it is made again");
            AttemptResult { health: HealthSignal::Bad, outcome: false }
        });
        run.ended(CompletedAttempt { delivery: job.delivery, bytes: job.bytes(), began, result });
        let good = matches!(result.health, HealthSignal::Good(_));
        if !good || run.cancellation.is_set() || started.elapsed() > MAX_BUSY {
            break;
        }
    }
}

/// Makes one attempt and keeps its outcome in `run`.
fn deliver(context: &WorkerContext, session: &Session<'_>, job: &Job, run: &Run) -> AttemptResult {
    let destination = session.destination();
    let cut = &run.cancellation;
    let unsent = AttemptResult { health: HealthSignal::Nothing, outcome: false };
    let (document, step) = match (&job.document, job.retry_step) {
        (Some(document), Some(step)) => (document.clone(), step),
        _ => match context.store.document(job.delivery, job.event) {
            Ok(Some(found)) => found,
            // The delivery was cancelled or deleted meanwhile.
            Ok(None) => return unsent,
            // The read has already waited for memory. The delivery stays pending in the file and is read again later.
            Err(error) if error.is_unavailable(Unavailable::NoMemory) => return unsent,
            Err(error) => {
                tracing::error!(delivery.id = %job.delivery, error = error.detail(), "cannot read the document");
                // The lane must back off, else it would read the file again at once.
                return AttemptResult { health: HealthSignal::Bad, outcome: false };
            }
        },
    };
    let request = Request { event: job.event, document: &document };
    // A cancelled attempt ends like a broken connection, and must not be repeated on a new one.
    let fallback = |left| (!cut.is_set()).then(|| isolated_client(context, Arc::clone(destination), left));
    let sent = attempt::send(&request, session, &fallback);
    let (attempt, outcome, detail) = match sent {
        Ok(mut attempt) => {
            if let Outcome::NoAnswer(_) = attempt.outcome {
                match cut.why() {
                    // The delivery stays pending in the file and is sent again after the next start.
                    Some(CancelReason::Stopping) => return unsent,
                    Some(CancelReason::Preempted) => {
                        attempt.outcome = Outcome::NoAnswer(ErrorClass::Cut);
                        attempt.detail = Some("cut short to make room for other destinations".to_owned());
                    }
                    None => {}
                }
            }
            let outcome = attempt.outcome;
            context.metrics.attempt(outcome, attempt.duration);
            (Some(attempt), outcome, None)
        }
        Err(RequestNotSent(why)) => (None, Outcome::NoAnswer(ErrorClass::UrlTooLong), Some(why)),
    };
    let now = context.clock.now();
    let schedule = destination.fields.retry_schedule.as_ref().unwrap_or(&context.retry_schedule);
    let verdict = delivery::transition(step, outcome, schedule, now, Jitter::from_unit(fastrand::f64()));
    if verdict.next == Next::Exhausted {
        tracing::warn!(
            delivery.id = %job.delivery,
            event.id = %job.event,
            destination.id = %destination.id,
            error = outcome.error().map(ErrorClass::as_str),
            status = outcome.status(),
            detail,
            "delivery exhausted"
        );
    }
    let said = match (&attempt, outcome) {
        (None, _) => HealthSignal::Nothing,
        (Some(attempt), outcome) if outcome.is_success() => HealthSignal::Good(attempt.duration),
        _ => HealthSignal::Bad,
    };
    run.finished(FinishedAttempt {
        delivery: job.delivery,
        destination: destination.key,
        attempt,
        outcome,
        held: destination.held_until,
        retry_step: step,
        transition: verdict,
        ended_at: now,
        ended_at_wall: clock::wall(),
        pause_after: context.pause_after,
        failed_before: false,
    });
    AttemptResult { health: said, outcome: true }
}

/// Sends a test event to `destination` once, on a connection of its own. Records nothing, counts nothing.
pub fn test(context: &WorkerContext, destination: Destination, document: &[u8]) -> Attempt {
    let event = EventId(sequence_id(clock::wall()));
    let timeout = destination.fields.timeout.unwrap_or(context.timeout);
    let request = Request { event, document };
    let client = isolated_client(context, Arc::new(destination), timeout);
    attempt::send(&request, &client.session(false), &|_| None).unwrap_or_else(|RequestNotSent(why)| Attempt {
        at: clock::wall(),
        duration: Duration::ZERO,
        outcome: Outcome::NoAnswer(ErrorClass::UrlTooLong),
        detail: Some(why),
        body: Vec::new(),
        body_truncated: false,
    })
}

/// A client with a connection of its own, for one request.
fn isolated_client(context: &WorkerContext, destination: Arc<Destination>, timeout: Duration) -> Client {
    Client::isolated(&context.connections, destination, timeout)
}
