//! Counts by destination and minute, kept while things happen, so that nobody counts rows to draw a chart.
//!
//! A commit that touches many destinations would change as many rows all over the table. It writes its counts as one row of
//! `tally_recent` instead, and many commits' are added to the tallies together. Who reads the tallies adds these.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::batch::Batch;
use super::rows;
use crate::domain::ids::DestinationKey;
use crate::domain::stats::Counts;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// Width of a fresh bucket, in milliseconds.
pub const MINUTE: i64 = 60_000;

/// Counts of so many destinations are added to their rows at once.
const FEW: usize = 8;

/// After so many commits the recent counts are added to the tallies.
const COMMITS: i64 = 64;

/// Rows of tallies that are changed together, so that nobody waits long.
const TOGETHER: usize = 1_000;

/// Destination and beginning of the bucket.
pub type Key = (DestinationKey, i64);

/// Beginning of the bucket that `at` falls into.
pub fn bucket(at: Timestamp) -> i64 {
    at.millis() - at.millis() % MINUTE
}

/// Writes the counts of one commit.
pub fn write(batch: &mut Batch<'_>, counts: HashMap<Key, Counts>) -> Result<()> {
    if counts.len() <= FEW {
        return counts.into_iter().try_for_each(|(key, counts)| add(batch, key, counts));
    }
    keep_recent(batch, counts.into_iter())?;
    if batch.last_key() >= COMMITS {
        settle(batch)?;
    }
    Ok(())
}

/// Adds recent counts to the tallies, those of [`TOGETHER`] buckets at most; gives whether some are left.
pub fn settle(batch: &mut Batch<'_>) -> Result<bool> {
    let mut counts = recent(batch.connection())?.into_iter();
    batch.run("DELETE FROM tally_recent", [])?;
    for (key, counts) in counts.by_ref().take(TOGETHER) {
        add(batch, key, counts)?;
    }
    let left = counts.len() > 0;
    if left {
        keep_recent(batch, counts)?;
    }
    Ok(left)
}

/// The last of the recent counts.
pub const LAST_RECENT: &str = "SELECT max(id) FROM tally_recent";

/// All recent counts.
pub fn recent(connection: &Connection) -> Result<BTreeMap<Key, Counts>> {
    let mut sums: BTreeMap<Key, Counts> = BTreeMap::new();
    for commit in rows::all(connection, "SELECT counts FROM tally_recent", [], |row| row.get::<_, Vec<u8>>(0))? {
        for (key, counts) in commit.chunks_exact(BYTES).map(read) {
            sums.entry(key).or_default().add(counts);
        }
    }
    Ok(sums)
}

fn keep_recent(batch: &mut Batch<'_>, counts: impl Iterator<Item = (Key, Counts)>) -> Result<()> {
    let bytes: Vec<u8> = counts.flat_map(bytes).collect();
    batch.run("INSERT INTO tally_recent (counts) VALUES (?1)", [bytes])?;
    Ok(())
}

/// Numbers of a recent count: destination, bucket, and the four counts, each in eight bytes, little end first.
const NUMBERS: usize = 6;

const BYTES: usize = 8 * NUMBERS;

fn bytes(((destination, start), counts): (Key, Counts)) -> [u8; BYTES] {
    let numbers = [
        destination.0.cast_unsigned(),
        start.cast_unsigned(),
        counts.accepted,
        counts.succeeded,
        counts.failed,
        counts.exhausted,
    ];
    let mut bytes = [0; BYTES];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn read(bytes: &[u8]) -> (Key, Counts) {
    let mut numbers = [0; NUMBERS];
    for (number, place) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(place.try_into().unwrap_or_default());
    }
    let [destination, start, accepted, succeeded, failed, exhausted] = numbers;
    let key = (DestinationKey(destination.cast_signed()), start.cast_signed());
    (key, Counts { accepted, succeeded, failed, exhausted })
}

/// Adds `counts` to a bucket; a destination that is gone by now is not counted.
fn add(batch: &mut Batch<'_>, (destination, start): Key, counts: Counts) -> Result<()> {
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

#[cfg(test)]
mod tests;
