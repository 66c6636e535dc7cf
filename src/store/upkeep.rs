//! What goes in the background in small steps: rows of deleted accounts and destinations, events past their retention,
//! old tallies, and pages given back to the file system. Each step is short, so that nobody else waits for long.

use std::time::Duration;

use rusqlite::Connection;

use super::batch::Batch;
use super::{Store, rows, tally};
use crate::domain::ids::{EventId, hot_id};
use crate::domain::time::Timestamp;
use crate::error::Result;

/// Rows that one step deletes (and what cascades from them).
const ROWS: usize = 50;

/// Events that one step looks at.
const LOOK: usize = 200;

/// Pages that one step gives back.
const PAGES: usize = 64;

/// Tallies older than this are merged into hours.
const MINUTES_FOR: Duration = Duration::from_secs(24 * 3600);

const HOUR: i64 = 3_600_000;

/// Where the background work stands.
#[derive(Debug, Default)]
pub struct Upkeep {
    walk: Walk,
}

/// Where retention goes on: the events before it that are left have pending deliveries.
#[derive(Debug, Clone, Copy)]
enum Walk {
    /// Behind this id. Ids go by time, and one's time is never before that of its event's receipt.
    ById(i64),
    /// Behind this time and id, among events received more than a minute before their id's time: the clock had gone
    /// back.
    OutOfOrder(i64, i64),
}

impl Default for Walk {
    fn default() -> Self {
        Self::ById(0)
    }
}

impl Walk {
    /// Some old events in its order: when they were received, ids, and whether a delivery is pending.
    fn look(self, connection: &Connection, before: Timestamp) -> Result<Vec<(i64, i64, bool)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        match self {
            Self::ById(id) => rows::all(connection, BY_ID, (id, hot_id(before), before.millis(), LOOK), read),
            Self::OutOfOrder(received, id) => {
                rows::all(connection, OUT_OF_ORDER, (received, id, before.millis(), LOOK), read)
            }
        }
    }

    fn behind(self, (received, id, _): (i64, i64, bool)) -> Self {
        match self {
            Self::ById(_) => Self::ById(id),
            Self::OutOfOrder(..) => Self::OutOfOrder(received, id),
        }
    }
}

const BY_ID: &str =
    "SELECT received_at, id, EXISTS (SELECT 1 FROM delivery v WHERE v.event_id = event.id AND v.state = 0)
     FROM event NOT INDEXED WHERE id > ?1 AND id < ?2 AND received_at < ?3 ORDER BY id LIMIT ?4";

const OUT_OF_ORDER: &str =
    "SELECT received_at, id, EXISTS (SELECT 1 FROM delivery v WHERE v.event_id = event.id AND v.state = 0)
     FROM event INDEXED BY event_out_of_order WHERE received_at < (id >> 21) - 60000
     AND (received_at, id) > (?1, ?2) AND received_at < ?3 ORDER BY received_at, id LIMIT ?4";

impl Store {
    /// Does one small step of what is to be done; gives whether there may be more.
    ///
    /// # Errors
    /// Unavailable; the step is done later.
    pub async fn upkeep(&self, upkeep: &mut Upkeep, retention: Duration, now: Timestamp) -> Result<bool> {
        if self.remove_deleted().await? {
            return Ok(true);
        }
        if self.retire(upkeep, now.minus(retention)).await? {
            return Ok(true);
        }
        if self.merge_tallies(now).await? {
            return Ok(true);
        }
        self.give_back().await
    }

    /// A read decides whether there is anything to do, so that an idle server does not write.
    async fn remove_deleted(&self) -> Result<bool> {
        let due = self
            .readers
            .api(|connection| {
                Ok(deleted(connection, "destination", "destination_deleted")?.is_some()
                    || deleted(connection, "account", "account_deleted")?.is_some())
            })
            .await?;
        if due { self.writer.guarded(remove_step).await } else { Ok(false) }
    }

    async fn retire(&self, upkeep: &mut Upkeep, before: Timestamp) -> Result<bool> {
        let walk = upkeep.walk;
        let looked = self.readers.api(move |connection| walk.look(connection, before)).await?;
        let Some(last) = looked.last().copied() else {
            // From the beginning next time: what was pending may be settled by then.
            let more = matches!(walk, Walk::ById(_));
            upkeep.walk = if more { Walk::OutOfOrder(i64::MIN, 0) } else { Walk::default() };
            return Ok(more);
        };
        let old: Vec<EventId> =
            looked.into_iter().filter(|(_, _, pending)| !pending).map(|(_, id, _)| EventId(id)).collect();
        for some in old.chunks(ROWS) {
            let some = some.to_vec();
            self.writer.guarded(move |batch| retire_step(batch, &some)).await?;
        }
        upkeep.walk = walk.behind(last);
        Ok(true)
    }

