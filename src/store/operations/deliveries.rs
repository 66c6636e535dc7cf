//! Deliveries: lists with filters, one delivery with its attempts and manual actions, and cancelling. Sending again
//! belongs in `replay.rs`.
//!
//! A list is newest first. A page that has looked at as many rows as it may has a cursor and fewer items.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::Connection;

use super::delivery_walk::filter::Wanted;
use super::delivery_walk::{self, DeliveryFilter, MAX_WALK_ROWS, Only};
use super::{attempts, destinations, manual_actions, reach, rows};
use crate::domain::access::Scope;
use crate::domain::delivery::{Delivery, DeliveryDetail, DeliveryState};
use crate::domain::ids::DeliveryId;
use crate::domain::manual_action::{ManualAction, ManualActionKind};
use crate::domain::page::{Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::handle::ScopedStore;
use crate::store::memory::Memory;

impl ScopedStore {
    /// Returns a page of deliveries, newest first. The page can have fewer items than its limit and still have a
    /// cursor. An unknown account, destination or event has no deliveries.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<Delivery>> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read_yielding(move |connection| match delivery_walk::resolve(connection, &scope, &filter)? {
                Some(wanted) => list(connection, &wanted, page, &memory),
                None => Ok(Page { items: Vec::new(), next: None }),
            })
            .await
    }

    /// Returns one delivery with its attempts and what was done with it manually.
    ///
    /// # Errors
    /// Not found.
    pub async fn delivery(&self, id: DeliveryId) -> Result<DeliveryDetail> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read(move |connection| {
                let delivery = require(connection, &scope, id, &memory)?;
                let (attempts, manual_actions) = (attempts::of(connection, id)?, manual_actions::of(connection, id)?);
                Ok(DeliveryDetail { delivery, attempts, manual_actions })
            })
            .await
    }

    /// Cancels a pending delivery at `now`.
    ///
    /// # Errors
    /// Not found; conflict if the delivery is not pending.
    pub async fn cancel_delivery(&self, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.writer
            .submit_with_savepoint(move |tx| {
                let delivery = require(tx.connection(), &scope, id, &memory)?;
                if delivery.state != DeliveryState::Pending {
                    return Err(Error::new(
                        Kind::Conflict,
                        "not_pending",
                        format!("The delivery is {}; only a pending one can be cancelled.", delivery.state),
                    ));
                }
                let destination = destinations::require(tx.connection(), &scope, &delivery.destination_id)?.key;
                tx.run("UPDATE delivery SET state = 3, next_attempt_at = 0 WHERE id = ?1", [id.0])?;
                manual_actions::note(tx, id, ManualAction { at: now, action: ManualActionKind::Cancel })?;
                tx.add_pending(-1);
                tx.publish(Change::Cancelled { destination, delivery: id });
                require(tx.connection(), &scope, id, &memory)
            })
            .await
    }
}

/// Returns a delivery that is reached, and whose account and destination are not deleted, or the error "not found".
pub fn require(connection: &Connection, scope: &Scope, id: DeliveryId, memory: &Memory) -> Result<Delivery> {
    reach::delivery(connection, scope, id)?;
    let query = format!("SELECT {} FROM {} WHERE v.id = ?1", rows::DELIVERY, rows::DELIVERY_TABLES);
    rows::first(connection, &query, [id.0], |row| rows::delivery(row, memory))?
        .ok_or_else(|| Error::not_found("delivery"))
}

fn list(connection: &Connection, wanted: &Wanted, page: PageRequest, memory: &Memory) -> Result<Page<Delivery>> {
    let query = format!("SELECT {} FROM {} WHERE v.id = ?1", rows::DELIVERY, rows::DELIVERY_TABLES);
    let before = page.cursor.map_or(i64::MAX, |cursor| cursor.0);
    let mut items = Vec::new();
    let next = delivery_walk::walk(connection, wanted, Only::Any, before, MAX_WALK_ROWS, |found| {
        items.extend(rows::first(connection, &query, [found.id.0], |row| rows::delivery(row, memory))?);
        let is_full = items.len() >= usize::from(page.limit);
        Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests;
