//! Sends the deliveries again that match the filter of a list. The deliveries of one destination or event, and single
//! ones, are sent again in `replay.rs`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::Connection;

use super::delivery_walk::{self, DeliveryFilter, Found, MAX_WALK_ROWS, Only};
use super::replay::{self, REOPENED_PER_STEP, Still};
use crate::domain::access::Scope;
use crate::domain::delivery::DeliveryState;
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::overview::AtMost;
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::ScopedStore;

/// Most deliveries that one call opens again. Fewer in tests, since each hundred is a commit.
const MAX_REOPENED: u64 = if cfg!(test) { 1_000 } else { 100_000 };

/// Most deliveries that a dry run counts.
const MAX_COUNTED: u64 = 10_000;

/// Most rows of the leading index that one read of a replay looks at. Its write requests come between the reads, so a
/// longer read would only hold more ids.
const WALK_ROWS: usize = 1_000;

/// Most reads of a dry run, each of up to [`MAX_WALK_ROWS`] rows. Somebody waits for the count.
const MAX_DRY_READS: usize = 50;

impl ScopedStore {
    /// Sends again all deliveries that match `filter`, are not pending, and were received before `now`, newest first.
    /// Returns their number. At most 100,000 deliveries are opened again in one call. A dry run changes nothing, counts
    /// up to 10,000, and looks at no more than a million rows; behind these there may be more.
    ///
    /// The work is split into many reads and write requests, so that no caller waits for the whole replay. On return
    /// all changes are on disk. An unknown account, destination or event has no deliveries.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read or written. What was opened until then stays open.
    pub async fn replay_deliveries(&self, filter: DeliveryFilter, dry_run: bool, now: Timestamp) -> Result<AtMost> {
        if filter.state == Some(DeliveryState::Pending) {
            return Ok(AtMost { count: 0, is_more: false });
        }
        let until = filter.until.map_or(now, |until| until.min(now));
        let filter = DeliveryFilter { until: Some(until), ..filter };
        if dry_run { self.count_settled(filter).await } else { self.reopen_settled(filter, now).await }
    }

    async fn count_settled(&self, filter: DeliveryFilter) -> Result<AtMost> {
        let (mut count, mut before) = (0, Cursor(i64::MAX));
        for _ in 0..MAX_DRY_READS {
            let (found, next) = self.settled(&filter, before, MAX_WALK_ROWS, MAX_COUNTED + 1 - count).await?;
            count += found.len() as u64;
            match next {
                Some(next) if count <= MAX_COUNTED => before = next,
                _ => return Ok(AtMost::of(count, MAX_COUNTED)),
            }
        }
        // The rest may match or not.
        Ok(AtMost { count, is_more: true })
    }

    async fn reopen_settled(&self, filter: DeliveryFilter, now: Timestamp) -> Result<AtMost> {
        let still = Still { state: filter.state, status: filter.status_code };
        let (mut matched, mut count, mut before) = (0, 0, Cursor(i64::MAX));
        loop {
            let left = MAX_REOPENED - matched;
            let (mut found, next) = self.settled(&filter, before, WALK_ROWS, left + 1).await?;
            let is_more = found.len() as u64 > left;
            if is_more {
                found.pop();
            }
            matched += found.len() as u64;
            while !found.is_empty() {
                let some: Vec<Found> = found.drain(..found.len().min(REOPENED_PER_STEP)).collect();
                count += self.writer.submit_with_savepoint(move |tx| open_found(tx, still, some, now)).await?;
            }
            match next {
                Some(next) if !is_more => before = next,
                _ => return Ok(AtMost { count, is_more }),
            }
        }
    }

    /// Reads the next deliveries that match and are not pending, at most `most` and from at most `rows` rows.
    async fn settled(
        &self,
        filter: &DeliveryFilter,
        before: Cursor,
        rows: usize,
        most: u64,
    ) -> Result<(Vec<Found>, Option<Cursor>)> {
        let (scope, filter) = (self.scope.clone(), filter.clone());
        let read = move |connection: &Connection| settled(connection, (&scope, &filter), before, rows, most);
        self.readers.read_yielding(read).await
    }
}

fn settled(
    connection: &Connection,
    (scope, filter): (&Scope, &DeliveryFilter),
    before: Cursor,
    rows: usize,
    most: u64,
) -> Result<(Vec<Found>, Option<Cursor>)> {
    let mut all = Vec::new();
    let Some(wanted) = delivery_walk::resolve(connection, scope, filter)? else { return Ok((all, None)) };
    let next = delivery_walk::walk(connection, &wanted, Only::Settled, before.0, rows, |found| {
        all.push(found);
        Ok(if all.len() as u64 >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok((all, next))
}

/// Opens deliveries again, destination by destination. Those of destinations that were deleted meanwhile are left out.
fn open_found(tx: &mut Transaction<'_>, still: Still, found: Vec<Found>, now: Timestamp) -> Result<u64> {
    let mut by_destination: BTreeMap<DestinationKey, Vec<DeliveryId>> = BTreeMap::new();
    for one in found {
        by_destination.entry(one.destination).or_default().push(one.id);
    }
    let mut opened = 0;
    for (destination, deliveries) in by_destination {
        let exists = "SELECT 1 FROM destination WHERE key = ?1 AND deleted_at IS NULL";
        if tx.row(exists, [destination.0], |_| Ok(()))?.is_some() {
            opened += replay::open_all_again(tx, destination, still, &deliveries, now)?;
        }
    }
    Ok(opened)
}

#[cfg(test)]
mod tests;
