//! What goes in the background in small steps: rows of deleted accounts and destinations, events past their retention,
//! old tallies, and pages given back to the file system. Each step is short, so that nobody else waits for long.

use std::time::Duration;

use rusqlite::Connection;

use super::batch::Batch;
use super::{Store, rows, tally};
use crate::domain::delivery::DeliveryState;
use crate::domain::event::keys_over;
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
    removal: Removal,
    /// The last of the recent counts at the look before.
    recent: Option<i64>,
}

/// Where the removal of a deleted destination's deliveries goes on.
#[derive(Debug, Default, Clone, Copy)]
struct Removal {
    destination: i64,
    /// Events behind this one are still to be looked at.
    event: i64,
    /// And none behind this one: those that came later do not go there.
    last: i64,
}

/// Which events retention takes.
#[derive(Debug, Clone, Copy)]
struct Age {
    /// Those that were received before this.
    before: Timestamp,
    /// But not later than this where they have an `Idempotency-Key`, which would go with them.
    keyed_until: Timestamp,
}

/// Where retention goes on: the events before it that are left have pending deliveries, or a key that still holds.
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
    /// Some old events in its order: when they were received, ids, and whether they stay.
    fn look(self, connection: &Connection, age: Age) -> Result<Vec<(i64, i64, bool)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (before, keyed_until) = (age.before.millis(), age.keyed_until.millis());
        match self {
            Self::ById(id) => rows::all(connection, BY_ID, (keyed_until, id, hot_id(age.before), before, LOOK), read),
            Self::OutOfOrder(received, id) => {
                rows::all(connection, OUT_OF_ORDER, (keyed_until, received, id, before, LOOK), read)
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

/// Whether an event stays though it is old: a delivery is pending, or it has a key and was received after `?1`.
macro_rules! stays {
    () => {
        "(EXISTS (SELECT 1 FROM delivery v WHERE v.event_id = event.id AND v.state = 0)
          OR received_at > ?1 AND idempotency_key IS NOT NULL)"
    };
}

const BY_ID: &str = concat!(
    "SELECT received_at, id, ",
    stays!(),
    " FROM event NOT INDEXED WHERE id > ?2 AND id < ?3 AND received_at < ?4 ORDER BY id LIMIT ?5"
);

const OUT_OF_ORDER: &str = concat!(
    "SELECT received_at, id, ",
    stays!(),
    " FROM event INDEXED BY event_out_of_order WHERE received_at < (id >> 21) - 60000
     AND (received_at, id) > (?2, ?3) AND received_at < ?4 ORDER BY received_at, id LIMIT ?5"
);

const RETIRE: &str = concat!("DELETE FROM event WHERE id = ?2 AND NOT ", stays!());

impl Store {
    /// Does one small step of what is to be done; gives whether there may be more.
    ///
    /// # Errors
    /// Unavailable; the step is done later.
    pub async fn upkeep(&self, upkeep: &mut Upkeep, retention: Duration, now: Timestamp) -> Result<bool> {
        if self.remove_account().await? || self.remove_destination(&mut upkeep.removal).await? {
            return Ok(true);
        }
        if self.retire(upkeep, Age { before: now.minus(retention), keyed_until: keys_over(now) }).await? {
            return Ok(true);
        }
        if self.settle_recent(upkeep).await? || self.merge_tallies(now).await? {
            return Ok(true);
        }
        self.give_back().await
    }

    /// A read decides whether there is anything to do, so that an idle server does not write.
    async fn remove_account(&self) -> Result<bool> {
        let due = self.readers.api(|connection| deleted(connection, "account", "account_deleted")).await?;
        match due {
            Some(key) => self.writer.guarded(move |batch| remove_from_account(batch, key)).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn remove_destination(&self, removal: &mut Removal) -> Result<bool> {
        let from = *removal;
        let looked = self
            .readers
            .api(move |connection| match deleted(connection, "destination", "destination_deleted")? {
                Some(key) => Ok(Some((key, from.look(connection, key)?))),
                None => Ok(None),
            })
            .await?;
        let Some((key, (to, deliveries))) = looked else { return Ok(false) };
        for some in deliveries.chunks(ROWS) {
            let some = some.to_vec();
            self.writer
                .guarded(move |batch| some.into_iter().try_for_each(|delivery| remove_delivery(batch, delivery)))
                .await?;
        }
        if to.event >= to.last {
            self.writer.guarded(move |batch| remove_empty_destination(batch, key)).await?;
        }
        *removal = to;
        Ok(true)
    }

    async fn retire(&self, upkeep: &mut Upkeep, age: Age) -> Result<bool> {
        let walk = upkeep.walk;
        let looked = self.readers.api(move |connection| walk.look(connection, age)).await?;
        let Some(last) = looked.last().copied() else {
            // From the beginning next time: what was pending may be settled by then, and keys over.
            let more = matches!(walk, Walk::ById(_));
            upkeep.walk = if more { Walk::OutOfOrder(i64::MIN, 0) } else { Walk::default() };
            return Ok(more);
        };
        let old: Vec<EventId> =
            looked.into_iter().filter(|(_, _, stays)| !stays).map(|(_, id, _)| EventId(id)).collect();
        for some in old.chunks(ROWS) {
            let some = some.to_vec();
            self.writer.guarded(move |batch| retire_step(batch, &some, age)).await?;
        }
        upkeep.walk = walk.behind(last);
        Ok(true)
    }

    /// Adds all recent counts to the tallies, so that a file that nobody uses has nothing else to be read.
    pub(super) async fn settle_all_recent(&self) -> Result<()> {
        while self.last_recent().await?.is_some() {
            self.writer.guarded(tally::settle).await?;
        }
        Ok(())
    }

    async fn last_recent(&self) -> Result<Option<i64>> {
        let last = |connection: &Connection| rows::first(connection, tally::LAST_RECENT, [], |row| row.get(0));
        Ok(self.readers.api(last).await?.flatten())
    }

    /// Where more come it is done with them.
    async fn settle_recent(&self, upkeep: &mut Upkeep) -> Result<bool> {
        let last = self.last_recent().await?;
        if last.is_some() && last == upkeep.recent {
            return self.writer.guarded(tally::settle).await;
        }
        upkeep.recent = last;
        Ok(false)
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

impl Removal {
    /// The next deliveries of the destination `key`, and how far the removal is then.
    fn look(self, connection: &Connection, key: i64) -> Result<(Self, Vec<i64>)> {
        let mut to = self;
        if self.destination != key {
            let bounds = rows::first(connection, BOUNDS, [key], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (event, last) = bounds.unwrap_or_default();
            to = Self { destination: key, event, last };
        }
        let looked = rows::all(connection, OF_DESTINATION, (key, to.event, to.last, LOOK), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        to.event = looked.last().map_or(to.last, |(event, _)| *event);
        Ok((to, looked.into_iter().filter_map(|(_, delivery)| delivery).collect()))
    }
}

const BOUNDS: &str = "SELECT d.first_id, coalesce((SELECT max(e.id) FROM event e INDEXED BY event_by_account
     WHERE e.account_key = d.account_key), 0) FROM destination d WHERE d.key = ?1";

const OF_DESTINATION: &str = "SELECT e.id, v.id FROM destination d
     CROSS JOIN event e INDEXED BY event_by_account ON e.account_key = d.account_key AND e.id > ?2 AND e.id <= ?3
     LEFT JOIN delivery v INDEXED BY delivery_by_event ON v.event_id = e.id AND v.destination_key = ?1
     WHERE d.key = ?1 ORDER BY e.id LIMIT ?4";

fn remove_delivery(batch: &mut Batch<'_>, delivery: i64) -> Result<()> {
    let state = "DELETE FROM delivery WHERE id = ?1 RETURNING state";
    let was_pending = batch.row(state, [delivery], |row| Ok(row.get::<_, i64>(0)? == DeliveryState::Pending.code()))?;
    batch.pending(-i64::from(was_pending == Some(true)));
    Ok(())
}

/// Some tallies of a deleted destination whose deliveries are gone, or itself.
fn remove_empty_destination(batch: &mut Batch<'_>, key: i64) -> Result<()> {
    let tallies = "DELETE FROM tally WHERE destination_key = ?1 AND start IN
        (SELECT start FROM tally WHERE destination_key = ?1 LIMIT ?2)";
    if batch.run(tallies, (key, ROWS))? == 0 {
        // The schema's trigger then looks for deliveries in no event.
        batch.run("UPDATE destination SET first_id = ?2 WHERE key = ?1", (key, i64::MAX))?;
        batch.run("DELETE FROM destination WHERE key = ?1", [key])?;
    }
    Ok(())
}

/// Some rows of a deleted account: its events with their deliveries, then its destinations, then itself.
fn remove_from_account(batch: &mut Batch<'_>, key: i64) -> Result<()> {
    let events = "SELECT id FROM event INDEXED BY event_by_account WHERE account_key = ?1 ORDER BY id LIMIT ?2";
    let events: Vec<i64> = rows::all(batch.connection(), events, (key, ROWS), |row| row.get(0))?;
    let mut room = ROWS;
    for event in &events {
        // An account may have 1,000 destinations.
        let some = "SELECT id FROM delivery WHERE event_id = ?1 LIMIT ?2";
        let some: Vec<i64> = rows::all(batch.connection(), some, (event, room), |row| row.get(0))?;
        room -= some.len();
        some.into_iter().try_for_each(|delivery| remove_delivery(batch, delivery))?;
        if room == 0 {
            return Ok(());
        }
        batch.run("DELETE FROM event WHERE id = ?1", [event])?;
        room -= 1;
    }
    if !events.is_empty() {
        return Ok(());
    }
    let destination = "SELECT key FROM destination WHERE account_key = ?1 LIMIT 1";
    match batch.row(destination, [key], |row| row.get::<_, i64>(0))? {
        Some(destination) => remove_empty_destination(batch, destination),
        None => batch.run("DELETE FROM account WHERE key = ?1", [key]).map(drop),
    }
}

fn retire_step(batch: &mut Batch<'_>, events: &[EventId], age: Age) -> Result<()> {
    for event in events {
        // Looked at again: a replay may have opened a delivery since.
        batch.run(RETIRE, (age.keyed_until.millis(), event.0))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
