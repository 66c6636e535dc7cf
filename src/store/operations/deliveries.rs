//! Deliveries: lists with filters, one delivery with its attempts, and cancelling. Sending again belongs in
//! `replay.rs`.
//!
//! A list is newest first and is served from few indexes. One index leads; all other conditions are checked row by row.
//! The number of rows is bounded, so a page costs the same whatever the file holds. A page that reaches this bound has
//! a cursor and fewer items.

use rusqlite::{Connection, params_from_iter};

use super::{accounts, attempts, destinations, rows};
use crate::domain::delivery::{Delivery, DeliveryState, LoggedAttempt};
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId, sequence_id};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::error::sql;
use crate::store::handle::Store;
use crate::store::memory::Memory;

/// Most rows of the leading index that one page reads. Bounds the time of a page whose filter matches few rows.
const MAX_WALK_ROWS: usize = 20_000;

/// Which deliveries a list has. All conditions must be true.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Deliveries of this account.
    pub account_id: Option<AccountId>,
    /// Deliveries for this destination.
    pub destination_id: Option<DestinationId>,
    /// Deliveries of this event.
    pub event_id: Option<EventId>,
    /// Deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Deliveries whose last attempt was answered with this status.
    pub status_code: Option<u16>,
    /// Deliveries whose event was received at this time or later.
    pub since: Option<Timestamp>,
    /// Deliveries whose event was received before this time.
    pub until: Option<Timestamp>,
}

/// The conditions of a filter that the leading index or its rows can decide, with keys in place of public ids.
struct Wanted {
    account: Option<i64>,
    destination: Option<ToDestination>,
    event: Option<i64>,
    state: Option<i64>,
    status: Option<u16>,
}

/// The destination of a filter. The deliveries for a destination belong to events of its account with ids above
/// `first_id`.
struct ToDestination {
    key: i64,
    account: i64,
    first_id: i64,
}

/// A walk over the leading index, newest first. Each row has the id and the columns that [`Wanted::fits`] needs.
struct Walk {
    /// SQL. `?1` is the upper bound of the id (exclusive), `?2` the lower bound (inclusive); from `?3` on come the
    /// values of `lead`.
    query: String,
    lead: Vec<i64>,
    /// No delivery that matches has a lower id.
    from: i64,
}

impl Store {
    /// Returns a page of deliveries, newest first. The page can have fewer items than its limit and still have a
    /// cursor. An unknown account, destination or event has no deliveries.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<Delivery>> {
        let memory = std::sync::Arc::clone(&self.memory);
        self.readers
            .read_yielding(move |connection| match resolve(connection, &filter)? {
                Some(wanted) => list(connection, &filter, &wanted, page, &memory),
                None => Ok(Page { items: Vec::new(), next: None }),
            })
            .await
    }

    /// Returns one delivery with its attempts, oldest attempt first.
    ///
    /// # Errors
    /// Not found.
    pub async fn delivery(&self, id: DeliveryId) -> Result<(Delivery, Vec<LoggedAttempt>)> {
        let memory = std::sync::Arc::clone(&self.memory);
        self.readers
            .read(move |connection| {
                let delivery = require(connection, id, &memory)?;
                Ok((delivery, attempts::of(connection, id)?))
            })
            .await
    }

    /// Cancels a pending delivery.
    ///
    /// # Errors
    /// Not found; conflict if the delivery is not pending.
    pub async fn cancel_delivery(&self, id: DeliveryId) -> Result<Delivery> {
        let memory = std::sync::Arc::clone(&self.memory);
        self.writer
            .submit_with_savepoint(move |tx| {
                let delivery = require(tx.connection(), id, &memory)?;
                if delivery.state != DeliveryState::Pending {
                    return Err(Error::new(
                        Kind::Conflict,
                        "not_pending",
                        format!("The delivery is {}; only a pending one can be cancelled.", delivery.state),
                    ));
                }
                let destination = destinations::require(tx.connection(), &delivery.destination_id)?.key;
                tx.run("UPDATE delivery SET state = 3, next_attempt_at = 0 WHERE id = ?1", [id.0])?;
                tx.add_pending(-1);
                tx.publish(Change::Cancelled { destination, delivery: id });
                require(tx.connection(), id, &memory)
            })
            .await
    }
}

/// Returns a delivery whose account and destination are not deleted, or the error "not found".
pub fn require(connection: &Connection, id: DeliveryId, memory: &Memory) -> Result<Delivery> {
    let query = format!("SELECT {} FROM {} WHERE v.id = ?1", rows::DELIVERY, rows::DELIVERY_TABLES);
    rows::first(connection, &query, [id.0], |row| rows::delivery(row, memory))?
        .ok_or_else(|| Error::not_found("delivery"))
}

