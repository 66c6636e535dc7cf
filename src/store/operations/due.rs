//! What the engine reads: deliveries that are due for a destination, and their documents. Every query here uses an
//! index or a key. Nothing here decides who sends next.

use std::collections::HashSet;

use rusqlite::{Connection, MAIN_DB, Rows};

use super::rows;
use crate::domain::destination::DeliveryOrder;
use crate::domain::document::Document;
use crate::domain::ids::{DeliveryId, DestinationKey, EventId};
use crate::domain::memory::NoMemory;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::error::{no_memory, sql};
use crate::store::handle::Store;
use crate::store::memory::documents::{Documents, Lookup};

/// Largest document, in bytes, that is read together with its delivery. A larger document is read when it is sent.
const INLINE_PAYLOAD_BYTES: usize = 64 * 1024;

/// Most bytes of documents that one read of due deliveries takes from the file. Documents that are already in memory do
/// not count.
const INLINE_PAYLOADS_BYTES: usize = 2 * 1024 * 1024;
const _: () = assert!(INLINE_PAYLOAD_BYTES <= INLINE_PAYLOADS_BYTES, "the largest one must fit into a read");

/// A delivery that is due.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    /// The delivery's id.
    pub delivery: DeliveryId,
    /// The event that the delivery carries.
    pub event: EventId,
    /// Failures of the retry schedule that are used up.
    pub retry_step: u32,
    /// The document, if it is in memory or small enough to be read along. `None` if it must be read when it is sent.
    pub document: Option<Document>,
}

/// What templates of an attempt see besides the document.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts {
    /// When the event was received.
    pub received_at: Timestamp,
    /// Number of the next attempt, from 1.
    pub attempt: u32,
}

/// What one read of a destination's queue in the file found.
#[derive(Debug)]
pub struct DueDeliveries {
    /// Deliveries that are due: first up to half of the limit from the retries, then all others, each part in order of
    /// due time. In strict order those with the lowest ids, up to the first that is not due.
    pub deliveries: Vec<DueDelivery>,
    /// When the first delivery that was left in the file is due, on the engine clock. In strict order, when the next one
    /// is. `None` if nothing else is pending.
    pub next_due: Option<Timestamp>,
}

/// One read of a destination's queue.
struct DueScan<'a> {
    connection: &'a Connection,
    documents: &'a Documents,
    destination: DestinationKey,
    now: Timestamp,
    claims: Vec<DueDelivery>,
    brought: usize,
}

