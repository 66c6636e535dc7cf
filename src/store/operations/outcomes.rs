//! Records the outcome of an attempt: logs the attempt, moves its delivery on, counts it and updates the destination,
//! all in one transaction. What an outcome means is decided in `domain/delivery.rs`, not here.

use std::time::Duration;

use super::{attempts, destinations, rows};
use crate::domain::delivery::{DeliveryState, ErrorClass, Next, Outcome};
use crate::domain::ids::DestinationId;
use crate::domain::pausing::{PauseRules, Recorded};
use crate::domain::retry::{MAX_DELAY, MAX_HOLD};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::outcome::FinishedAttempt;

/// Time until the engine looks again for a delivery whose outcome cannot be recorded. Another refill of its destination
/// can find the delivery earlier, since the file still has its old due time.
const UNRECORDED_DELAY: Duration = Duration::from_secs(60);

/// Resets times that lie further ahead than any retry schedule or hold can reach. Such times come from an earlier run
/// with a wrong clock. Due times become "at once", holds end, and `failing_since` becomes `now`.
pub fn reset_future_times(connection: &rusqlite::Connection, now: Timestamp) -> Result<()> {
    let furthest = now.plus(MAX_DELAY.mul_f64(1.2)).millis();
    // Searches by destination, so that each search starts at the end of one queue. A search over everything that is
    // pending would take long.
    let due = "UPDATE delivery SET next_attempt_at = 0 WHERE id IN (
        SELECT v.id FROM destination d CROSS JOIN delivery v INDEXED BY delivery_due
        ON v.destination_key = d.key AND v.state = 0 AND v.next_attempt_at > ?1)";
    connection.execute(due, [furthest]).map_err(crate::store::error::sql)?;
    let held = "UPDATE destination SET held_until = NULL WHERE held_until > ?1";
    connection.execute(held, [now.plus(MAX_HOLD).millis()]).map_err(crate::store::error::sql)?;
    let failing = "UPDATE destination SET failing_since = ?1 WHERE failing_since > ?1";
    connection.execute(failing, [now.millis()]).map_err(crate::store::error::sql)?;
    Ok(())
}

impl Store {
    /// Queues the outcomes of attempts, to be recorded in a later transaction. While the disk is full, the outcomes
    /// wait in memory. With `low_priority`, for a destination with a backlog, all other outcomes go first.
    pub fn finish_attempts(&self, finished: impl IntoIterator<Item = FinishedAttempt>, low_priority: bool) {
        self.writer.outcomes(finished, low_priority);
    }
}

/// Records an outcome. If the delivery or its destination was deleted in the meantime, the outcome is dropped.
pub fn record(tx: &mut Transaction<'_>, finished: &mut FinishedAttempt) -> Result<()> {
    if !finished.failed_before {
        let written = write(tx, finished);
        finished.failed_before = written.as_ref().is_err_and(|error| error.kind() == Kind::Internal);
        return written;
    }
    // This outcome has failed before, for a reason of its own. In a savepoint it cannot keep all other outcomes from
    // being recorded.
    let mut failure = None;
    tx.with_savepoint(|tx| write(tx, finished).inspect_err(|error| failure = Some(error.clone())))?;
    if let Some(error) = failure {
        if error.kind() != Kind::Internal {
            // The disk is full, say: that is no fault of this outcome, and it is kept.
            return Err(error);
        }
        tracing::error!(delivery.id = %finished.delivery, error = error.detail(), "outcome cannot be recorded");
        publish(tx, finished, Some(finished.ended_at.plus(UNRECORDED_DELAY)));
    }
    Ok(())
}

fn publish(tx: &mut Transaction<'_>, finished: &FinishedAttempt, due: Option<Timestamp>) {
    tx.publish(Change::OutcomeRecorded { destination: finished.destination, delivery: finished.delivery, due });
}

