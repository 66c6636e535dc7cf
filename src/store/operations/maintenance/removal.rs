//! Rows of deleted accounts and destinations, which are hidden already.

use std::time::Duration;

use rusqlite::Connection;

use super::pace::IDLE;
use crate::domain::delivery::DeliveryState;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::operations::rows;

/// Rows that one step deletes (and what cascades from them).
pub const MAX_ROWS: usize = 50;

/// Events that one turn looks at.
pub const SCAN_ROWS: usize = 200;

/// Between two turns while there is something to do.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the removal of a deleted destination's deliveries goes on.
#[derive(Debug, Default, Clone, Copy)]
pub struct Removal {
    destination: i64,
    /// Events behind this one are still to be looked at.
    event: i64,
    /// And none behind this one: those that came later do not go there.
    last: i64,
}

/// What there is to do.
enum Due {
    Nothing,
    Account(i64),
    /// The destination, how far its removal is after these deliveries, and they.
    Destination(i64, Removal, Vec<i64>),
}

impl Store {
    /// One turn of the removal of what was deleted: some rows of an account, or else of a destination. Gives the time until
    /// the next turn.
    ///
    /// # Errors
    /// Unavailable; it is done later.
    pub async fn remove_deleted(&self, removal: &mut Removal) -> Result<Duration> {
        let from = *removal;
        match self.readers.read(move |connection| from.due(connection)).await? {
            Due::Nothing => return Ok(IDLE),
            Due::Account(key) => self.writer.submit_with_savepoint(move |tx| remove_from_account(tx, key)).await?,
            Due::Destination(key, to, deliveries) => {
                for some in deliveries.chunks(MAX_ROWS) {
                    let some = some.to_vec();
                    let pending = self.writer.submit_with_savepoint(move |tx| remove_deliveries(tx, some)).await?;
                    // Nothing of their events may be pending any more.
                    self.memory.late.outcome_recorded(pending);
                }
                if to.event >= to.last {
                    self.writer.submit_with_savepoint(move |tx| remove_empty_destination(tx, key)).await?;
                }
                *removal = to;
            }
        }
        Ok(PAUSE)
    }
}

fn deleted(connection: &Connection, table: &str, index: &str) -> Result<Option<i64>> {
    let query = format!("SELECT key FROM {table} INDEXED BY {index} WHERE deleted_at IS NOT NULL ORDER BY key LIMIT 1");
    rows::first(connection, &query, [], |row| row.get(0))
}

impl Removal {
    fn due(self, connection: &Connection) -> Result<Due> {
        if let Some(key) = deleted(connection, "account", "account_deleted")? {
            return Ok(Due::Account(key));
        }
        Ok(match deleted(connection, "destination", "destination_deleted")? {
            Some(key) => {
                let (to, deliveries) = self.look(connection, key)?;
                Due::Destination(key, to, deliveries)
            }
            None => Due::Nothing,
        })
    }

    /// The next deliveries of the destination `key`, and how far the removal is then.
    fn look(self, connection: &Connection, key: i64) -> Result<(Self, Vec<i64>)> {
        let mut to = self;
        if self.destination != key {
            let bounds = rows::first(connection, BOUNDS, [key], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (event, last) = bounds.unwrap_or_default();
            to = Self { destination: key, event, last };
        }
        let looked = rows::all(connection, OF_DESTINATION, (key, to.event, to.last, SCAN_ROWS), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        to.event = looked.last().map_or(to.last, |(event, _)| *event);
        Ok((to, looked.into_iter().filter_map(|(_, delivery)| delivery).collect()))
    }
}

const BOUNDS: &str = "SELECT d.first_id, coalesce((SELECT max(e.id) FROM event e INDEXED BY event_by_account
     WHERE e.account_key = d.account_key), 0) FROM destination d WHERE d.key = ?1";

pub const OF_DESTINATION: &str = "SELECT e.id, v.id FROM destination d
     CROSS JOIN event e INDEXED BY event_by_account ON e.account_key = d.account_key AND e.id > ?2 AND e.id <= ?3
     LEFT JOIN delivery v INDEXED BY delivery_by_event ON v.event_id = e.id AND v.destination_key = ?1
     WHERE d.key = ?1 ORDER BY e.id LIMIT ?4";

/// Gives those that were pending.
fn remove_deliveries(tx: &mut Transaction<'_>, deliveries: Vec<i64>) -> Result<Vec<i64>> {
    let mut pending = Vec::new();
    for delivery in deliveries {
        if remove_delivery(tx, delivery)? {
            pending.push(delivery);
        }
    }
    Ok(pending)
}

/// Gives whether it was pending.
fn remove_delivery(tx: &mut Transaction<'_>, delivery: i64) -> Result<bool> {
    let state = "DELETE FROM delivery WHERE id = ?1 RETURNING state";
    let was_pending = tx.row(state, [delivery], |row| Ok(row.get::<_, i64>(0)? == DeliveryState::Pending.code()))?;
    let was_pending = was_pending == Some(true);
    tx.add_pending(-i64::from(was_pending));
    Ok(was_pending)
}

/// Some tallies of a deleted destination whose deliveries are gone, or itself.
fn remove_empty_destination(tx: &mut Transaction<'_>, key: i64) -> Result<()> {
    let tallies = "DELETE FROM tally WHERE destination_key = ?1 AND start IN
        (SELECT start FROM tally WHERE destination_key = ?1 LIMIT ?2)";
    if tx.run(tallies, (key, MAX_ROWS))? == 0 {
        // The schema's trigger then looks for deliveries in no event.
        tx.run("UPDATE destination SET first_id = ?2 WHERE key = ?1", (key, i64::MAX))?;
        tx.run("DELETE FROM destination WHERE key = ?1", [key])?;
    }
    Ok(())
}

/// Some rows of a deleted account: its events with their deliveries, then its destinations, then itself.
fn remove_from_account(tx: &mut Transaction<'_>, key: i64) -> Result<()> {
    let events = "SELECT id FROM event INDEXED BY event_by_account WHERE account_key = ?1 ORDER BY id LIMIT ?2";
    let events: Vec<i64> = rows::all(tx.connection(), events, (key, MAX_ROWS), |row| row.get(0))?;
    let mut room = MAX_ROWS;
    for event in &events {
        // An account may have 1,000 destinations.
        let some = "SELECT id FROM delivery WHERE event_id = ?1 LIMIT ?2";
        let some: Vec<i64> = rows::all(tx.connection(), some, (event, room), |row| row.get(0))?;
        room -= some.len();
        remove_deliveries(tx, some)?;
        if room == 0 {
            return Ok(());
        }
        tx.run("DELETE FROM event WHERE id = ?1", [event])?;
        room -= 1;
    }
    if !events.is_empty() {
        return Ok(());
    }
    let destination = "SELECT key FROM destination WHERE account_key = ?1 LIMIT 1";
    match tx.row(destination, [key], |row| row.get::<_, i64>(0))? {
        Some(destination) => remove_empty_destination(tx, destination),
        None => tx.run("DELETE FROM account WHERE key = ?1", [key]).map(drop),
    }
}
