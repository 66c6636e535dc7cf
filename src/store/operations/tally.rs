//! Writes counts by destination and minute while things happen, so that nobody counts rows to draw a chart.
//!
//! A commit that touches many destinations would change as many rows, on pages all over the table. Such a commit
//! appends its counts to `tally_recent` instead. Recent counts of many commits are later added to `tally` together.
//! Whoever reads `tally` must also add what [`recent`] returns.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::rows;
use crate::domain::ids::DestinationKey;
use crate::domain::stats::{CountKey, Counts, HOUR};
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::error::sql;

/// Most buckets of one commit whose counts are added to their rows at once. With more buckets the counts go to
/// `tally_recent`.
const DIRECT_MAX: usize = 8;

/// Most rows of `tally_recent` that wait after a commit. Bounds what each read of statistics must add.
const MAX_RECENT_ROWS: i64 = 64;

/// Most counts in one row of `tally_recent`, which is then 16,000 bytes long.
const ROW_COUNTS: usize = 250;

/// Buckets after which one fold takes no further row of `tally_recent`. Also the most rows of `tally` that one
/// statement of [`remove`] deletes.
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
    // Each commit folds as much as it needs to, so the number of waiting rows stays bounded.
    while waiting(tx)? > MAX_RECENT_ROWS {
        fold_recent(tx)?;
    }
    Ok(())
}

fn waiting(tx: &mut Transaction<'_>) -> Result<i64> {
    // Rows are deleted from the lowest id on, so the ids have no gaps.
    let rows = "SELECT 1 + (SELECT max(id) FROM tally_recent) - (SELECT min(id) FROM tally_recent)";
    Ok(tx.row(rows, [], |row| row.get::<_, Option<i64>>(0))?.flatten().unwrap_or(0))
}

/// Adds the oldest rows of recent counts to the tallies. Returns whether some are left.
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

/// All rows of recent counts, oldest first.
const RECENT: &str = "SELECT id, counts FROM tally_recent ORDER BY id";

fn sum(sums: &mut BTreeMap<CountKey, Counts>, bytes: &[u8]) {
    for (key, counts) in bytes.chunks_exact(BYTES).map(read) {
        sums.entry(key).or_default().add(counts);
    }
}

/// Id of the newest row of recent counts.
pub const LAST_RECENT: &str = "SELECT max(id) FROM tally_recent";

/// Returns the sums of all recent counts.
pub fn recent(connection: &Connection) -> Result<BTreeMap<CountKey, Counts>> {
    let mut sums = BTreeMap::new();
    for bytes in rows::all(connection, RECENT, [], |row| row.get::<_, Vec<u8>>(1))? {
        sum(&mut sums, &bytes);
    }
    Ok(sums)
}

/// Numbers that a recent count consists of: destination, bucket, and six counts. Each has eight bytes, little-endian.
/// Files of before version 6 had fewer counts; see `file/migrations.rs`.
const NUMBERS: usize = 8;

/// Bytes of one recent count.
const BYTES: usize = 8 * NUMBERS;

fn bytes(((destination, start), counts): (CountKey, Counts)) -> [u8; BYTES] {
    let numbers = [
        destination.0.cast_unsigned(),
        start.cast_unsigned(),
        counts.accepted,
        counts.succeeded,
        counts.failed,
        counts.exhausted,
        counts.events,
        counts.skipped,
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
    let [destination, start, accepted, succeeded, failed, exhausted, events, skipped] = numbers;
    let key = (DestinationKey(destination.cast_signed()), start.cast_signed());
    (key, Counts { accepted, succeeded, failed, exhausted, events, skipped })
}

/// Adds `counts` to a bucket. Counts of a destination that has been removed are dropped.
fn add(tx: &mut Transaction<'_>, (destination, start): CountKey, counts: Counts) -> Result<()> {
    tx.run(
        "INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted, events, skipped)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM destination WHERE key = ?2)
         ON CONFLICT (destination_key, start) DO UPDATE SET
         accepted = accepted + excluded.accepted, succeeded = succeeded + excluded.succeeded,
         failed = failed + excluded.failed, exhausted = exhausted + excluded.exhausted,
         events = events + excluded.events, skipped = skipped + excluded.skipped",
        (
            start,
            destination.0,
            counts.accepted,
            counts.succeeded,
            counts.failed,
            counts.exhausted,
            counts.events,
            counts.skipped,
        ),
    )?;
    Ok(())
}

/// The first bucket that begins after `?1` and before `?2`.
pub const NEXT_START: &str =
    "SELECT start FROM tally INDEXED BY tally_by_time WHERE start > ?1 AND start < ?2 ORDER BY start LIMIT 1";

/// The destination of the first bucket that begins after `?1` and before `?2`.
const NEXT_DESTINATION: &str =
    "SELECT destination_key FROM tally INDEXED BY tally_by_time WHERE start > ?1 AND start < ?2 ORDER BY start LIMIT 1";

/// Merges the minutes of the hour that begins at `hour` into one bucket for each destination. Stops once `time` is
/// over, but merges at least one destination. Returns how long it took.
pub fn merge(tx: &mut Transaction<'_>, hour: i64, time: Duration) -> Result<Duration> {
    let began = Instant::now();
    let end = hour + HOUR;
    while let Some(destination) = tx.row(NEXT_DESTINATION, (hour, end), |row| row.get::<_, i64>(0))? {
        tx.run(
            "INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted, events, skipped)
             SELECT ?1, ?3, sum(accepted), sum(succeeded), sum(failed), sum(exhausted), sum(events), sum(skipped)
             FROM tally
             WHERE destination_key = ?3 AND start > ?1 AND start < ?2 GROUP BY destination_key
             ON CONFLICT (destination_key, start) DO UPDATE SET
             accepted = accepted + excluded.accepted, succeeded = succeeded + excluded.succeeded,
             failed = failed + excluded.failed, exhausted = exhausted + excluded.exhausted,
             events = events + excluded.events, skipped = skipped + excluded.skipped",
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

/// Deletes buckets that begin before `before`, one destination after the other, since the rows of one lie together.
/// Stops once `time` is over, but after at least one statement. Returns how long it took.
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
