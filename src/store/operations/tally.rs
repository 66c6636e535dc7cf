//! Counts by destination and minute, kept while things happen, so that nobody counts rows to draw a chart.
//!
//! A commit that touches many destinations would change as many rows all over the table. It appends its counts to
//! `tally_recent` instead, and those of many commits are added to the tallies together. Who reads the tallies adds these.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::rows;
use crate::domain::ids::DestinationKey;
use crate::domain::stats::{CountKey, Counts, HOUR};
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::error::sql;

/// Counts of so many destinations are added to their rows at once.
const DIRECT_MAX: usize = 8;

/// Rows of recent counts that may wait.
const MAX_RECENT_ROWS: i64 = 64;

/// Counts of one such row at most.
const ROW_COUNTS: usize = 250;

/// Rows are added to the tallies until they are of so many buckets.
const FOLD_BUCKETS: usize = 1_000;

/// Writes the counts of one commit.
pub fn write(tx: &mut Transaction<'_>, counts: HashMap<CountKey, Counts>) -> Result<()> {
    if counts.len() <= DIRECT_MAX {
        return counts.into_iter().try_for_each(|(key, counts)| add(tx, key, counts));
    }
    let counts: Vec<_> = counts.into_iter().collect();
    for some in counts.chunks(ROW_COUNTS) {
        let bytes: Vec<u8> = some.iter().copied().flat_map(bytes).collect();
        tx.run("INSERT INTO tally_recent (counts) VALUES (?1)", [bytes])?;
    }
    // As many go as come, so what waits stays bounded.
    while waiting(tx)? > MAX_RECENT_ROWS {
        fold_recent(tx)?;
    }
    Ok(())
}

fn waiting(tx: &mut Transaction<'_>) -> Result<i64> {
    // The first ones go first, so there are no gaps.
    let rows = "SELECT 1 + (SELECT max(id) FROM tally_recent) - (SELECT min(id) FROM tally_recent)";
    Ok(tx.row(rows, [], |row| row.get::<_, Option<i64>>(0))?.flatten().unwrap_or(0))
}

/// Adds the first recent counts to the tallies; gives whether some are left.
pub fn fold_recent(tx: &mut Transaction<'_>) -> Result<bool> {
    let (mut sums, mut last) = (BTreeMap::new(), None);
    {
        let mut prepared = tx.connection().prepare_cached(RECENT).map_err(sql)?;
        let mut rows = prepared.query([]).map_err(sql)?;
        while sums.len() < FOLD_BUCKETS
            && let Some(row) = rows.next().map_err(sql)?
        {
            last = Some(row.get::<_, i64>(0).map_err(sql)?);
            sum(&mut sums, &row.get::<_, Vec<u8>>(1).map_err(sql)?);
        }
    }
    let Some(last) = last else { return Ok(false) };
    tx.run("DELETE FROM tally_recent WHERE id <= ?1", [last])?;
    for (key, counts) in sums {
        add(tx, key, counts)?;
    }
    Ok(waiting(tx)? > 0)
}

const RECENT: &str = "SELECT id, counts FROM tally_recent ORDER BY id";

fn sum(sums: &mut BTreeMap<CountKey, Counts>, bytes: &[u8]) {
    for (key, counts) in bytes.chunks_exact(BYTES).map(read) {
        sums.entry(key).or_default().add(counts);
    }
}

/// The last of the recent counts.
pub const LAST_RECENT: &str = "SELECT max(id) FROM tally_recent";

/// All recent counts.
pub fn recent(connection: &Connection) -> Result<BTreeMap<CountKey, Counts>> {
    let mut sums = BTreeMap::new();
    for bytes in rows::all(connection, RECENT, [], |row| row.get::<_, Vec<u8>>(1))? {
        sum(&mut sums, &bytes);
    }
    Ok(sums)
}

/// Numbers of a recent count: destination, bucket, and the four counts, each in eight bytes, little end first.
const NUMBERS: usize = 6;

const BYTES: usize = 8 * NUMBERS;

fn bytes(((destination, start), counts): (CountKey, Counts)) -> [u8; BYTES] {
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

fn read(bytes: &[u8]) -> (CountKey, Counts) {
    let mut numbers = [0; NUMBERS];
    for (number, place) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(place.try_into().unwrap_or_default());
    }
    let [destination, start, accepted, succeeded, failed, exhausted] = numbers;
    let key = (DestinationKey(destination.cast_signed()), start.cast_signed());
    (key, Counts { accepted, succeeded, failed, exhausted })
}

/// Adds `counts` to a bucket; a destination that is gone by now is not counted.
fn add(tx: &mut Transaction<'_>, (destination, start): CountKey, counts: Counts) -> Result<()> {
    tx.run(
        "INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM destination WHERE key = ?2)
         ON CONFLICT (destination_key, start) DO UPDATE SET
         accepted = accepted + excluded.accepted, succeeded = succeeded + excluded.succeeded,
         failed = failed + excluded.failed, exhausted = exhausted + excluded.exhausted",
        (start, destination.0, counts.accepted, counts.succeeded, counts.failed, counts.exhausted),
    )?;
    Ok(())
}

/// The first bucket that begins behind `?1` and before `?2`.
pub const NEXT_START: &str =
    "SELECT start FROM tally INDEXED BY tally_by_time WHERE start > ?1 AND start < ?2 ORDER BY start LIMIT 1";

/// The destination of that bucket.
const NEXT_DESTINATION: &str =
    "SELECT destination_key FROM tally INDEXED BY tally_by_time WHERE start > ?1 AND start < ?2 ORDER BY start LIMIT 1";

/// Merges the minutes of the hour that begins at `hour` into one bucket for each destination, as far as `time` goes. Gives
/// how long it took.
pub fn merge(tx: &mut Transaction<'_>, hour: i64, time: Duration) -> Result<Duration> {
    let began = Instant::now();
    let end = hour + HOUR;
    while let Some(destination) = tx.row(NEXT_DESTINATION, (hour, end), |row| row.get::<_, i64>(0))? {
        tx.run(
            "INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted)
             SELECT ?1, ?3, sum(accepted), sum(succeeded), sum(failed), sum(exhausted) FROM tally
             WHERE destination_key = ?3 AND start > ?1 AND start < ?2 GROUP BY destination_key
             ON CONFLICT (destination_key, start) DO UPDATE SET
             accepted = accepted + excluded.accepted, succeeded = succeeded + excluded.succeeded,
             failed = failed + excluded.failed, exhausted = exhausted + excluded.exhausted",
            (hour, end, destination),
        )?;
        let minutes = "DELETE FROM tally WHERE destination_key = ?3 AND start > ?1 AND start < ?2";
        tx.run(minutes, (hour, end, destination))?;
        if began.elapsed() >= time {
            break;
        }
    }
    Ok(began.elapsed())
}

/// Removes buckets that begin before `before`, as far as `time` goes: of one destination after the other, since its rows lie
/// together. Gives how long it took.
pub fn remove(tx: &mut Transaction<'_>, before: i64, time: Duration) -> Result<Duration> {
    let began = Instant::now();
    while let Some(destination) = tx.row(NEXT_DESTINATION, (i64::MIN, before), |row| row.get::<_, i64>(0))? {
        tx.run(
            "DELETE FROM tally WHERE destination_key = ?1 AND start < coalesce(
                 (SELECT start FROM tally WHERE destination_key = ?1 AND start < ?2 ORDER BY start LIMIT 1 OFFSET ?3), ?2)",
            (destination, before, FOLD_BUCKETS),
        )?;
        if began.elapsed() >= time {
            break;
        }
    }
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests;
