//! Walks over the deliveries that match a filter, newest first. One index leads; all other conditions are checked row
//! by row. The number of rows is bounded, so a walk costs the same whatever the file holds. What is done with the
//! deliveries belongs to the callers.

pub mod filter;
mod lead;

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::rows;
use crate::domain::delivery::DeliveryState;
use crate::domain::ids::{DeliveryId, DestinationKey, sequence_id};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::error::sql;
use filter::Wanted;
use lead::Walk;

pub use filter::{DeliveryFilter, resolve};
pub use lead::MAX_WALK_ROWS;

/// How far the time in a delivery's id may be ahead of its event's receipt, except for events in `event_out_of_order`:
/// a minute for the event, and more than enough for the ids between the two.
const MAX_AHEAD: Duration = Duration::from_secs(61);

/// Which deliveries that match the filter a walk gives to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Any,
    /// Those that are not pending.
    Settled,
    /// Those with an attempt.
    Attempted,
}

/// A delivery that matches, with the columns that every walk reads anyway.
pub struct Found {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Destination of the delivery.
    pub destination: DestinationKey,
    /// How long its first attempt took, if that attempt is kept in the delivery's row.
    pub first_duration: Option<Duration>,
}

/// Reads at most `max_rows` rows of the leading index, from the id `before` (exclusive) down. Gives each delivery that
/// matches to `take`, until that has enough. Returns where the next walk continues, or `None` if no row is left.
///
/// Deliveries of deleted accounts and destinations do not match, though their rows may be there still.
pub fn walk(
    connection: &Connection,
    wanted: &Wanted,
    only: Only,
    before: i64,
    max_rows: usize,
    take: impl FnMut(Found) -> Result<ControlFlow<()>>,
) -> Result<Option<Cursor>> {
    let before = before.min(ceiling(connection, wanted)?);
    let ids = floor(wanted)..before;
    let way = lead::choose(connection, wanted, &ids)?;
    along(connection, wanted, only, &way, (ids, max_rows), take)
}

/// No delivery that matches has a lower id, whichever index leads.
fn floor(wanted: &Wanted) -> i64 {
    // The time in an id is never before the receipt of its event, so lower ids cannot match `since`.
    let since = wanted.since.map_or(0, sequence_id);
    since.max(wanted.destination.as_ref().map_or(0, |to| to.first_id))
}

/// An id above those of all deliveries that match `until`. So a walk need not pass everything that came later.
fn ceiling(connection: &Connection, wanted: &Wanted) -> Result<i64> {
    let Some(until) = wanted.until else { return Ok(i64::MAX) };
    Ok(if ran_ahead(connection, until)? { i64::MAX } else { sequence_id(until.plus(MAX_AHEAD)) })
}

/// Whether there is an event from before `time` whose id ran ahead of its receipt by more than a minute, since the clock
/// was set back.
fn ran_ahead(connection: &Connection, time: Timestamp) -> Result<bool> {
    let query = "SELECT 1 FROM event INDEXED BY event_out_of_order
         WHERE received_at < (id >> 21) - 60000 AND received_at < ?1 LIMIT 1";
    Ok(rows::first(connection, query, [time.millis()], |_| Ok(()))?.is_some())
}

/// Walks along the index that leads.
fn along(
    connection: &Connection,
    wanted: &Wanted,
    only: Only,
    way: &Walk,
    (ids, max_rows): (Range<i64>, usize),
    mut take: impl FnMut(Found) -> Result<ControlFlow<()>>,
) -> Result<Option<Cursor>> {
    let mut checks = Checks::new(connection, wanted)?;
    let mut walk = connection.prepare_cached(&way.query).map_err(sql)?;
    let params = [ids.end, ids.start].map(Value::from).into_iter().chain(way.lead.iter().cloned());
    let mut found = walk.query(params_from_iter(params)).map_err(sql)?;
    let (mut walked, mut last, mut has_enough) = (0, None, false);
    while let Some(row) = found.next().map_err(sql)? {
        if has_enough || walked == max_rows {
            return Ok(last.map(Cursor));
        }
        walked += 1;
        let id: i64 = row.get(0).map_err(sql)?;
        last = Some(id);
        let Some(destination) = fits(wanted, only, row).map_err(sql)? else { continue };
        let event = row.get(1).map_err(sql)?;
        if !checks.is_of_account(destination)? || !checks.is_of_type(event)? || !checks.is_in_time(id, event)? {
            continue;
        }
        let first_duration = row.get::<_, Option<u64>>(6).map_err(sql)?.map(Duration::from_millis);
        has_enough = take(Found { id: DeliveryId(id), destination, first_duration })?.is_break();
    }
    Ok(None)
}

