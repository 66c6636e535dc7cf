//! Events: accepts them with their deliveries, and reads them. What follows an attempt is in `outcomes.rs`.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{accounts, rows};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::event::{Event, IdempotencyKey, IncomingEvent, keys_over};
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, DestinationKey, EventId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::{Change, NewEvent};
use crate::store::commit::transaction::Transaction;
use crate::store::error::disk_low;
use crate::store::handle::Store;
use crate::store::memory::Memory;
use crate::store::memory::destination_cache::{AccountDestinations, CachedDestination};
use crate::store::memory::first_attempts::Wait;

/// Deliveries after which a page of events ends. An account may have 1,000 destinations, so the last event can bring
/// the page to 2,999.
pub const MAX_LISTED_DELIVERIES: usize = 2_000;

/// What became of an event that was sent in.
#[derive(Debug)]
pub struct AcceptedEvent {
    /// The event's id; for a duplicate, the id of the first event.
    pub event_id: EventId,
    /// The account that the event belongs to.
    pub account_id: AccountId,
    /// When the event was received; for a duplicate, when the first event was received.
    pub received_at: Timestamp,
    /// Whether the event repeats an earlier one with the same `Idempotency-Key`.
    pub duplicate: bool,
    /// The deliveries that were created. `None` for a duplicate: read its deliveries with [`Store::event_deliveries`].
    pub made: Option<MadeDeliveries>,
    /// Resolves when every delivery has had its first attempt or no longer needs one, such as after a pause. `None` if
    /// the caller did not ask to wait, and for a duplicate: see [`Store::first_attempts`].
    pub first_attempts: Option<oneshot::Receiver<()>>,
}

/// Deliveries that were just created: one for each destination of the account, all pending. The size of this value does
/// not depend on their number, since the answer may have to wait for memory.
#[derive(Debug)]
pub struct MadeDeliveries {
    event: EventId,
    first: i64,
    targets: Arc<AccountDestinations>,
    at: Timestamp,
}

impl MadeDeliveries {
    /// How many deliveries there are.
    pub fn count(&self) -> usize {
        self.targets.all.len()
    }

    /// Each delivery as a later read would return it.
    pub fn iter(&self) -> impl Iterator<Item = Delivery> {
        self.targets.all.iter().zip(self.first..).map(|(target, number)| Delivery {
            id: DeliveryId(number),
            event_id: self.event,
            destination_id: target.id.clone(),
            account_id: self.targets.account.clone(),
            state: DeliveryState::Pending,
            attempt_count: 0,
            status_code: None,
            error: None,
            next_attempt_at: Some(self.at),
            created_at: self.at,
            last_attempt_at: None,
        })
    }
}

impl Store {
    /// Accepts an event. On return the event and its deliveries are on disk. With `wait` the answer has a receiver for
    /// the first attempts.
    ///
    /// # Errors
    /// Not found if the account is deleted. Invalid with code `idempotency_key_reused`. Unavailable if the storage
    /// cannot accept the event; then nothing of it is kept.
    pub fn accept_event(
        &self,
        event: IncomingEvent,
        wait: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<AcceptedEvent>> + Send + use<> {
        let bytes = event.payload.len();
        self.writer.submit_payload(bytes, move |tx| insert_event(tx, event, wait, now))
    }

    /// Resolves when every delivery of an event has had its first attempt. Deliveries of paused destinations are not
    /// waited for. Reads the file, so that duplicates can be waited for too, and does not use the write thread.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn first_attempts(&self, event: EventId) -> Result<oneshot::Receiver<()>> {
        let unattempted = move |connection: &Connection| {
            rows::all(connection, UNATTEMPTED, [event.0], |row| {
                Ok((DeliveryId(row.get(0)?), DestinationKey(row.get(1)?)))
            })
        };
        let deliveries = self.readers.read(unattempted).await?;
        let (done, first_attempts) = oneshot::channel();
        let key = self.memory.first_attempts.wait(Wait { event, deliveries, done });
        // An outcome that was recorded after the first read and before the wait existed did not reach the wait. So the
        // file is read a second time.
        let left = self.readers.read(unattempted).await?;
        self.memory.first_attempts.keep_only(key, &left.into_iter().map(|(delivery, _)| delivery).collect());
        Ok(first_attempts)
    }