    async fn merge_tallies(&self, now: Timestamp) -> Result<bool> {
        let before = now.minus(MINUTES_FOR).millis();
        let before = before - before % HOUR;
        let hour = self
            .readers
            .api(move |connection| {
                rows::first(
                    connection,
                    "SELECT start FROM tally INDEXED BY tally_by_time WHERE start < ?1 AND start % ?2 <> 0
                     ORDER BY start LIMIT 1",
                    (before, HOUR),
                    |row| row.get::<_, i64>(0),
                )
            })
            .await?
            .map(|start| start - start % HOUR);
        let Some(hour) = hour else { return Ok(false) };
        self.writer.guarded(move |batch| tally::merge(batch, hour, HOUR)).await?;
        Ok(true)
    }

    async fn give_back(&self) -> Result<bool> {
        let free = self
            .readers
            .api(|connection| rows::first(connection, "PRAGMA freelist_count", [], |row| row.get::<_, usize>(0)))
            .await?
            .unwrap_or(0);
        // A few free pages are soon used again.
        if free < 4 * PAGES {
            return Ok(false);
        }
        self.writer
            .guarded(|batch| {
                rows::all(batch.connection(), &format!("PRAGMA incremental_vacuum({PAGES})"), [], |_| Ok(()))?;
                Ok(true)
            })
            .await
    }

    /// Counts pending deliveries into the figure that commits move. To be called once, before anything is accepted.
    ///
    /// # Errors
    /// Unavailable.
    pub fn load_pending(&self) -> Result<()> {
        let count = self.count_pending()?;
        self.shared.metrics.set_pending(count);
        Ok(())
    }
}

fn deleted(connection: &Connection, table: &str, index: &str) -> Result<Option<i64>> {
    let query = format!("SELECT key FROM {table} INDEXED BY {index} WHERE deleted_at IS NOT NULL ORDER BY key LIMIT 1");
    rows::first(connection, &query, [], |row| row.get(0))
}

/// Some rows of the first deleted destination, and of the first deleted account once it has no destination left.
fn remove_step(batch: &mut Batch<'_>) -> Result<bool> {
    if let Some(key) = deleted(batch.connection(), "destination", "destination_deleted")? {
        let pending = batch
            .row(
                "SELECT count(*) FROM (SELECT state FROM delivery INDEXED BY delivery_by_destination
                 WHERE destination_key = ?1 ORDER BY id LIMIT ?2) WHERE state = 0",
                (key, ROWS),
                |row| row.get::<_, i64>(0),
            )?
            .unwrap_or(0);
        let gone = batch.run(
            "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_by_destination
             WHERE destination_key = ?1 ORDER BY id LIMIT ?2)",
            (key, ROWS),
        )?;
        batch.pending(-pending);
        if gone == 0 {
            let tallies = "DELETE FROM tally WHERE destination_key = ?1 AND start IN
                (SELECT start FROM tally WHERE destination_key = ?1 LIMIT ?2)";
            if batch.run(tallies, (key, ROWS))? == 0 {
                batch.run("DELETE FROM destination WHERE key = ?1", [key])?;
            }
        }
        return Ok(true);
    }
    let Some(key) = deleted(batch.connection(), "account", "account_deleted")? else { return Ok(false) };
    let gone = batch.run(
        "DELETE FROM event WHERE id IN (SELECT id FROM event INDEXED BY event_by_account
         WHERE account_key = ?1 ORDER BY id LIMIT ?2)",
        (key, ROWS),
    )?;
    if gone == 0 {
        batch.run("DELETE FROM account WHERE key = ?1", [key])?;
    }
    Ok(true)
}

fn retire_step(batch: &mut Batch<'_>, events: &[EventId]) -> Result<()> {
    for event in events {
        // Looked at again: a replay may have opened a delivery since.
        batch.run(
            "DELETE FROM event WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM delivery v WHERE v.event_id = ?1 AND v.state = 0)",
            [event.0],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
