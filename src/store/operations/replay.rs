//! Sends deliveries again manually: one delivery, those of an event, or many of a destination. Those that match a
//! list's filter are sent again in `replay_matching.rs`. No new delivery is created: the same one is opened again, and
//! its attempt log continues. Automatic retries are decided in `domain/delivery.rs`.

use rusqlite::Connection;

use super::{deliveries, destinations, manual_actions, order, reach, rows};
use crate::domain::access::Scope;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::ids::{DeliveryId, DestinationId, DestinationKey, EventId, sequence_id};
use crate::domain::manual_action::{ManualAction, ManualActionKind};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::change::Change;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::ScopedStore;

/// Most events of the account that one read of a destination's replay looks at.
const WALK_ROWS: usize = 1_000;

/// Most deliveries that one write request of a replay opens again. Whoever sends an event meanwhile waits for at most
/// one such write request.
pub const REOPENED_PER_STEP: usize = 100;

/// Which deliveries of a destination are to be sent again.
#[derive(Debug, Clone)]
pub struct ReplayFilter {
    /// Deliveries whose event was received at this time or later.
    pub since: Timestamp,
    /// Deliveries whose event was received before this time.
    pub until: Option<Timestamp>,
    /// Only deliveries in this state. Pending ones are always skipped.
    pub state: Option<DeliveryState>,
    /// Only count the deliveries, and change nothing.
    pub dry_run: bool,
}

impl ScopedStore {
    /// Sends a delivery again at once, which is `now`, whatever its state. A pending delivery does not wait for its due
    /// time. In strict order a delivery keeps its place among what is pending.
    ///
    /// # Errors
    /// Not found; conflict if the destination asks for strict order and a later delivery was sent, unless
    /// `out_of_order`.
    pub async fn retry_delivery(&self, id: DeliveryId, out_of_order: bool, now: Timestamp) -> Result<Delivery> {
        let (scope, memory) = (self.scope.clone(), std::sync::Arc::clone(&self.memory));
        let later = if out_of_order { None } else { self.later_deliveries(id).await? };
        self.writer
            .submit_with_savepoint(move |tx| {
                let delivery = deliveries::require(tx.connection(), &scope, id, &memory)?;
                let destination = destinations::require(tx.connection(), &scope, &delivery.destination_id)?;
                if !out_of_order {
                    order::check(tx.connection(), &delivery, &destination, later)?;
                }
                let retried = ManualAction { at: now, action: ManualActionKind::Retry };
                reopen(tx, id, delivery.event_id, destination.key, delivery.state, retried)?;
                deliveries::require(tx.connection(), &scope, id, &memory)
            })
            .await
    }

    /// Sends all deliveries of an event again, at `now`, that are not pending. Returns their number.
    ///
    /// # Errors
    /// Not found.
    pub async fn replay_event(&self, id: EventId, now: Timestamp) -> Result<u64> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                reach::event(tx.connection(), &scope, id)?;
                tx.row(
                    "SELECT 1 FROM event e JOIN account a ON a.key = e.account_key AND a.deleted_at IS NULL
                         WHERE e.id = ?1",
                    [id.0],
                    |_| Ok(()),
                )?
                .ok_or_else(|| Error::not_found("event"))?;
                let settled = rows::all(
                    tx.connection(),
                    "SELECT v.id, v.destination_key, v.state FROM delivery v
                     JOIN destination d ON d.key = v.destination_key AND d.deleted_at IS NULL
                     WHERE v.event_id = ?1 AND v.state <> 0",
                    [id.0],
                    |row| Ok((DeliveryId(row.get(0)?), DestinationKey(row.get(1)?), row.get::<_, i64>(2)?)),
                )?;
                let replayed = ManualAction { at: now, action: ManualActionKind::Replay };
                for (delivery, destination, state) in &settled {
                    let state = DeliveryState::from_code(*state).unwrap_or(DeliveryState::Succeeded);
                    reopen(tx, *delivery, id, *destination, state, replayed)?;
                }
                Ok(settled.len() as u64)
            })
            .await
    }

    /// Sends a destination's deliveries that match `filter` again, and returns their number. Pending ones are skipped.
    /// The work is split into many reads and write requests, so that no caller waits for the whole replay. On return
    /// all changes are on disk.
    ///
    /// # Errors
    /// Not found.
    pub async fn replay_destination(&self, id: DestinationId, mut filter: ReplayFilter, now: Timestamp) -> Result<u64> {
        // Events that arrive while the replay runs are not part of it.
        filter.until = Some(filter.until.map_or(now, |until| until.min(now)));
        let (scope, whose) = (self.scope.clone(), id.clone());
        let last = self.readers.read(move |connection| newest_event(connection, &scope, &whose)).await?;
        let mut from = Some(sequence_id(filter.since));
        let mut count = 0;
        while let Some(first) = from {
            let (scope, walked, filter_here) = (self.scope.clone(), id.clone(), filter.clone());
            let (found, next) = self
                .readers
                .read_yielding(move |connection| walk(connection, (&scope, &walked), &filter_here, first, last))
                .await?;
            if filter.dry_run {
                count += found.len() as u64;
            } else {
                for some in found.chunks(REOPENED_PER_STEP) {
                    let (scope, id, state, some) = (self.scope.clone(), id.clone(), filter.state, some.to_vec());
                    let step = move |tx: &mut Transaction<'_>| {
                        let destination = destinations::require(tx.connection(), &scope, &id)?.key;
                        open_all_again(tx, destination, Still { state, status: None }, &some, now)
                    };
                    count += self.writer.submit_with_savepoint(step).await?;
                }
            }
            from = next;
        }
        Ok(count)
    }
}

