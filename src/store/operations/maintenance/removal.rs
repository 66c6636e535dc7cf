//! Removes the rows of deleted accounts and destinations in the background. The accounts and destinations were hidden
//! before, in `accounts.rs` and `destinations.rs`.

use std::time::Duration;

use rusqlite::Connection;

use super::beside;
use super::pace::IDLE;
use crate::domain::delivery::DeliveryState;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::operations::rows;

/// Most rows that one write request deletes, not counting rows that cascade from them. Bounds how long callers wait.
pub const MAX_ROWS: usize = 50;

/// Most events that one turn reads to find a destination's deliveries.
pub const SCAN_ROWS: usize = 200;

/// Time between two turns while there is something to remove.
const PAUSE: Duration = Duration::from_millis(10);

/// How far the removal of one deleted destination's deliveries has come.
#[derive(Debug, Default, Clone, Copy)]
pub struct Removal {
    destination: i64,
    /// Events with ids above this one have not been read yet.
    event: i64,
    /// Id of the account's newest event when the removal began. Later events have no delivery for the destination, so
    /// the removal ends here.
    last: i64,
}

/// What a turn has to do.
enum Due {
    Nothing,
    Account(i64),
    /// Key of the destination, the position after these deliveries, and the deliveries to delete.
    Destination(i64, Removal, Vec<i64>),
}

impl Store {
    /// Runs one turn: deletes some rows of a deleted account or, if there is none, of a deleted destination. Returns
    /// the time until the next turn.
    ///
    /// # Errors
    /// Unavailable if the store cannot be read or written; a later turn tries again.
    pub async fn remove_deleted(&self, removal: &mut Removal) -> Result<Duration> {
        let from = *removal;
        match self.readers.read(move |connection| from.due(connection)).await? {
            Due::Nothing => return Ok(IDLE),
            Due::Account(key) => self.writer.submit_with_savepoint(move |tx| remove_from_account(tx, key)).await?,
            Due::Destination(key, to, deliveries) => {
                for some in deliveries.chunks(MAX_ROWS) {
                    let some = some.to_vec();
                    let pending = self.writer.submit_with_savepoint(move |tx| remove_deliveries(tx, some)).await?;
                    // Perhaps no other delivery of their events is pending now, so retention must look at these events
                    // again.
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

    /// Reads the next deliveries of the destination `key`. Returns the position after them, and the deliveries.
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

/// Where the removal of the destination `?1` begins and ends: its first possible id, and the account's newest event.
const BOUNDS: &str = "SELECT d.first_id, coalesce((SELECT max(e.id) FROM event e INDEXED BY event_by_account
     WHERE e.account_key = d.account_key), 0) FROM destination d WHERE d.key = ?1";

/// The account's next `?4` events after `?2` up to `?3`, each with its delivery for the destination `?1`, if it has
/// one.
pub const OF_DESTINATION: &str = "SELECT e.id, v.id FROM destination d
     CROSS JOIN event e INDEXED BY event_by_account ON e.account_key = d.account_key AND e.id > ?2 AND e.id <= ?3
     LEFT JOIN delivery v INDEXED BY delivery_by_event ON v.event_id = e.id AND v.destination_key = ?1
     WHERE d.key = ?1 ORDER BY e.id LIMIT ?4";

/// Deletes these deliveries. Returns those that were pending.
fn remove_deliveries(tx: &mut Transaction<'_>, deliveries: Vec<i64>) -> Result<Vec<i64>> {
    let mut pending = Vec::new();
    for delivery in deliveries {
        if remove_delivery(tx, delivery)? {
            pending.push(delivery);
        }
    }
    Ok(pending)
}

/// Deletes a delivery. Returns whether it was pending.
fn remove_delivery(tx: &mut Transaction<'_>, delivery: i64) -> Result<bool> {
    beside::remove(tx, delivery, delivery + 1)?;
    let state = "DELETE FROM delivery WHERE id = ?1 RETURNING state";
    let was_pending = tx.row(state, [delivery], |row| Ok(row.get::<_, i64>(0)? == DeliveryState::Pending.code()))?;
    let was_pending = was_pending == Some(true);
    tx.add_pending(-i64::from(was_pending));
    Ok(was_pending)
}

/// Deletes some tallies of a deleted destination that has no deliveries any more. If there are no tallies, deletes the
/// destination itself.
fn remove_empty_destination(tx: &mut Transaction<'_>, key: i64) -> Result<()> {
    let tallies = "DELETE FROM tally WHERE destination_key = ?1 AND start IN
        (SELECT start FROM tally WHERE destination_key = ?1 LIMIT ?2)";
    if tx.run(tallies, (key, MAX_ROWS))? == 0 {
        // Deleting the destination fires a trigger that looks for deliveries in events above `first_id`. No event has
        // an id above `i64::MAX`, so the trigger finds nothing to read.
        tx.run("UPDATE destination SET first_id = ?2 WHERE key = ?1", (key, i64::MAX))?;
        tx.run("DELETE FROM destination WHERE key = ?1", [key])?;
    }
    Ok(())
}

/// Deletes some rows of a deleted account: first its events with their deliveries, then its destinations, and last the
/// account.
fn remove_from_account(tx: &mut Transaction<'_>, key: i64) -> Result<()> {
    let events = "SELECT id FROM event INDEXED BY event_by_account WHERE account_key = ?1 ORDER BY id LIMIT ?2";
    let events: Vec<i64> = rows::all(tx.connection(), events, (key, MAX_ROWS), |row| row.get(0))?;
    let mut room = MAX_ROWS;
    for event in &events {
        // An event can have 1,000 deliveries, one for each destination of its account.
        let some = "SELECT id FROM delivery WHERE event_id = ?1 LIMIT ?2";
        let some: Vec<i64> = rows::all(tx.connection(), some, (event, room), |row| row.get(0))?;
        room -= some.len();
        remove_deliveries(tx, some)?;
        if room == 0 {
            return Ok(());
        }
        beside::remove(tx, *event, event + 1)?;
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