/// Records what nearly all outcomes are: the first attempt of a pending delivery succeeded, and its destination was
/// healthy. One statement is enough for such an outcome. Returns whether this was one.
fn record_first_success(tx: &mut Transaction<'_>, finished: &FinishedAttempt) -> Result<bool> {
    let Some(attempt) = attempts::inline(finished) else { return Ok(false) };
    if finished.held.is_some() || !tx.destinations().is_healthy(finished.destination) {
        return Ok(false);
    }
    let written = tx.run(
        "UPDATE delivery SET state = 1, attempt_count = 1, next_attempt_at = 0, last_attempt_at = ?2, status_code = ?3,
         error = NULL, first_duration_ms = ?4, first_body = ?5 WHERE id = ?1 AND state = 0 AND attempt_count = 0",
        (
            finished.delivery.0,
            attempt.at.millis(),
            attempt.outcome.status(),
            attempts::duration_ms(attempt),
            &attempt.body,
        ),
    )?;
    if written == 0 {
        return Ok(false);
    }
    tx.add_pending(-1);
    count(tx, finished, DeliveryState::Pending, DeliveryState::Succeeded);
    publish(tx, finished, None);
    Ok(true)
}

fn write(tx: &mut Transaction<'_>, finished: &FinishedAttempt) -> Result<()> {
    if record_first_success(tx, finished)? {
        return Ok(());
    }
    let id = finished.delivery;
    let found = tx.row(
        "SELECT v.state, v.attempt_count, v.step, d.failing_since IS NOT NULL, v.first_duration_ms IS NOT NULL
         FROM delivery v JOIN destination d ON d.key = v.destination_key WHERE v.id = ?1 AND d.deleted_at IS NULL",
        [id.0],
        |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
    )?;
    let Some((before, count_before, step_now, failing, one_in_row)): Option<(_, u32, u32, bool, bool)> = found else {
        publish(tx, finished, None);
        return Ok(());
    };
    let before = DeliveryState::from_code(before).ok_or_else(|| Error::internal("a delivery has no known state"))?;
    let (state, due, step) = match finished.transition.next {
        // The destination has the event, even if the delivery was cancelled in the meantime.
        Next::Succeeded => (DeliveryState::Succeeded, None, None),
        _ if before != DeliveryState::Pending => (before, None, None),
        // The delivery was opened again manually while this attempt was in progress. So the delivery's schedule has
        // begun again, and the next attempt is due at once.
        _ if step_now < finished.retry_step => (DeliveryState::Pending, Some(finished.ended_at), None),
        Next::Retry { at, retry_step: step } => (DeliveryState::Pending, Some(at), Some(step)),
        Next::Exhausted => (DeliveryState::Exhausted, None, None),
        Next::PauseDestination => (DeliveryState::Pending, Some(finished.ended_at), None),
    };
    if one_in_row {
        attempts::spill(tx, id)?;
    }
    let in_row = attempts::inline(finished).filter(|_| count_before == 0);
    if let Some(attempt) = &finished.attempt {
        if in_row.is_none() {
            attempts::log(tx, id, count_before + 1, attempt)?;
        }
        attempts::log_made_body(tx, id, count_before + 1, attempt)?;
    }
    tx.run(
        "UPDATE delivery SET state = ?2, step = coalesce(?3, step), attempt_count = ?4, next_attempt_at = ?5,
         last_attempt_at = coalesce(?6, last_attempt_at), status_code = ?7, error = ?8, first_duration_ms = ?9,
         first_body = ?10 WHERE id = ?1",
        (
            id.0,
            state.code(),
            step,
            count_before + u32::from(finished.attempt.is_some()),
            due.map_or(0, Timestamp::millis),
            finished.attempt.as_ref().map(|attempt| attempt.at.millis()),
            finished.outcome.status(),
            finished.outcome.error().map(ErrorClass::as_str),
            in_row.map(attempts::duration_ms),
            in_row.map(|attempt| &attempt.body),
        ),
    )?;
    if before == DeliveryState::Pending && state != DeliveryState::Pending {
        tx.add_pending(-1);
    }
    count(tx, finished, before, state);
    let is_exhausted = before == DeliveryState::Pending && state == DeliveryState::Exhausted;
    update_destination(tx, finished, failing, is_exhausted)?;
    publish(tx, finished, due);
    Ok(())
}

