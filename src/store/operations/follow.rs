//! Who follows deliveries as they change (`GET /v1/deliveries/stream`). The write thread only notes ids, and only for
//! those that follow; the follower reads the rows when it is ready for them. So a slow follower holds nobody up, and
//! what it holds is bounded.

use std::sync::Arc;

use super::{accounts, destinations, rows};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, DestinationKey};
use crate::error::Result;
use crate::store::handle::Store;
use crate::store::memory::followers::Subscriber;

/// Which deliveries are followed; all conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct Subscription {
    /// Of this account.
    pub account_id: Option<AccountId>,
    /// For this destination.
    pub destination_id: Option<DestinationId>,
    /// In this state after the change.
    pub state: Option<DeliveryState>,
}

/// What changed since it was asked for last.
#[derive(Debug)]
pub struct ChangedDeliveries {
    /// As they are now, in the order in which they changed first.
    pub deliveries: Vec<Delivery>,
    /// How many more changed than could be kept.
    pub skipped: u64,
}

/// A place among those that follow; given up with it.
pub struct Follow {
    store: Store,
    follower: Arc<Subscriber>,
    state: Option<DeliveryState>,
}

impl Store {
    /// Follows deliveries: notes each that is made, attempted, opened again by itself or cancelled from now on.
    ///
    /// # Errors
    /// Not found for an account or destination that does not exist; unavailable where too many follow already, or the
    /// server stops.
    pub async fn follow(&self, filter: Subscription) -> Result<Follow> {
        // Before the destinations are read, so that none that is made meanwhile is missed.
        let narrow = filter.account_id.is_some() || filter.destination_id.is_some();
        let follower = self.memory.followers.add(narrow)?;
        let follow = Follow { store: self.clone(), follower, state: filter.state };
        if narrow {
            let again = filter.clone();
            let resolved = self.readers.read(move |connection| resolve(connection, &filter)).await?;
            {
                let mut noted = follow.follower.pending();
                (noted.account, noted.destination) = (resolved.account, resolved.destination);
                noted.only.get_or_insert_default().extend(resolved.keys);
            }
            // What was deleted before it was known here, which would be told to nobody.
            self.readers.read(move |connection| resolve(connection, &again)).await?;
        }
        Ok(follow)
    }
}

/// What a filter stands for.
struct Resolved {
    /// The account whose new destinations are followed too.
    account: Option<AccountKey>,
    /// The one destination.
    destination: Option<DestinationKey>,
    /// The destinations that there are.
    keys: Vec<DestinationKey>,
}

fn resolve(connection: &rusqlite::Connection, filter: &Subscription) -> Result<Resolved> {
    let account = filter.account_id.as_ref().map(|id| accounts::require(connection, id)).transpose()?;
    if let Some(id) = &filter.destination_id {
        let destination = destinations::require(connection, id)?;
        let fits = account.is_none_or(|account| account.key == destination.account_key);
        let keys = if fits { vec![destination.key] } else { Vec::new() };
        return Ok(Resolved { account: None, destination: Some(destination.key), keys });
    }
    let Some(account) = account else { return Ok(Resolved { account: None, destination: None, keys: Vec::new() }) };
    let query = "SELECT key FROM destination WHERE account_key = ?1 AND deleted_at IS NULL";
    let keys = rows::all(connection, query, [account.key.0], |row| row.get(0).map(DestinationKey))?;
    Ok(Resolved { account: Some(account.key), destination: None, keys })
}

impl Follow {
    /// Waits until something has changed, and gives it, or nothing where none of it is in the state that is followed;
    /// `None` once the server stops, or what is followed was deleted.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn next(&mut self) -> Result<Option<ChangedDeliveries>> {
        let (ids, skipped) = loop {
            let changed = self.follower.wake.notified();
            {
                let mut noted = self.follower.pending();
                if noted.ended {
                    return Ok(None);
                }
                if !noted.order.is_empty() {
                    noted.known.clear();
                    break (std::mem::take(&mut noted.order), std::mem::take(&mut noted.skipped));
                }
            }
            changed.await;
        };
        let memory = Arc::clone(&self.store.memory);
        let query = format!("SELECT {} FROM {} WHERE v.id = ?1", rows::DELIVERY, rows::DELIVERY_TABLES);
        let read = move |connection: &rusqlite::Connection| {
            let one = |id: &DeliveryId| rows::first(connection, &query, [id.0], |row| rows::delivery(row, &memory));
            // One that was deleted meanwhile is left out.
            ids.iter().filter_map(|id| one(id).transpose()).collect::<Result<Vec<_>>>()
        };
        let mut deliveries = self.store.readers.read(read).await?;
        deliveries.retain(|delivery| self.state.is_none_or(|state| delivery.state == state));
        Ok(Some(ChangedDeliveries { deliveries, skipped }))
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.store.memory.followers.remove(&self.follower);
    }
}
