//! What a worker does with its assignment: reads missing documents, sends, decides what follows, and keeps the
//! outcomes. Outcomes are not written here: the scheduler passes them to the store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{AssignedRun, AttemptResult, CancelReason, CompletedAttempt, HealthSignal, Run};
use super::context::WorkerContext;
use super::job::Job;
use super::shape::{self, NotShaped};
use crate::delivery::clock;
use crate::delivery::limits::MAX_BUSY;
use crate::delivery::sending::attempt::{self, Client, RequestNotSent, Session};
use crate::domain::delivery::{self, Attempt, ErrorClass, Next, Outcome};
use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::{EventId, sequence_id};
use crate::domain::outgoing::OutgoingEvent;
use crate::domain::retry::Jitter;
use crate::domain::template::TemplateFailure;
use crate::error::{Error, Unavailable};
use crate::process::critical::panic_point;
use crate::store::FinishedAttempt;

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

/// How an attempt ended.
struct Ended {
    /// `None` where no request was made and none is logged.
    attempt: Option<Attempt>,
    outcome: Outcome,
    /// Why no request was made, for the log.
    detail: Option<String>,
}

/// Makes one attempt and keeps its outcome in `run`.
fn deliver(context: &WorkerContext, session: &Session<'_>, job: &Job, run: &Run) -> AttemptResult {
    let unsent = AttemptResult { health: HealthSignal::Nothing, outcome: false };
    let unreadable = |error: &Error| {
        tracing::error!(delivery.id = %job.delivery, error = error.detail(), "cannot read the delivery");
        // The lane must back off, else it would read the file again at once.
        AttemptResult { health: HealthSignal::Bad, outcome: false }
    };
    let (document, step) = match (&job.document, job.retry_step) {
        (Some(document), Some(step)) => (document.clone(), step),
        _ => match context.store.document(job.delivery, job.event) {
            Ok(Some(found)) => found,
            // The delivery was cancelled or deleted meanwhile.
            Ok(None) => return unsent,
            // The read has already waited for memory. The delivery stays pending in the file and is read again later.
            Err(error) if error.is_unavailable(Unavailable::NoMemory) => return unsent,
            Err(error) => return unreadable(&error),
        },
    };
    let destination = session.destination();
    let shaped = match shape::for_delivery(context, destination, job, &document) {
        Ok(shaped) => shaped,
        Err(NotShaped::Gone | NotShaped::NoMemory) => return unsent,
        Err(NotShaped::Unreadable(error)) => return unreadable(&error),
        Err(NotShaped::Failed(failure)) => {
            let attempt = template_failed(failure);
            let (outcome, detail) = (attempt.outcome, attempt.detail.clone());
            context.metrics.not_sent(outcome);
            return conclude(context, destination, job, run, step, Ended { attempt: Some(attempt), outcome, detail });
        }
    };
    let event = shaped.event(job.event, &document);
    match send(context, session, &event, run) {
        Some(mut ended) => {
            if let Some(attempt) = &mut ended.attempt {
                attempt.made_body = shaped.logged_body();
            }
            conclude(context, destination, job, run, step, ended)
        }
        None => unsent,
    }
}

/// Sends a request. `None` if the server stops: the delivery stays pending in the file and is sent again after the next
/// start.
fn send(context: &WorkerContext, session: &Session<'_>, event: &OutgoingEvent<'_>, run: &Run) -> Option<Ended> {
    let (destination, cut) = (session.destination(), &run.cancellation);
    // A cancelled attempt ends like a broken connection, and must not be repeated on a new one.
    let fallback = |left| (!cut.is_set()).then(|| isolated_client(context, Arc::clone(destination), left));
    match attempt::send(event, session, &fallback) {
        Ok(mut attempt) => {
            if let Outcome::NoAnswer(_) = attempt.outcome {
                match cut.why() {
                    Some(CancelReason::Stopping) => return None,
                    Some(CancelReason::Preempted) => {
                        attempt.outcome = Outcome::NoAnswer(ErrorClass::Cut);
                        attempt.detail = Some("cut short to make room for other destinations".to_owned());
                    }
                    None => {}
                }
            }
            let outcome = attempt.outcome;
            context.metrics.attempt(outcome, attempt.duration);
            Some(Ended { attempt: Some(attempt), outcome, detail: None })
        }
        Err(RequestNotSent(why)) => {
            context.metrics.not_sent(Outcome::NoAnswer(ErrorClass::UrlTooLong));
            Some(Ended { attempt: None, outcome: Outcome::NoAnswer(ErrorClass::UrlTooLong), detail: Some(why) })
        }
    }
}

/// The attempt whose request a template could not make. It is logged though nothing was sent, since people look there
/// for the reason.
fn template_failed(failure: TemplateFailure) -> Attempt {
    let detail = Some(attempt::short(failure.detail));
    Attempt { detail, ..not_sent(Outcome::NoAnswer(ErrorClass::TemplateFailed)) }
}

/// Decides what follows, and keeps it in `run`.
fn conclude(
    context: &WorkerContext,
    destination: &Destination,
    job: &Job,
    run: &Run,
    step: u32,
    ended: Ended,
) -> AttemptResult {
    let Ended { attempt, outcome, detail } = ended;
    let now = context.clock.now();
    let schedule = destination.fields.retry_schedule.as_ref().unwrap_or(&context.retry_schedule);
    let verdict = delivery::transition(step, outcome, schedule, now, Jitter::from_unit(fastrand::f64()));
    tracing::debug!(
        delivery.id = %job.delivery,
        event.id = %job.event,
        destination.id = %destination.id,
        error = outcome.error().map(ErrorClass::as_str),
        status = outcome.status(),
        took_millis = attempt.as_ref().map(|attempt| attempt.duration.as_millis() as u64),
        next = ?verdict.next,
        "attempt ended"
    );
    if verdict.next == Next::Exhausted {
        context.metrics.exhausted();
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
        (None, _) | (_, Outcome::NoAnswer(ErrorClass::TemplateFailed)) => HealthSignal::Nothing,
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
pub fn test(context: &WorkerContext, destination: Destination, document: &Document) -> Attempt {
    let now = clock::wall();
    let id = EventId(sequence_id(now));
    let shaped = match shape::for_test(context, &destination, id, now, document) {
        Ok(shaped) => shaped,
        Err(failure) => return template_failed(failure),
    };
    let timeout = destination.fields.timeout.unwrap_or(context.timeout);
    let event = shaped.event(id, document);
    let client = isolated_client(context, Arc::new(destination), timeout);
    let sent = attempt::send(&event, &client.session(false), &|_| None);
    let attempt = sent.unwrap_or_else(|RequestNotSent(why)| Attempt {
        detail: Some(why),
        ..not_sent(Outcome::NoAnswer(ErrorClass::UrlTooLong))
    });
    Attempt { made_body: shaped.logged_body(), ..attempt }
}

/// An attempt without a request.
fn not_sent(outcome: Outcome) -> Attempt {
    Attempt {
        at: clock::wall(),
        duration: Duration::ZERO,
        outcome,
        detail: None,
        body: Vec::new(),
        body_truncated: false,
        made_body: None,
    }
}

/// A client with a connection of its own, for one request.
fn isolated_client(context: &WorkerContext, destination: Arc<Destination>, timeout: Duration) -> Client {
    Client::isolated(&context.connections, destination, timeout)
}