fn count(tx: &mut Transaction<'_>, finished: &FinishedAttempt, before: DeliveryState, state: DeliveryState) {
    let counts = tx.counts_mut(finished.destination, finished.ended_at_wall);
    match finished.transition.next {
        Next::Succeeded => counts.succeeded += u64::from(before != DeliveryState::Succeeded),
        _ => {
            counts.failed += u64::from(finished.attempt.is_some());
            counts.exhausted += u64::from(before == DeliveryState::Pending && state == DeliveryState::Exhausted);
        }
    }
}

/// Updates the destination: since when it has been failing, its hold, and its pause. `is_exhausted` says whether the
/// delivery became exhausted.
fn update_destination(
    tx: &mut Transaction<'_>,
    finished: &FinishedAttempt,
    failing: bool,
    is_exhausted: bool,
) -> Result<()> {
    let key = finished.destination;
    if finished.transition.next == Next::Succeeded {
        if failing {
            tx.run("UPDATE destination SET failing_since = NULL WHERE key = ?1", [key.0])?;
        }
        if let Some(held) = finished.held {
            destinations::lift(tx, key, held)?;
        }
        tx.destinations().insert_healthy(key);
        return Ok(());
    }
    // No request was made, or this server cut the attempt: neither says anything about the destination.
    let says_nothing = matches!(finished.outcome, Outcome::NoAnswer(ErrorClass::Cut | ErrorClass::TemplateFailed));
    let says_something = finished.attempt.is_some() && !says_nothing;
    if let Some(until) = finished.transition.hold_until.filter(|_| says_something) {
        // An attempt that knew of the present hold replaces it. Among attempts that were in progress together, the
        // longest hold wins.
        tx.run(
            "UPDATE destination SET held_until =
             CASE WHEN held_until IS ?3 THEN ?2 ELSE max(coalesce(held_until, 0), ?2) END WHERE key = ?1",
            (key.0, until.millis(), finished.held.map(Timestamp::millis)),
        )?;
        destinations::publish(tx, key)?;
    }
    if says_something || is_exhausted { fail(tx, finished, says_something, is_exhausted) } else { Ok(()) }
}

/// Notes since when the destination has been failing, if the outcome says something about it, and pauses it where that
/// follows.
fn fail(tx: &mut Transaction<'_>, finished: &FinishedAttempt, says_something: bool, is_exhausted: bool) -> Result<()> {
    let (key, now) = (finished.destination, finished.ended_at);
    let found = tx.row(
        "SELECT failing_since, paused_reason IS NOT NULL, destination_id, on_exhausted, ordering FROM destination
         WHERE key = ?1",
        [key.0],
        |row| {
            let pause_after = finished.pause_after;
            let rules = PauseRules { pause_after, on_exhausted: rows::word(row, 3)?, ordering: rows::word(row, 4)? };
            let id = DestinationId::from_stored(row.get(2)?);
            Ok((rows::time_or_null(row, 0)?, row.get::<_, bool>(1)?, id, rules))
        },
    )?;
    let Some((failing_since, is_paused, id, rules)) = found else { return Ok(()) };
    if says_something && failing_since.is_none() {
        tx.run("UPDATE destination SET failing_since = ?2 WHERE key = ?1", (key.0, now.millis()))?;
        tx.destinations().failing(key);
    }
    let failing_for = failing_since.map(|since| now.since(since)).filter(|_| says_something);
    let recorded = Recorded { next: finished.transition.next, is_exhausted, failing_for };
    if let Some(reason) = rules.reason(recorded).filter(|_| !is_paused) {
        destinations::pause(tx, key, reason, finished.ended_at_wall)?;
        destinations::publish(tx, key)?;
        tracing::warn!(destination.id = %id, reason = reason.as_str(), "destination paused");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
