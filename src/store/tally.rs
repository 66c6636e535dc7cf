//! Counts by destination and minute, kept while things happen, so that nobody counts rows to draw a chart.

use super::batch::Batch;
use crate::domain::ids::DestinationKey;
use crate::domain::stats::Counts;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// Width of a fresh bucket, in milliseconds.
pub const MINUTE: i64 = 60_000;

/// Beginning of the bucket that `at` falls into.
pub fn bucket(at: Timestamp) -> i64 {
    at.millis() - at.millis() % MINUTE
}

/// Adds `counts` to a bucket; a destination that is gone by now is not counted.
pub fn add(batch: &mut Batch<'_>, destination: DestinationKey, start: i64, counts: Counts) -> Result<()> {
    batch.run(
        "INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM destination WHERE key = ?2)
         ON CONFLICT (destination_key, start) DO UPDATE SET
         accepted = accepted + excluded.accepted, succeeded = succeeded + excluded.succeeded,
         failed = failed + excluded.failed, exhausted = exhausted + excluded.exhausted",
        (start, destination.0, counts.accepted, counts.succeeded, counts.failed, counts.exhausted),
    )?;
    Ok(())
}

/// Merges the buckets of the `width` milliseconds from `start` on into one.
pub fn merge(batch: &mut Batch<'_>, start: i64, width: i64) -> Result<()> {
    batch.run(
        "INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted)
         SELECT ?1, destination_key, sum(accepted), sum(succeeded), sum(failed), sum(exhausted) FROM tally
         WHERE start > ?1 AND start < ?1 + ?2 GROUP BY destination_key
         ON CONFLICT (destination_key, start) DO UPDATE SET
         accepted = accepted + excluded.accepted, succeeded = succeeded + excluded.succeeded,
         failed = failed + excluded.failed, exhausted = exhausted + excluded.exhausted",
        (start, width),
    )?;
    batch.run("DELETE FROM tally WHERE start > ?1 AND start < ?1 + ?2", (start, width))?;
    Ok(())
}
