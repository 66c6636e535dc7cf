//! Reads events, and waits for the first attempts of their deliveries. Accepting events is in `accept.rs`.

use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use tokio::sync::oneshot;

use super::delivery_walk::MAX_WALK_ROWS;
use super::{accounts, reach, rows};
use crate::domain::account::Account;
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DeliveryId, DestinationKey, EventId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, Result};
use crate::store::error::sql;
use crate::store::handle::{ScopedStore, Store};
use crate::store::memory::Memory;
use crate::store::memory::first_attempts::Wait;

/// Deliveries after which a page of events ends. An account may have 1,000 destinations, so the last event can bring
/// the page to 2,999.
pub const MAX_LISTED_DELIVERIES: usize = 2_000;

impl Store {
    /// Resolves when every delivery of an event has had its first attempt. Deliveries of paused destinations are not
    /// waited for. Reads the file, so that duplicates can be waited for too, and does not use the write thread.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn first_attempts(&self, event: EventId) -> Result<oneshot::Receiver<()>> {
        let memory = Arc::clone(&self.memory);
        let unattempted = move |connection: &Connection| {
            let mut found = rows::all(connection, UNATTEMPTED, [event.0], |row| {
                Ok((DeliveryId(row.get(0)?), DestinationKey(row.get(1)?)))
            })?;
            found.retain(|(_, destination)| !memory.unreadable.contains(*destination));
            Ok(found)
        };
        let deliveries = self.readers.read(unattempted.clone()).await?;
        let (done, first_attempts) = oneshot::channel();
        let key = self.memory.first_attempts.wait(Wait { event, deliveries, done });
        // An outcome that was recorded after the first read and before the wait existed did not reach the wait. So the
        // file is read a second time.
        let left = self.readers.read(unattempted).await?;
        self.memory.first_attempts.keep_only(key, &left.into_iter().map(|(delivery, _)| delivery).collect());
        Ok(first_attempts)
    }
}

impl ScopedStore {
    /// Returns a page of an account's events, newest first; with `event_type` only those of this type. The page can have
    /// fewer items than its limit and still have a cursor.
    ///
    /// # Errors
    /// Not found if the account does not exist.
    pub async fn events(
        &self,
        account: AccountId,
        event_type: Option<EventType>,
        page: PageRequest,
    ) -> Result<Page<Event>> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read_yielding(move |connection| {
                let account = accounts::require(connection, &scope, &account)?;
                // Along the events of a type, a cursor would be the id of another account's event.
                let along_type = event_type.as_ref().filter(|_| scope.account().is_none());
                list(connection, &account, (event_type.as_ref(), along_type), page, &memory)
            })
            .await
    }

    /// Returns one event with its document.
    ///
    /// # Errors
    /// Not found.
    pub async fn event(&self, id: EventId) -> Result<(Event, Vec<u8>)> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read(move |connection| {
                reach::event(connection, &scope, id)?;
                let found = rows::first(
                    connection,
                    "SELECT e.id, e.received_at, length(e.payload), t.name, a.account_id, e.payload FROM event e
                     JOIN account a ON a.key = e.account_key AND a.deleted_at IS NULL
                     LEFT JOIN event_type t ON t.event_id = e.id WHERE e.id = ?1",
                    [id.0],
                    |row| Ok((event(row, AccountId::from_stored(row.get(4)?))?, row.get(5)?)),
                )?;
                let (mut event, payload) = found.ok_or_else(|| Error::not_found("event"))?;
                event.deliveries = deliveries_of(connection, id, &memory)?;
                Ok((event, payload))
            })
            .await
    }
}

impl Store {
    /// Returns the deliveries of an event as they are now. An unknown event has none.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn event_deliveries(&self, id: EventId) -> Result<Vec<Delivery>> {
        let memory = Arc::clone(&self.memory);
        self.readers.read(move |connection| deliveries_of(connection, id, &memory)).await
    }
}

/// Reads an event without its deliveries from the columns `id, received_at, length(payload)` and its type.
fn event(row: &Row<'_>, account_id: AccountId) -> rusqlite::Result<Event> {
    Ok(Event {
        id: EventId(row.get(0)?),
        account_id,
        event_type: rows::event_type(row, 3)?,
        received_at: rows::time(row, 1)?,
        payload_bytes: row.get(2)?,
        deliveries: Vec::new(),
    })
}