    /// Returns a page of an account's events, newest first.
    ///
    /// # Errors
    /// Not found if the account does not exist.
    pub async fn events(&self, account: AccountId, page: PageRequest) -> Result<Page<Event>> {
        let memory = Arc::clone(&self.memory);
        self.readers
            .read_yielding(move |connection| {
                let account = accounts::require(connection, &account)?;
                let mut prepared = connection
                    .prepare_cached(
                        "SELECT id, received_at, length(payload) FROM event WHERE account_key = ?1 AND id < ?2
                         ORDER BY id DESC LIMIT ?3",
                    )
                    .map_err(crate::store::error::sql)?;
                let before = page.cursor.map_or(i64::MAX, |cursor| cursor.0);
                let mut rows =
                    prepared.query((account.key.0, before, page.limit + 1)).map_err(crate::store::error::sql)?;
                let mut items: Vec<Event> = Vec::new();
                let mut carried = 0;
                while let Some(row) = rows.next().map_err(crate::store::error::sql)? {
                    if items.len() == usize::from(page.limit) || (carried >= MAX_LISTED_DELIVERIES && !items.is_empty())
                    {
                        let next = items.last().map(|event| Cursor(event.id.0));
                        return Ok(Page { items, next });
                    }
                    let (id, received_at, payload_bytes) = event_row(row).map_err(crate::store::error::sql)?;
                    let deliveries = deliveries_of(connection, id, &memory)?;
                    carried += deliveries.len();
                    items.push(Event { id, account_id: account.id.clone(), received_at, payload_bytes, deliveries });
                }
                Ok(Page { items, next: None })
            })
            .await
    }

