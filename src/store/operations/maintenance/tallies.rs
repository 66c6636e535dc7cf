//! Background work on the tallies: adds recent counts to their rows, merges old minutes into hours, and deletes what is
//! older than the retention. The statements themselves are in `operations/tally.rs`.

use std::time::Duration;

use rusqlite::Connection;

use super::pace::{IDLE, STEP_TIME, after};
use crate::domain::stats::HOUR;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::handle::Store;
use crate::store::operations::{rows, tally};

/// Age from which minutes are merged into hours. No tally that is younger is deleted, however short the retention is,
/// so that charts of the last day are complete.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// The state of the work on the tallies between two turns.
#[derive(Debug, Default)]
pub struct Tallies {
    /// Id of the last row of recent counts at the previous turn.
    recent: Option<i64>,
    merged: Option<Merged>,
}

/// How far minutes have been merged into hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Merged {
    /// End of the time whose minutes are to be merged. After each full hour the work begins again from the first
    /// bucket, since counts may have come late.
    before: i64,
    /// The search for minutes continues after this time. All is done once this equals `before`; `None` before the first
    /// search.
    to: Option<i64>,
}

/// What the read of one turn found.
struct Due {
    recent: Option<i64>,
    old: bool,
    /// Beginning of an hour with minutes that are to be merged. `None` if there is none.
    hour: Option<i64>,
}

impl Store {
    /// Runs one turn on the tallies at `now`, where events are kept for `retention`. Returns the time until the next
    /// turn.
    ///
    /// # Errors
    /// Unavailable if the store cannot be read or written; a later turn tries again.
    pub async fn maintain_tallies(&self, state: &mut Tallies, retention: Duration, now: Timestamp) -> Result<Duration> {
        let before = whole_hours(now.minus(A_DAY));
        let gone = whole_hours(now.minus(retention.max(A_DAY)));
        let merged = state.merged.filter(|merged| merged.before == before).unwrap_or(Merged { before, to: None });
        let known = state.merged == Some(merged);
        let due = self.readers.read(move |connection| look(connection, gone, merged, known)).await?;
        let quiet = due.recent.is_some() && due.recent == state.recent;
        state.recent = due.recent;
        let mut more = false;
        let mut took = Duration::ZERO;
        // While new counts come, `tally::write` adds the oldest ones to the tallies.
        if quiet {
            more = self.writer.submit_with_savepoint(tally::fold_recent).await?;
        }
        if due.old {
            took += self.writer.submit_with_savepoint(move |tx| tally::remove(tx, gone, STEP_TIME)).await?;
            more = true;
        }
        if let Some(hour) = due.hour {
            took += self.writer.submit_with_savepoint(move |tx| tally::merge(tx, hour, STEP_TIME)).await?;
            // The next turn continues one hour earlier, and so looks at this hour again: time may have ended before all
            // was merged.
            state.merged = Some(Merged { before, to: Some(hour - HOUR) });
            more = true;
        } else if !due.old {
            state.merged = Some(Merged { before, to: Some(before) });
        }
        Ok(if more { after(took) } else { IDLE })
    }

    /// Adds all recent counts to the tallies. Done at the stop, so that the counts in the closed file are all in
    /// `tally`.
    ///
    /// # Errors
    /// Unavailable if the store cannot be read or written.
    pub async fn fold_all_recent(&self) -> Result<()> {
        while self.readers.read(last_recent).await?.is_some() {
            self.writer.submit_with_savepoint(tally::fold_recent).await?;
        }
        Ok(())
    }
}

fn look(connection: &Connection, gone: i64, merged: Merged, known: bool) -> Result<Due> {
    let recent = last_recent(connection)?;
    let old = rows::first(connection, tally::NEXT_START, (i64::MIN, gone), |_| Ok(()))?.is_some();
    // Old tallies are deleted first, so that they need not be merged.
    let done = known && merged.to == Some(merged.before);
    let hour = if old || done { None } else { next_hour(connection, merged)? };
    Ok(Due { recent, old, hour })
}

fn last_recent(connection: &Connection) -> Result<Option<i64>> {
    Ok(rows::first(connection, tally::LAST_RECENT, [], |row| row.get(0))?.flatten())
}

/// Returns the first hour with minutes that are to be merged. Goes from one hour to the next with one index search
/// each, however many counts an hour has.
fn next_hour(connection: &Connection, merged: Merged) -> Result<Option<i64>> {
    let mut from = merged.to.unwrap_or(i64::MIN);
    while let Some(start) = rows::first(connection, tally::NEXT_START, (from, merged.before), |row| row.get(0))? {
        let within = i64::rem_euclid(start, HOUR);
        if within != 0 {
            return Ok(Some(start - within));
        }
        from = start;
    }
    Ok(None)
}

/// Returns the beginning of the hour that contains `at`.
fn whole_hours(at: Timestamp) -> i64 {
    at.millis() - at.millis().rem_euclid(HOUR)
}

#[cfg(test)]
mod tests;
