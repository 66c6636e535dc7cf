//! What the engine reads: deliveries that are due, by destination, and their documents. Each is one indexed read.

use std::sync::Arc;

use super::{Store, rows};
use crate::domain::ids::{DeliveryId, DestinationKey, EventId};
use crate::domain::time::Timestamp;
use crate::error::Result;

/// A delivery that is due.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its id.
    pub delivery: DeliveryId,
    /// The event it carries.
    pub event: EventId,
}

/// What a look at a destination's queue in the file found.
#[derive(Debug)]
pub struct Claimed {
    /// Deliveries that are due, in due order.
    pub claims: Vec<Claim>,
    /// When the first one that was not taken is due, on the engine's clock; `None` where nothing more is pending.
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Up to `limit` deliveries of a destination that are due at `now` and not `in_hand`.
    ///
    /// # Errors
    /// Unavailable where the file cannot be read.
    pub fn claim(
        &self,
        destination: DestinationKey,
        now: Timestamp,
        limit: usize,
        in_hand: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<Claimed> {
        self.readers.engine(|connection| {
            let mut prepared = connection
                .prepare_cached(
                    "SELECT id, event_id, next_attempt_at FROM delivery INDEXED BY delivery_due
                     WHERE destination_key = ?1 AND state = 0 ORDER BY next_attempt_at, id",
                )
                .map_err(super::sql)?;
            let mut found = prepared.query([destination.0]).map_err(super::sql)?;
            let mut claims = Vec::new();
            while let Some(row) = found.next().map_err(super::sql)? {
                let delivery = row.get(0).map(DeliveryId).map_err(super::sql)?;
                if in_hand(delivery) {
                    continue;
                }
                let due = rows::time(row, 2).map_err(super::sql)?;
                if due > now || claims.len() >= limit {
                    return Ok(Claimed { claims, next_due: Some(due) });
                }
                claims.push(Claim { delivery, event: row.get(1).map(EventId).map_err(super::sql)? });
            }
            Ok(Claimed { claims, next_due: None })
        })
    }

    /// When the first pending delivery of each of `destinations` is due; those with none are left out.
    ///
    /// # Errors
    /// Unavailable where the file cannot be read.
    pub fn first_due(&self, destinations: &[DestinationKey]) -> Result<Vec<(DestinationKey, Timestamp)>> {
        self.readers.engine(|connection| {
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

    /// What is to be sent for a delivery, and how far its schedule is used up; `None` once it is no longer pending.
    ///
    /// # Errors
    /// Unavailable where the file cannot be read.
    pub fn document(&self, delivery: DeliveryId, event: EventId) -> Result<Option<(Arc<[u8]>, u32)>> {
        self.readers.engine(|connection| {
            rows::first(
                connection,
                "SELECT e.payload, v.step FROM delivery v, event e WHERE v.id = ?1 AND v.state = 0 AND e.id = ?2",
                [delivery.0, event.0],
                |row| Ok((Arc::from(row.get_ref(0)?.as_blob()?), row.get(1)?)),
            )
        })
    }

    /// Counts pending deliveries once, for the figure that commits move from then on.
    ///
    /// # Errors
    /// Unavailable where the file cannot be read.
    pub fn count_pending(&self) -> Result<i64> {
        self.readers.engine(|connection| {
            let count = rows::first(
                connection,
                "SELECT count(*) FROM delivery INDEXED BY delivery_unsettled WHERE state = 0",
                [],
                |row| row.get(0),
            )?;
            Ok(count.unwrap_or(0))
        })
    }
}