/// The walks over an account's events, newest first. `?1` is the account, `?2` the upper bound of the id (exclusive).
/// For each the ids alone, which an index has, and the rows with the columns of [`event`] and their account.
const BY_ACCOUNT: [&str; 2] = [
    "SELECT id FROM event INDEXED BY event_by_account WHERE account_key = ?1 AND id < ?2 ORDER BY id DESC",
    "SELECT e.id, e.received_at, length(e.payload), t.name, e.account_key FROM event e INDEXED BY event_by_account
     LEFT JOIN event_type t ON t.event_id = e.id WHERE e.account_key = ?1 AND e.id < ?2 ORDER BY e.id DESC",
];

/// The same along the events of one type, `?1`, of all accounts.
const BY_TYPE: [&str; 2] = [
    "SELECT event_id FROM event_type INDEXED BY event_type_by_name WHERE name = ?1 AND event_id < ?2
     ORDER BY event_id DESC",
    "SELECT e.id, e.received_at, length(e.payload), t.name, e.account_key
     FROM event_type t INDEXED BY event_type_by_name CROSS JOIN event e ON e.id = t.event_id
     WHERE t.name = ?1 AND t.event_id < ?2 ORDER BY t.event_id DESC",
];

/// Lists events of the first type. With the second, goes along the index whose next rows reach further back, so that a
/// page is full if events of the account or events of the type are rare.
fn list(
    connection: &Connection,
    account: &Account,
    (event_type, along_type): (Option<&EventType>, Option<&EventType>),
    page: PageRequest,
    memory: &Memory,
) -> Result<Page<Event>> {
    let before = page.cursor.map_or(i64::MAX, |cursor| cursor.0);
    let by_account = Value::from(account.key.0);
    let (lead, query) = match along_type {
        None => (by_account, BY_ACCOUNT[1]),
        Some(event_type) => {
            let by_type = Value::from(event_type.as_str().to_owned());
            let reach = |ids: &str, lead: &Value| {
                let query = format!("{ids} LIMIT 1 OFFSET ?3");
                rows::first(connection, &query, (lead, before, MAX_WALK_ROWS), |row| row.get::<_, i64>(0))
            };
            // `None` is the end of the walk, and so lower than every id.
            if reach(BY_TYPE[0], &by_type)? <= reach(BY_ACCOUNT[0], &by_account)? {
                (by_type, BY_TYPE[1])
            } else {
                (by_account, BY_ACCOUNT[1])
            }
        }
    };
    let mut prepared = connection.prepare_cached(query).map_err(sql)?;
    let mut found = prepared.query((lead, before)).map_err(sql)?;
    let (mut items, mut carried, mut walked, mut last) = (Vec::<Event>::new(), 0, 0, None);
    while let Some(row) = found.next().map_err(sql)? {
        let is_full = items.len() == usize::from(page.limit) || (carried >= MAX_LISTED_DELIVERIES && !items.is_empty());
        if is_full || walked == MAX_WALK_ROWS {
            return Ok(Page { items, next: last.map(Cursor) });
        }
        walked += 1;
        last = Some(row.get(0).map_err(sql)?);
        let mut event = event(row, account.id.clone()).map_err(sql)?;
        let is_of_account = row.get::<_, i64>(4).map_err(sql)? == account.key.0;
        if !is_of_account || event_type.is_some_and(|wanted| event.event_type.as_ref() != Some(wanted)) {
            continue;
        }
        event.deliveries = deliveries_of(connection, event.id, memory)?;
        carried += event.deliveries.len();
        items.push(event);
    }
    Ok(Page { items, next: None })
}

/// Returns an event's deliveries in the order in which they were created, which is that of their destinations' keys.
pub fn deliveries_of(connection: &Connection, event: EventId, memory: &Memory) -> Result<Vec<Delivery>> {
    let query = format!(
        "SELECT {} FROM {} WHERE v.event_id = ?1 ORDER BY v.destination_key",
        rows::DELIVERY,
        rows::DELIVERY_TABLES
    );
    rows::all(connection, &query, [event.0], |row| rows::delivery(row, memory))
}

/// Pending deliveries of the event `?1` without any attempt, whose destination is neither deleted nor paused.
const UNATTEMPTED: &str =
    "SELECT v.id, v.destination_key FROM delivery v JOIN destination d ON d.key = v.destination_key
     WHERE v.event_id = ?1 AND v.state = 0 AND v.attempt_count = 0 AND d.deleted_at IS NULL AND d.paused_reason IS NULL
     ORDER BY v.id";
