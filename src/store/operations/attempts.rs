//! The log of attempts. Most deliveries have one attempt, a success with a short answer: it is kept in the delivery's
//! own row, whose page is written anyway. The table holds all others. One in the row is moved into the table before
//! anything else is written over what it shares with the delivery.

use rusqlite::Connection;

use super::rows;
use crate::domain::delivery::{Attempt, ErrorClass, LoggedAttempt, Next};
use crate::domain::ids::DeliveryId;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::outcome::FinishedAttempt;

/// Longest body of an answer that is kept in the row; lists read past it.
const MAX_INLINE_BYTES: usize = 256;

/// What is to be kept of a first attempt in its delivery's row, which has its time and its status anyway. `None` where
/// it belongs into the table.
pub fn inline(finished: &FinishedAttempt) -> Option<&Attempt> {
    finished.attempt.as_ref().filter(|attempt| {
        finished.verdict.next == Next::Succeeded
            && attempt.outcome.is_success()
            && attempt.detail.is_none()
            && !attempt.body_truncated
            && attempt.body.len() <= MAX_INLINE_BYTES
    })
}

/// Moves the one in a delivery's row into the table; the columns in the row are the caller's to clear.
pub fn spill(tx: &mut Transaction<'_>, delivery: DeliveryId) -> Result<()> {
    tx.run(
        "INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, body, body_truncated)
         SELECT id, 1, last_attempt_at, first_duration_ms, status_code, first_body, 0 FROM delivery
         WHERE id = ?1 AND first_duration_ms IS NOT NULL",
        [delivery.0],
    )?;
    Ok(())
}

/// Adds one to the table.
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

/// How long an attempt took, as it is kept.
pub fn duration_ms(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX)
}

/// All of a delivery, oldest first.
pub fn of(connection: &Connection, delivery: DeliveryId) -> Result<Vec<LoggedAttempt>> {
    rows::all(
        connection,
        "SELECT 1 AS number, last_attempt_at, first_duration_ms, status_code, NULL, NULL, first_body, 0 FROM delivery
         WHERE id = ?1 AND first_duration_ms IS NOT NULL
         UNION ALL
         SELECT number, at, duration_ms, status_code, error, detail, body, body_truncated FROM attempt
         WHERE delivery_id = ?1 ORDER BY number",
        [delivery.0],
        rows::attempt,
    )
}