/// Replaces public ids by keys. `None` if the account or destination does not exist, so that no delivery can match.
fn resolve(connection: &Connection, filter: &DeliveryFilter) -> Result<Option<Wanted>> {
    let found = |result: Result<i64>| match result {
        Ok(key) => Ok(Some(key)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let mut wanted = Wanted {
        account: None,
        destination: None,
        event: filter.event_id.map(|id| id.0),
        state: filter.state.map(DeliveryState::code),
        status: filter.status_code,
    };
    if let Some(id) = &filter.account_id {
        wanted.account = found(accounts::require(connection, id).map(|account| account.key.0))?;
        if wanted.account.is_none() {
            return Ok(None);
        }
    }
    if let Some(id) = &filter.destination_id {
        let query =
            "SELECT key, account_key, first_id FROM destination WHERE destination_id = ?1 AND deleted_at IS NULL";
        wanted.destination = rows::first(connection, query, [id.as_str()], |row| {
            Ok(ToDestination { key: row.get(0)?, account: row.get(1)?, first_id: row.get(2)? })
        })?;
        if wanted.destination.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(wanted))
}

impl Wanted {
    fn walk(&self) -> Walk {
        let by = |query: String, lead: Option<i64>| Walk { query, lead: lead.into_iter().collect(), from: 0 };
        let from_delivery = |index: &str, condition: &str| {
            format!(
                "SELECT v.id, v.event_id, v.destination_key, v.state, v.status_code FROM delivery v {index}
                 WHERE {condition} v.id < ?1 AND v.id >= ?2 ORDER BY v.id DESC"
            )
        };
        // An event's deliveries have ids in the order of their destinations' keys, so this order is that of the ids.
        if let Some(event) = self.event {
            let query = "SELECT v.id, v.event_id, v.destination_key, v.state, v.status_code
                 FROM delivery v INDEXED BY delivery_by_event
                 WHERE v.event_id = ?3 AND v.id < ?1 AND v.id >= ?2 ORDER BY v.destination_key DESC";
            return by(query.to_owned(), Some(event));
        }
        if let Some(destination) = &self.destination {
            // Nearly every event of the account has a delivery for the destination. The left join also returns events
            // without one: they count as rows read, so the walk stays bounded.
            let query = "SELECT coalesce(v.id, e.id), e.id, v.destination_key, v.state, v.status_code
                 FROM event e INDEXED BY event_by_account LEFT JOIN delivery v INDEXED BY delivery_by_event
                 ON v.event_id = e.id AND v.destination_key = ?4 AND v.id < ?1
                 WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 ORDER BY e.id DESC";
            let lead = vec![destination.account, destination.key];
            return Walk { query: query.to_owned(), lead, from: destination.first_id };
        }
        if let Some(status) = self.status.filter(|status| !(200..=299).contains(status)) {
            let condition = "v.status_code = ?3 AND v.status_code NOT BETWEEN 200 AND 299 AND";
            return by(from_delivery("INDEXED BY delivery_by_status", condition), Some(i64::from(status)));
        }
        if let Some(account) = self.account {
            // A delivery's id lies between its event's id and the next event's id, so this order is that of the ids.
            let query = "SELECT v.id, v.event_id, v.destination_key, v.state, v.status_code
                 FROM event e INDEXED BY event_by_account CROSS JOIN delivery v INDEXED BY delivery_by_event
                 ON v.event_id = e.id WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 AND v.id < ?1
                 ORDER BY e.id DESC, v.destination_key DESC";
            return by(query.to_owned(), Some(account));
        }
        match self.state {
            Some(state) if state != DeliveryState::Succeeded.code() => {
                let condition = "v.state = ?3 AND v.state <> 1 AND";
                by(from_delivery("INDEXED BY delivery_unsettled", condition), Some(state))
            }
            _ => by(from_delivery("NOT INDEXED", ""), None),
        }
    }
}

fn list(
    connection: &Connection,
    filter: &DeliveryFilter,
    wanted: &Wanted,
    page: PageRequest,
    memory: &Memory,
) -> Result<Page<Delivery>> {
    let query = format!("SELECT {} FROM {} WHERE v.id = ?1", rows::DELIVERY, rows::DELIVERY_TABLES);
    let mut one = connection.prepare_cached(&query).map_err(sql)?;
    let mut received = connection.prepare_cached("SELECT received_at FROM event WHERE id = ?1").map_err(sql)?;
    let way = wanted.walk();
    let mut walk = connection.prepare_cached(&way.query).map_err(sql)?;
    let before = page.cursor.map_or(i64::MAX, |cursor| cursor.0);
    // The time in an id is never before the receipt of its event, so lower ids cannot match `since`.
    let from = filter.since.map_or(0, sequence_id).max(way.from);
    let params = [before, from].into_iter().chain(way.lead);
    let mut found = walk.query(params_from_iter(params)).map_err(sql)?;
    let mut items: Vec<Delivery> = Vec::new();
    let mut walked = 0;
    let mut last = None;
    while let Some(row) = found.next().map_err(sql)? {
        if items.len() == usize::from(page.limit) || walked == MAX_WALK_ROWS {
            return Ok(Page { items, next: last.map(Cursor) });
        }
        walked += 1;
        let id: i64 = row.get(0).map_err(sql)?;
        last = Some(id);
        // Checks `until` before the whole delivery is read, since that read joins four tables. A walk may pass many
        // events that were received too late.
        let young = |until: Timestamp| -> rusqlite::Result<bool> {
            Ok(id >= sequence_id(until)
                && received.query_row([row.get::<_, i64>(1)?], |row| rows::time(row, 0))? >= until)
        };
        if !wanted.fits(row).map_err(sql)? || filter.until.map(young).transpose().map_err(sql)? == Some(true) {
            continue;
        }
        let mut rows_of = one.query([id]).map_err(sql)?;
        // No row if the destination or account is deleted, and removal has not reached this delivery yet.
        let Some(row) = rows_of.next().map_err(sql)? else { continue };
        let delivery = rows::delivery(row, memory).map_err(sql)?;
        if filter.account_id.as_ref().is_none_or(|account| *account == delivery.account_id)
            && filter.since.is_none_or(|since| delivery.created_at >= since)
        {
            items.push(delivery);
        }
    }
    Ok(Page { items, next: None })
}

impl Wanted {
    /// Whether a row of the walk meets the conditions that its own columns can decide.
    fn fits(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
        Ok(self.event.is_none_or(|event| row.get(1) == Ok(event))
            && self.destination.as_ref().is_none_or(|destination| row.get(2) == Ok(Some(destination.key)))
            && self.state.is_none_or(|state| row.get(3) == Ok(state))
            && self.status.is_none_or(|status| row.get(4) == Ok(Some(status))))
    }
}

#[cfg(test)]
mod tests;