    /// Returns one event with its document.
    ///
    /// # Errors
    /// Not found.
    pub async fn event(&self, id: EventId) -> Result<(Event, Vec<u8>)> {
        let memory = Arc::clone(&self.memory);
        self.readers
            .read(move |connection| {
                let found = rows::first(
                    connection,
                    "SELECT e.id, e.received_at, length(e.payload), a.account_id, e.payload FROM event e
                     JOIN account a ON a.key = e.account_key AND a.deleted_at IS NULL WHERE e.id = ?1",
                    [id.0],
                    |row| {
                        let (id, received_at, payload_bytes) = event_row(row)?;
                        let account_id = AccountId::from_stored(row.get(3)?);
                        let event = Event { id, account_id, received_at, payload_bytes, deliveries: Vec::new() };
                        Ok((event, row.get(4)?))
                    },
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

fn event_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(EventId, Timestamp, u64)> {
    Ok((EventId(row.get(0)?), rows::time(row, 1)?, row.get(2)?))
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

fn insert_event(
    tx: &mut Transaction<'_>,
    incoming: IncomingEvent,
    wait: bool,
    now: Timestamp,
) -> Result<AcceptedEvent> {
    let account = incoming.account;
    let targets = account_destinations(tx, account)?;
    let account_id = targets.account.clone();
    if let Some(key) = &incoming.idempotency_key
        && let Some(repeat) = find_idempotent(tx, &incoming, key, now)?
    {
        let (event_id, received_at) = repeat?;
        return Ok(AcceptedEvent {
            event_id,
            account_id,
            received_at,
            duplicate: true,
            made: None,
            first_attempts: None,
        });
    }
    if !tx.accepts_events() {
        return Err(disk_low());
    }
    let first = tx.take_ids(1 + targets.all.len(), now);
    let event_id = EventId(first);
    tx.run(
        "INSERT INTO event (id, account_key, received_at, idempotency_key, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            event_id.0,
            account.0,
            now.millis(),
            incoming.idempotency_key.as_ref().map(IdempotencyKey::as_str),
            &*incoming.payload,
        ),
    )?;
    let mut made = Vec::with_capacity(targets.all.len());
    let mut awaited = Vec::new();
    for (target, number) in targets.all.iter().zip(first + 1..) {
        // `zeroblob(16)` reserves 16 bytes. New rows fill a page completely, and recording the outcome makes a row
        // longer: without the reserve the page would be split.
        tx.run(
            "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at, first_body)
             VALUES (?1, ?2, ?3, 0, 0, 0, 0, zeroblob(16))",
            (number, event_id.0, target.key.0),
        )?;
        let counts = tx.counts_mut(target.key, now);
        counts.accepted += 1;
        // The event itself is counted once, with its first delivery.
        counts.events += u64::from(number == first + 1);
        made.push((DeliveryId(number), target.key));
        if wait && !target.paused {
            awaited.push((DeliveryId(number), target.key));
        }
    }
    tx.add_pending(i64::try_from(made.len()).unwrap_or(i64::MAX));
    tx.documents().keep(event_id, &incoming.payload);
    tx.publish(Change::Accepted(NewEvent { id: event_id, payload: incoming.payload, deliveries: made }));
    let first_attempts = wait.then(|| {
        let (done, first_attempts) = oneshot::channel();
        tx.add_wait(Wait { event: event_id, deliveries: awaited, done });
        first_attempts
    });
    let made = MadeDeliveries { event: event_id, first: first + 1, targets, at: now };
    Ok(AcceptedEvent { event_id, account_id, received_at: now, duplicate: false, made: Some(made), first_attempts })
}

/// Pending deliveries of the event `?1` without any attempt, whose destination is neither deleted nor paused.
const UNATTEMPTED: &str =
    "SELECT v.id, v.destination_key FROM delivery v JOIN destination d ON d.key = v.destination_key
     WHERE v.event_id = ?1 AND v.state = 0 AND v.attempt_count = 0 AND d.deleted_at IS NULL AND d.paused_reason IS NULL
     ORDER BY v.id";

fn account_destinations(tx: &mut Transaction<'_>, account: AccountKey) -> Result<Arc<AccountDestinations>> {
    if let Some(known) = tx.destinations().get(account) {
        return Ok(known);
    }
    let id = tx
        .row("SELECT account_id FROM account WHERE key = ?1 AND deleted_at IS NULL", [account.0], |row| {
            row.get(0).map(AccountId::from_stored)
        })?
        .ok_or_else(|| Error::not_found("account"))?;
    let all = rows::all(
        tx.connection(),
        "SELECT key, destination_id, paused_reason IS NOT NULL FROM destination
         WHERE account_key = ?1 AND deleted_at IS NULL ORDER BY key",
        [account.0],
        |row| {
            Ok(CachedDestination {
                key: DestinationKey(row.get(0)?),
                id: DestinationId::from_stored(row.get(1)?),
                paused: row.get(2)?,
            })
        },
    )?;
    let targets = Arc::new(AccountDestinations { account: id, all });
    tx.destinations().insert(account, Arc::clone(&targets));
    Ok(targets)
}

/// Looks for an event that was accepted with the same key in the last 24 hours. The inner result is an error if that
/// event's document differs. A key that is older is freed for the new event.
fn find_idempotent(
    tx: &mut Transaction<'_>,
    incoming: &IncomingEvent,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Option<Result<(EventId, Timestamp)>>> {
    // Compares the documents byte by byte: both are at hand, so no digest is needed.
    let found = tx.row(
        "SELECT id, received_at, payload = ?3 FROM event WHERE account_key = ?1 AND idempotency_key = ?2",
        (incoming.account.0, key.as_str(), &*incoming.payload),
        |row| Ok((EventId(row.get(0)?), rows::time(row, 1)?, row.get::<_, bool>(2)?)),
    )?;
    let Some((id, received_at, same)) = found else { return Ok(None) };
    if received_at <= keys_over(now) {
        tx.run("UPDATE event SET idempotency_key = NULL WHERE id = ?1", [id.0])?;
        return Ok(None);
    }
    Ok(Some(if same {
        Ok((id, received_at))
    } else {
        Err(Error::new(
            Kind::Invalid,
            "idempotency_key_reused",
            "This Idempotency-Key was used for another body within 24 hours; use a new key for new data.",
        ))
    }))
}
