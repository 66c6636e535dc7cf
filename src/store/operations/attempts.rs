//! Writes and reads the log of attempts. Most deliveries have one attempt, a success with a short answer. Such an
//! attempt is kept in the delivery's own row, whose page is written anyway; all others are rows of `attempt`. [`spill`]
//! copies an attempt from the row into the table before the row gets other values.

use rusqlite::Connection;

use super::rows;
use crate::domain::delivery::{Attempt, ErrorClass, LoggedAttempt, Next};
use crate::domain::ids::DeliveryId;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::outcome::FinishedAttempt;

/// Longest body of an answer, in bytes, that is kept in the delivery's row. Lists read the pages of these rows, so
/// longer bodies go into the table.
const MAX_INLINE_BYTES: usize = 256;

/// Returns what the delivery's row keeps of the attempt. The row has the attempt's time and status anyway. `None` if
/// the attempt belongs into the table.
///
/// The caller must check that this is the delivery's first attempt.
pub fn inline(finished: &FinishedAttempt) -> Option<&Attempt> {
    finished.attempt.as_ref().filter(|attempt| {
        finished.transition.next == Next::Succeeded
            && attempt.outcome.is_success()
            && attempt.detail.is_none()
            && !attempt.body_truncated
            && attempt.body.len() <= MAX_INLINE_BYTES
    })
}

/// Copies an attempt from its delivery's row into the table. The caller then clears or overwrites the columns in the
/// row.
pub fn spill(tx: &mut Transaction<'_>, delivery: DeliveryId) -> Result<()> {
    tx.run(
        "INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, body, body_truncated)
         SELECT id, 1, last_attempt_at, first_duration_ms, status_code, first_body, 0 FROM delivery
         WHERE id = ?1 AND first_duration_ms IS NOT NULL",
        [delivery.0],
    )?;
    Ok(())
}

/// Adds one attempt to the table.
pub fn log(tx: &mut Transaction<'_>, delivery: DeliveryId, number: u32, attempt: &Attempt) -> Result<()> {
    tx.run(
        "INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, error, detail, body, body_truncated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            delivery.0,
            number,
            attempt.at.millis(),
            duration_ms(attempt),
            attempt.outcome.status(),
            attempt.outcome.error().map(ErrorClass::as_str),
            &attempt.detail,
            &attempt.body,
            attempt.body_truncated,
        ),
    )?;
    Ok(())
}

/// Keeps what an attempt sent, where a template made it.
pub fn log_made_body(tx: &mut Transaction<'_>, delivery: DeliveryId, number: u32, attempt: &Attempt) -> Result<()> {
    if let Some(body) = &attempt.made_body {
        tx.run(
            "INSERT INTO request_body (delivery_id, number, body, truncated) VALUES (?1, ?2, ?3, ?4)",
            (delivery.0, number, &body.bytes, body.truncated),
        )?;
    }
    Ok(())
}

/// How long an attempt took, in whole milliseconds, as the file stores it.
pub fn duration_ms(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns all attempts of a delivery, oldest first.
pub fn of(connection: &Connection, delivery: DeliveryId) -> Result<Vec<LoggedAttempt>> {
    rows::all(
        connection,
        "SELECT a.*, r.body, r.truncated FROM (
             SELECT 1 AS number, last_attempt_at, first_duration_ms, status_code, NULL, NULL, first_body, 0 FROM delivery
             WHERE id = ?1 AND first_duration_ms IS NOT NULL
             UNION ALL
             SELECT number, at, duration_ms, status_code, error, detail, body, body_truncated FROM attempt
             WHERE delivery_id = ?1) a
         LEFT JOIN request_body r ON r.delivery_id = ?1 AND r.number = a.number ORDER BY a.number",
        [delivery.0],
        rows::attempt,
    )
}