impl DueScan<'_> {
    /// Adds deliveries that are due at `from` or later, until there are `limit` in all. Returns when the first delivery
    /// that was left is due.
    fn scan(&mut self, from: i64, limit: usize, in_hand: &dyn Fn(DeliveryId) -> bool) -> Result<Option<Timestamp>> {
        let taken: HashSet<DeliveryId> = self.claims.iter().map(|due| due.delivery).collect();
        // Reads only the index first. Many deliveries are in hand, and the row of each is on a page or two of its own.
        let mut prepared = self
            .connection
            .prepare_cached(
                "SELECT id, next_attempt_at FROM delivery INDEXED BY delivery_due
                 WHERE destination_key = ?1 AND state = 0 AND next_attempt_at >= ?2 ORDER BY next_attempt_at, id",
            )
            .map_err(sql)?;
        let mut found = prepared.query((self.destination.0, from)).map_err(sql)?;
        while let Some(row) = found.next().map_err(sql)? {
            let delivery = row.get(0).map(DeliveryId).map_err(sql)?;
            if in_hand(delivery) || taken.contains(&delivery) {
                continue;
            }
            let due = rows::time(row, 1).map_err(sql)?;
            if due > self.now || self.claims.len() >= limit {
                return Ok(Some(due));
            }
            self.add(delivery)?;
        }
        Ok(None)
    }

    /// Adds the deliveries with the lowest ids, until there are `limit` or one is not due. Returns when the next one is
    /// due.
    ///
    /// Those that are due at once are in order of their ids in the index. In strict order hardly any others are
    /// pending: one delivery at a time is tried again. Many are only right after a destination was set to strict order.
    fn scan_in_order(&mut self, limit: usize, in_hand: &dyn Fn(DeliveryId) -> bool) -> Result<Option<Timestamp>> {
        let mut at_once = self.connection.prepare_cached(DUE_AT_ONCE_IN_ORDER).map_err(sql)?;
        let mut at_once = at_once.query([self.destination.0]).map_err(sql)?;
        let mut later = self.connection.prepare_cached(DUE_LATER_IN_ORDER).map_err(sql)?;
        let mut later = later.query([self.destination.0]).map_err(sql)?;
        let (mut first, mut second) = (next_free(&mut at_once, in_hand)?, next_free(&mut later, in_hand)?);
        loop {
            let takes_second = match (first, second) {
                (None, None) => return Ok(None),
                (Some((first, _)), Some((second, _))) => second < first,
                (first, _) => first.is_none(),
            };
            let Some((delivery, due)) = (if takes_second { second } else { first }) else { return Ok(None) };
            if due > self.now || self.claims.len() >= limit {
                return Ok(Some(due));
            }
            self.add(delivery)?;
            if takes_second {
                second = next_free(&mut later, in_hand)?;
            } else {
                first = next_free(&mut at_once, in_hand)?;
            }
        }
    }

    fn add(&mut self, delivery: DeliveryId) -> Result<()> {
        let left = INLINE_PAYLOADS_BYTES.saturating_sub(self.brought);
        let mut read_bytes = 0;
        let due = rows::first(
            self.connection,
            // SQLite copies a value as a whole when it returns one, so the query returns no long document.
            "SELECT v.event_id, v.step, length(e.payload), CASE WHEN length(e.payload) <= ?2 THEN e.payload END, t.name
             FROM delivery v CROSS JOIN event e ON e.id = v.event_id LEFT JOIN event_type t ON t.event_id = e.id
             WHERE v.id = ?1",
            (delivery.0, INLINE_PAYLOAD_BYTES.min(left)),
            |row| {
                let (event, payload) = (EventId(row.get(0)?), row.get_ref(3)?.as_blob_or_null()?);
                // Without memory for the document now, it is read when it is sent.
                let event_type = rows::event_type(row, 4)?;
                let read = || self.documents.read(event, payload?, event_type).ok();
                let found = self.documents.find(event, row.get(2)?);
                let document = found.or_else(|| read().inspect(|document| read_bytes = document.len()));
                Ok(DueDelivery { delivery, event, retry_step: row.get(1)?, document })
            },
        )?;
        self.brought += read_bytes;
        self.claims.extend(due);
        Ok(())
    }
}

/// Pending deliveries of a destination that are due at once, lowest id first.
const DUE_AT_ONCE_IN_ORDER: &str = "SELECT id, next_attempt_at FROM delivery INDEXED BY delivery_due
     WHERE destination_key = ?1 AND state = 0 AND next_attempt_at = 0 ORDER BY id";

/// Pending deliveries of a destination that were tried before, lowest id first.
const DUE_LATER_IN_ORDER: &str = "SELECT id, next_attempt_at FROM delivery INDEXED BY delivery_due
     WHERE destination_key = ?1 AND state = 0 AND next_attempt_at > 0 ORDER BY id";

/// The next delivery of `rows` that is not in hand, and when it is due.
fn next_free(rows: &mut Rows<'_>, in_hand: &dyn Fn(DeliveryId) -> bool) -> Result<Option<(DeliveryId, Timestamp)>> {
    while let Some(row) = rows.next().map_err(sql)? {
        let delivery = row.get(0).map(DeliveryId).map_err(sql)?;
        if !in_hand(delivery) {
            return Ok(Some((delivery, rows::time(row, 1).map_err(sql)?)));
        }
    }
    Ok(None)
}

impl Store {
    /// Returns up to `limit` deliveries of a destination that are due at `now` and not `in_hand`, in the `order` of the
    /// destination.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub fn due_deliveries(
        &self,
        destination: DestinationKey,
        order: DeliveryOrder,
        now: Timestamp,
        limit: usize,
        in_hand: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<DueDeliveries> {
        self.readers.read_for_engine(|connection| {
            let mut look = DueScan {
                connection,
                documents: &self.memory.documents,
                destination,
                now,
                claims: Vec::new(),
                brought: 0,
            };
            if order == DeliveryOrder::Strict {
                let next_due = look.scan_in_order(limit, in_hand)?;
                return Ok(DueDeliveries { deliveries: look.claims, next_due });
            }
            // New deliveries are due at 0 and so come first. Half of the limit goes to retries: at a destination with a
            // lasting backlog they would otherwise never be sent.
            look.scan(1, limit / 2, in_hand)?;
            let next_due = look.scan(0, limit, in_hand)?;
            Ok(DueDeliveries { deliveries: look.claims, next_due })
        })
    }