/// Returns the destination of a row that meets the conditions that its own columns can decide, otherwise `None`.
fn fits(wanted: &Wanted, only: Only, row: &Row<'_>) -> rusqlite::Result<Option<DestinationKey>> {
    // NULL for an event without a delivery for the destination.
    let Some(destination) = row.get::<_, Option<i64>>(2)? else { return Ok(None) };
    let state: i64 = row.get(3)?;
    let fits = wanted.event.is_none_or(|event| row.get(1) == Ok(event))
        && wanted.destination.as_ref().is_none_or(|to| to.key == destination)
        && wanted.state.is_none_or(|one| one == state)
        && wanted.status.is_none_or(|status| row.get(4) == Ok(Some(status)))
        && match only {
            Only::Any => true,
            Only::Settled => state != DeliveryState::Pending.code(),
            Only::Attempted => row.get::<_, i64>(5)? > 0,
        };
    Ok(fits.then_some(DestinationKey(destination)))
}

/// The conditions that need more than the row of the delivery.
struct Checks<'a> {
    connection: &'a Connection,
    wanted: &'a Wanted,
    /// The account of each destination that the walk has met; `None` if the destination is deleted.
    accounts: HashMap<DestinationKey, Option<i64>>,
    /// Deliveries from this id on match `since`, so that most of the newest need no look at their events.
    since_id: i64,
}

impl<'a> Checks<'a> {
    fn new(connection: &'a Connection, wanted: &'a Wanted) -> Result<Self> {
        let since_id = match wanted.since {
            None => 0,
            Some(since) if ran_ahead(connection, since)? => i64::MAX,
            Some(since) => sequence_id(since.plus(MAX_AHEAD)),
        };
        Ok(Self { connection, wanted, accounts: HashMap::new(), since_id })
    }

    /// Whether the destination is not deleted, and belongs to the account of the filter.
    fn is_of_account(&mut self, destination: DestinationKey) -> Result<bool> {
        let account = match self.accounts.get(&destination) {
            Some(account) => *account,
            None => {
                let query = "SELECT a.key FROM destination d JOIN account a ON a.key = d.account_key
                     WHERE d.key = ?1 AND d.deleted_at IS NULL AND a.deleted_at IS NULL";
                let account = rows::first(self.connection, query, [destination.0], |row| row.get(0))?;
                self.accounts.insert(destination, account);
                account
            }
        };
        Ok(account.is_some_and(|account| self.wanted.account.is_none_or(|wanted| wanted == account)))
    }

    /// Whether the event has the type of the filter.
    fn is_of_type(&self, event: i64) -> Result<bool> {
        let Some(wanted) = &self.wanted.event_type else { return Ok(true) };
        let query = "SELECT name = ?2 FROM event_type WHERE event_id = ?1";
        Ok(rows::first(self.connection, query, (event, wanted.as_str()), |row| row.get(0))? == Some(true))
    }

    /// Whether the event was received within the filter's times.
    fn is_in_time(&self, id: i64, event: i64) -> Result<bool> {
        let Wanted { since, until, .. } = self.wanted;
        if id >= self.since_id && until.is_none_or(|until| id < sequence_id(until)) {
            return Ok(true);
        }
        let query = "SELECT received_at FROM event WHERE id = ?1";
        let received = rows::first(self.connection, query, [event], |row| rows::time(row, 0))?;
        Ok(received.is_some_and(|received| {
            since.is_none_or(|since| received >= since) && until.is_none_or(|until| received < until)
        }))
    }
}

#[cfg(test)]
mod tests;