/// Returns the id of the newest event of the destination's account. The walk ends at this event: events that arrive
/// during the walk could make the walk endless.
fn newest_event(connection: &Connection, scope: &Scope, destination: &DestinationId) -> Result<i64> {
    let destination = destinations::require(connection, scope, destination)?;
    let newest = "SELECT max(id) FROM event INDEXED BY event_by_account WHERE account_key = ?1";
    let newest = rows::first(connection, newest, [destination.account_key.0], |row| row.get::<_, Option<i64>>(0))?;
    Ok(newest.flatten().unwrap_or(i64::MIN))
}

/// Looks at the next [`WALK_ROWS`] events of the account, with ids from `from` to `last`. Returns the destination's
/// deliveries that match and are not pending, and the id to continue with.
fn walk(
    connection: &Connection,
    (scope, destination): (&Scope, &DestinationId),
    filter: &ReplayFilter,
    from: i64,
    last: i64,
) -> Result<(Vec<DeliveryId>, Option<i64>)> {
    let destination = destinations::require(connection, scope, destination)?;
    let until = filter.until.map_or(i64::MAX, Timestamp::millis);
    let walked = rows::all(
        connection,
        "SELECT e.id, e.received_at, v.id, v.state FROM event e INDEXED BY event_by_account
         LEFT JOIN delivery v INDEXED BY delivery_by_event ON v.event_id = e.id AND v.destination_key = ?1
         WHERE e.account_key = ?2 AND e.id >= max(?3, (SELECT first_id FROM destination WHERE key = ?1)) AND e.id <= ?5
         ORDER BY e.id LIMIT ?4",
        (destination.key.0, destination.account_key.0, from, WALK_ROWS, last),
        |row| {
            let delivery = (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, delivery))
        },
    )?;
    let next = walked.last().filter(|_| walked.len() == WALK_ROWS).map(|(event, ..)| event + 1);
    let found = walked.into_iter().filter_map(|(_, received, delivery)| {
        let (Some(id), Some(state)) = delivery else { return None };
        let fits = state != DeliveryState::Pending.code()
            && filter.state.is_none_or(|wanted| wanted.code() == state)
            && (filter.since.millis()..until).contains(&received);
        fits.then_some(DeliveryId(id))
    });
    Ok((found.collect(), next))
}

/// What must still be true of a delivery when it is opened again. It was read a moment ago, and may have changed since.
#[derive(Clone, Copy)]
pub struct Still {
    /// Its state. `None` for every state except pending.
    pub state: Option<DeliveryState>,
    /// The status that answered its last attempt. `None` for every status, and for none.
    pub status: Option<u16>,
}

/// Opens those of a destination's `deliveries` again, at `now`, that are `still` to be. Returns their number.
pub fn open_all_again(
    tx: &mut Transaction<'_>,
    destination: DestinationKey,
    still: Still,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<u64> {
    let replayed = ManualAction { at: now, action: ManualActionKind::Replay };
    let mut opened: u64 = 0;
    for delivery in deliveries {
        let changed = tx.run(
            "UPDATE delivery SET state = 0, step = 0, next_attempt_at = 0
             WHERE id = ?1 AND state <> 0 AND state = coalesce(?2, state) AND (?3 IS NULL OR status_code = ?3)",
            (delivery.0, still.state.map(DeliveryState::code), still.status),
        )?;
        if changed > 0 {
            manual_actions::note(tx, *delivery, replayed)?;
            opened += 1;
        }
    }
    if opened > 0 {
        tx.add_pending(i64::try_from(opened).unwrap_or(i64::MAX));
        tx.run("UPDATE destination SET held_until = NULL WHERE key = ?1", [destination.0])?;
        destinations::publish(tx, destination)?;
        tx.publish(Change::Reopened(destination));
    }
    Ok(opened)
}

fn reopen(
    tx: &mut Transaction<'_>,
    delivery: DeliveryId,
    event: EventId,
    destination: DestinationKey,
    state: DeliveryState,
    done: ManualAction,
) -> Result<()> {
    open_again(tx, delivery)?;
    manual_actions::note(tx, delivery, done)?;
    tx.add_pending(i64::from(state != DeliveryState::Pending));
    tx.publish(Change::RetryNow { destination, delivery, event });
    Ok(())
}

/// Makes a delivery pending, due at once, at the beginning of its retry schedule.
fn open_again(tx: &mut Transaction<'_>, delivery: DeliveryId) -> Result<()> {
    tx.run("UPDATE delivery SET state = 0, step = 0, next_attempt_at = 0 WHERE id = ?1", [delivery.0])?;
    Ok(())
}