    /// Returns when the first pending delivery of each of `destinations` is due, on the engine clock. Destinations with
    /// none are left out.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub fn first_due(&self, destinations: &[DestinationKey]) -> Result<Vec<(DestinationKey, Timestamp)>> {
        self.readers.read_for_engine(|connection| {
            let mut due = Vec::new();
            for destination in destinations {
                let first = rows::first(
                    connection,
                    "SELECT next_attempt_at FROM delivery INDEXED BY delivery_due
                     WHERE destination_key = ?1 AND state = 0 ORDER BY next_attempt_at LIMIT 1",
                    [destination.0],
                    |row| rows::time(row, 0),
                )?;
                due.extend(first.map(|at| (*destination, at)));
            }
            Ok(due)
        })
    }

    /// Returns a delivery's document, and how many failures of its retry schedule are used up. `None` if the delivery
    /// is no longer pending. Blocks until there is memory, if the document is not in memory yet.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read;
    /// [`Unavailable::NoMemory`](crate::error::Unavailable::NoMemory) if there was no memory in time.
    pub fn document(&self, delivery: DeliveryId, event: EventId) -> Result<Option<(Document, u32)>> {
        let documents = &self.memory.documents;
        let looked = self.readers.read_for_engine(|connection| {
            rows::first(
                connection,
                "SELECT length(e.payload), v.step, t.name FROM delivery v CROSS JOIN event e ON e.id = ?2
                 LEFT JOIN event_type t ON t.event_id = e.id WHERE v.id = ?1 AND v.state = 0",
                [delivery.0, event.0],
                |row| Ok((row.get::<_, usize>(0)?, row.get(1)?, rows::event_type(row, 2)?)),
            )
        })?;
        let Some((bytes, step, event_type)) = looked else { return Ok(None) };
        let memory = match documents.wait_for(event, bytes).map_err(|NoMemory| no_memory())? {
            Lookup::Document(document) => return Ok(Some((document, step))),
            Lookup::Memory(memory) => memory,
        };
        let payload = self.readers.read_for_engine(|connection| payload(connection, event))?;
        Ok(payload.map(|payload| {
            let document = Document::new(payload, event_type, memory);
            documents.keep(event, &document);
            (document, step)
        }))
    }

    /// Returns what templates of an attempt see besides the document. `None` if the delivery does not exist any more.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub fn attempt_facts(&self, delivery: DeliveryId) -> Result<Option<AttemptFacts>> {
        self.readers.read_for_engine(|connection| {
            rows::first(
                connection,
                "SELECT e.received_at, v.attempt_count FROM delivery v CROSS JOIN event e ON e.id = v.event_id
                 WHERE v.id = ?1",
                [delivery.0],
                |row| Ok(AttemptFacts { received_at: rows::time(row, 0)?, attempt: row.get::<_, u32>(1)? + 1 }),
            )
        })
    }

    /// Sets the number of pending deliveries in the metrics, which commits then keep up to date. Must be called once,
    /// before anything is accepted.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub fn load_pending(&self) -> Result<()> {
        let count = self.count_pending()?;
        self.memory.metrics.set_pending(count);
        Ok(())
    }

    /// Counts the pending deliveries in the file.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub fn count_pending(&self) -> Result<i64> {
        self.readers.read_for_engine(count_pending)
    }
}

/// Reads an event's document directly into the buffer where it stays. A query would hold a second copy.
fn payload(connection: &Connection, event: EventId) -> Result<Option<Vec<u8>>> {
    if rows::first(connection, "SELECT 1 FROM event WHERE id = ?1", [event.0], |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    let blob = connection.blob_open(MAIN_DB, "event", "payload", event.0, true).map_err(sql)?;
    let mut payload = vec![0; blob.len()];
    blob.read_at_exact(&mut payload, 0).map_err(sql)?;
    Ok(Some(payload))
}

/// Counts the pending deliveries in the file.
pub fn count_pending(connection: &Connection) -> Result<i64> {
    let count = rows::first(
        connection,
        "SELECT count(*) FROM delivery INDEXED BY delivery_unsettled WHERE state = 0 AND state <> 1",
        [],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

#[cfg(test)]
mod tests;
