//! Subscriptions to deliveries as they change (`GET /v1/deliveries/stream`). The write thread only notes ids, and only
//! for subscribers. A subscriber reads the rows itself when it is ready. So a slow subscriber delays nobody, and what
//! is kept for it is bounded.

use std::sync::Arc;

use super::{accounts, destinations, rows};
use crate::domain::access::Scope;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, DestinationKey};
use crate::error::Result;
use crate::store::handle::{ScopedStore, Store};
use crate::store::memory::followers::Subscriber;

/// Which deliveries a subscriber gets. All conditions must be true.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionFilter {
    /// Deliveries of this account.
    pub account_id: Option<AccountId>,
    /// Deliveries for this destination.
    pub destination_id: Option<DestinationId>,
    /// Deliveries that are in this state after the change.
    pub state: Option<DeliveryState>,
    /// Deliveries of events of this type.
    pub event_type: Option<EventType>,
}

/// What changed since the last call of [`Subscription::next`].
#[derive(Debug)]
pub struct ChangedDeliveries {
    /// The deliveries as they are now, in the order of each one's first change.
    pub deliveries: Vec<Delivery>,
    /// Changes that were counted but not kept, because too many deliveries were waiting to be read.
    pub skipped: u64,
}

/// An open subscription. The number of subscriptions is bounded; dropping one makes room for another.
pub struct Subscription {
    store: Store,
    subscriber: Arc<Subscriber>,
    state: Option<DeliveryState>,
    event_type: Option<EventType>,
}

impl ScopedStore {
    /// Opens a subscription, which notes each delivery that is created, attempted, opened again one by one, or
    /// cancelled from now on. A delivery that [`ScopedStore::replay_destination`] opens again is noted only at its next
    /// change.
    ///
    /// # Errors
    /// Not found if the account or destination does not exist. Unavailable if there are too many subscribers, or the
    /// server is stopping.
    pub async fn follow(&self, filter: SubscriptionFilter) -> Result<Subscription> {
        // Added before anything is read, so that no change is missed.
        let caller = self.scope.account().map(|(_, key)| key);
        let narrow = caller.is_some() || filter.account_id.is_some() || filter.destination_id.is_some();
        let follower = self.memory.subscribers.add(narrow, caller)?;
        let follow = Subscription {
            store: (**self).clone(),
            subscriber: follower,
            state: filter.state,
            event_type: filter.event_type.clone(),
        };
        if narrow {
            let (of, again) = (filter.clone(), filter);
            let scope = self.scope.clone();
            let keys = move |connection: &rusqlite::Connection, of: &SubscriptionFilter| {
                resolve(connection, &scope, of.account_id.as_ref(), of.destination_id.as_ref())
            };
            let keys_again = keys.clone();
            let resolved = self.readers.read(move |connection| keys(connection, &of)).await?;
            {
                let mut noted = follow.subscriber.pending();
                (noted.account, noted.destination) = (resolved.account, resolved.destination);
                noted.only.get_or_insert_default().extend(resolved.keys);
            }
            // Until the account was set, a new destination of the account was not added, and a deletion did not end the
            // subscription. The second read finds the one and fails for the other.
            let resolved = self.readers.read(move |connection| keys_again(connection, &again)).await?;
            follow.subscriber.pending().only.get_or_insert_default().extend(resolved.keys);
        }
        Ok(follow)
    }
}

/// The keys that a filter stands for.
pub struct Resolved {
    /// The account whose new destinations are followed too. The subscription ends with this account.
    pub account: Option<AccountKey>,
    /// The one destination of the filter. The subscription ends with this destination.
    pub destination: Option<DestinationKey>,
    /// The destinations that exist now and match.
    pub keys: Vec<DestinationKey>,
}

/// Replaces public ids by keys. For a caller that reaches one account, that account stands for none.
///
/// # Errors
/// Not found if the account or destination does not exist.
pub fn resolve(
    connection: &rusqlite::Connection,
    scope: &Scope,
    account: Option<&AccountId>,
    destination: Option<&DestinationId>,
) -> Result<Resolved> {
    let account = account.or(scope.account().map(|(id, _)| id));
    let account = account.map(|id| accounts::require(connection, scope, id)).transpose()?;
    if let Some(id) = destination {
        let destination = destinations::require(connection, scope, id)?;
        let fits = account.is_none_or(|account| account.key == destination.account_key);
        let keys = if fits { vec![destination.key] } else { Vec::new() };
        return Ok(Resolved { account: None, destination: Some(destination.key), keys });
    }
    let Some(account) = account else { return Ok(Resolved { account: None, destination: None, keys: Vec::new() }) };
    let query = "SELECT key FROM destination WHERE account_key = ?1 AND deleted_at IS NULL";
    let keys = rows::all(connection, query, [account.key.0], |row| row.get(0).map(DestinationKey))?;
    Ok(Resolved { account: Some(account.key), destination: None, keys })
}

impl Subscription {
    /// Waits until something has changed, and returns the changed deliveries. The list is empty if no changed delivery
    /// is in the wanted state. `None` if the server stops, or if the account or destination was deleted.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn next(&mut self) -> Result<Option<ChangedDeliveries>> {
        let (ids, skipped) = loop {
            let changed = self.subscriber.wake.notified();
            {
                let mut noted = self.subscriber.pending();
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
            // A delivery that was deleted in the meantime is left out.
            ids.iter().filter_map(|id| one(id).transpose()).collect::<Result<Vec<_>>>()
        };
        let mut deliveries = self.store.readers.read(read).await?;
        deliveries.retain(|delivery| {
            self.state.is_none_or(|state| delivery.state == state)
                && (self.event_type.is_none() || delivery.event_type == self.event_type)
        });
        Ok(Some(ChangedDeliveries { deliveries, skipped }))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.store.memory.subscribers.remove(&self.subscriber);
    }
}
