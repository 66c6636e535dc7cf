//! Counts by destination and time: recent ones are added to their rows, old minutes are merged into hours, and what is
//! older than the retention goes.

use std::time::Duration;

use rusqlite::Connection;

use super::pace::{IDLE, STEP_TIME, after};
use crate::domain::stats::HOUR;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::handle::Store;
use crate::store::operations::{rows, tally};

/// Tallies older than this are merged into hours; and none younger goes, however short the retention is, so that charts of
/// the last day are whole.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the work on the tallies stands.
#[derive(Debug, Default)]
pub struct Tallies {
    /// The last of the recent counts at the look before.
    recent: Option<i64>,
    merged: Option<Merged>,
}

/// How far minutes were merged into hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Merged {
    /// Those of hours before this were to be merged. When the next hour is over it begins anew: counts may have come late.
    before: i64,
    /// Up to this hour it is done; `None` before the first.
    to: Option<i64>,
}

/// What a turn found to do.
struct Due {
    recent: Option<i64>,
    old: bool,
    /// An hour with minutes that are to be merged; `None` where there is none.
    hour: Option<i64>,
}

impl Store {
    /// One turn on the tallies at `now`, where events are kept for `retention`. Gives the time until the next turn.
    ///
    /// # Errors
    /// Unavailable; it is done later.
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
        // Where more come it is done with them.
        if quiet {
            more = self.writer.submit_with_savepoint(tally::fold_recent).await?;
        }
        if due.old {
            took += self.writer.submit_with_savepoint(move |tx| tally::remove(tx, gone, STEP_TIME)).await?;
            more = true;
        }
        if let Some(hour) = due.hour {
            took += self.writer.submit_with_savepoint(move |tx| tally::merge(tx, hour, STEP_TIME)).await?;
            // It is looked at again, for what is left of it.
            state.merged = Some(Merged { before, to: Some(hour - HOUR) });
            more = true;
        } else if !due.old {
            state.merged = Some(Merged { before, to: Some(before) });
        }
        Ok(if more { after(took) } else { IDLE })
    }

    /// Adds all recent counts to the tallies, so that a file that nobody uses has nothing else to be read.
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
    // What is old goes first; then it need not be merged.
    let done = known && merged.to == Some(merged.before);
    let hour = if old || done { None } else { next_hour(connection, merged)? };
    Ok(Due { recent, old, hour })
}

fn last_recent(connection: &Connection) -> Result<Option<i64>> {
    Ok(rows::first(connection, tally::LAST_RECENT, [], |row| row.get(0))?.flatten())
}

/// The first hour with minutes that are to be merged. Goes from one hour to the next by one look into the index each,
/// however many counts an hour has.
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

/// Beginning of the hour of `at`.
fn whole_hours(at: Timestamp) -> i64 {
    at.millis() - at.millis().rem_euclid(HOUR)
}

#[cfg(test)]
mod tests;
