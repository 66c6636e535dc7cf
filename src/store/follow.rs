//! Who follows deliveries as they change (`GET /v1/deliveries/stream`). The write thread only notes ids, and only for
//! those that follow; the follower reads the rows when it is ready for them. So a slow follower holds nobody up, and
//! what it holds is bounded.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::change::Change;
use super::{Store, accounts, destinations, rows};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, DestinationKey};
use crate::error::{Error, Result};

/// Most that follow at once.
const MOST: usize = 64;

/// Changed deliveries that a follower has not read yet; further ones are counted and left out.
const MOST_NOTED: usize = 1_000;

/// Which deliveries are followed; all conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct FollowFilter {
    /// Of this account.
    pub account_id: Option<AccountId>,
    /// For this destination.
    pub destination_id: Option<DestinationId>,
    /// In this state after the change.
    pub state: Option<DeliveryState>,
}

/// What changed since it was asked for last.
#[derive(Debug)]
pub struct Followed {
    /// As they are now, in the order in which they changed first.
    pub deliveries: Vec<Delivery>,
    /// How many more changed than could be kept.
    pub skipped: u64,
}

/// A place among those that follow; given up with it.
pub struct Follow {
    store: Store,
    follower: Arc<Follower>,
    state: Option<DeliveryState>,
}

/// All that follow.
#[derive(Default)]
pub struct Followers {
    /// Spares the lock while nobody follows, which is most of the time.
    count: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    ended: bool,
    followers: Vec<Arc<Follower>>,
}

struct Follower {
    noted: Mutex<Noted>,
    wake: Notify,
}

#[derive(Default)]
struct Noted {
    /// Destinations that are followed; `None` for all.
    only: Option<HashSet<DestinationKey>>,
    /// New destinations of this account are followed as well; it ends with the account.
    account: Option<AccountKey>,
    /// It ends with this destination.
    destination: Option<DestinationKey>,
    order: Vec<DeliveryId>,
    known: HashSet<DeliveryId>,
    skipped: u64,
    ended: bool,
}

impl Store {
    /// Follows deliveries: notes each that is made, attempted, opened again by itself or cancelled from now on.
    ///
    /// # Errors
    /// Not found for an account or destination that does not exist; unavailable where too many follow already, or the
    /// server stops.
    pub async fn follow(&self, filter: FollowFilter) -> Result<Follow> {
        // Before the destinations are read, so that none that is made meanwhile is missed.
        let narrow = filter.account_id.is_some() || filter.destination_id.is_some();
        let follower = self.shared.followers.add(narrow)?;
        let follow = Follow { store: self.clone(), follower, state: filter.state };
        if narrow {
            let again = filter.clone();
            let resolved = self.readers.api(move |connection| resolve(connection, &filter)).await?;
            {
                let mut noted = follow.follower.noted();
                (noted.account, noted.destination) = (resolved.account, resolved.destination);
                noted.only.get_or_insert_default().extend(resolved.keys);
            }
            // What was deleted before it was known here, which would be told to nobody.
            self.readers.api(move |connection| resolve(connection, &again)).await?;
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

fn resolve(connection: &rusqlite::Connection, filter: &FollowFilter) -> Result<Resolved> {
    let account = filter.account_id.as_ref().map(|id| accounts::existing(connection, id)).transpose()?;
    if let Some(id) = &filter.destination_id {
        let destination = destinations::existing(connection, id)?;
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
    pub async fn next(&mut self) -> Result<Option<Followed>> {
        let (ids, skipped) = loop {
            let changed = self.follower.wake.notified();
            {
                let mut noted = self.follower.noted();
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
        let shared = Arc::clone(&self.store.shared);
        let query = format!("SELECT {} FROM {} WHERE v.id = ?1", rows::DELIVERY, rows::DELIVERY_TABLES);
        let read = move |connection: &rusqlite::Connection| {
            let one = |id: &DeliveryId| rows::first(connection, &query, [id.0], |row| rows::delivery(row, &shared));
            // One that was deleted meanwhile is left out.
            ids.iter().filter_map(|id| one(id).transpose()).collect::<Result<Vec<_>>>()
        };
        let mut deliveries = self.store.readers.api(read).await?;
        deliveries.retain(|delivery| self.state.is_none_or(|state| delivery.state == state));
        Ok(Some(Followed { deliveries, skipped }))
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.store.shared.followers.remove(&self.follower);
    }
}

impl Followers {
    fn add(&self, narrow: bool) -> Result<Arc<Follower>> {
        let mut list = self.list();
        if list.ended {
            return Err(super::writer::stopping());
        }
        if list.followers.len() >= MOST {
            let detail = format!("{MOST} streams are open already; close one, or page through the list instead.");
            return Err(Error::unavailable("too_many_streams", detail));
        }
        let noted = Noted { only: narrow.then(HashSet::new), ..Noted::default() };
        let follower = Arc::new(Follower { noted: Mutex::new(noted), wake: Notify::new() });
        list.followers.push(Arc::clone(&follower));
        self.count.store(list.followers.len(), Ordering::Relaxed);
        Ok(follower)
    }

    fn remove(&self, follower: &Arc<Follower>) {
        let mut list = self.list();
        list.followers.retain(|known| !Arc::ptr_eq(known, follower));
        self.count.store(list.followers.len(), Ordering::Relaxed);
    }

    /// Ends all: the server stops.
    pub fn end(&self) {
        let mut list = self.list();
        list.ended = true;
        for follower in &list.followers {
            follower.noted().ended = true;
            follower.wake.notify_one();
        }
    }

    /// Notes what a commit changed. Called on the write thread.
    pub fn after_commit(&self, changes: &[Change]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        for follower in &self.list().followers {
            let mut noted = follower.noted();
            changes.iter().for_each(|change| noted.take(change));
            if noted.ended || !noted.order.is_empty() {
                follower.wake.notify_one();
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn take(&mut self, change: &Change) {
        match change {
            Change::Accepted(event) => {
                event.deliveries.iter().for_each(|(delivery, destination)| self.note(*delivery, *destination));
            }
            Change::Settled { destination, delivery, .. }
            | Change::Urgent { destination, delivery, .. }
            | Change::Cancelled { destination, delivery } => self.note(*delivery, *destination),
            Change::Destination(destination) if self.account == Some(destination.account_key) => {
                self.only.get_or_insert_default().insert(destination.key);
            }
            Change::Gone(destination) => self.ended |= self.destination == Some(*destination),
            Change::AccountGone(account) => self.ended |= self.account == Some(*account),
            Change::Afresh(_) | Change::Destination(_) | Change::Reopened(_) => {}
        }
    }

    fn note(&mut self, delivery: DeliveryId, destination: DestinationKey) {
        if self.only.as_ref().is_some_and(|only| !only.contains(&destination)) || self.known.contains(&delivery) {
            return;
        }
        if self.order.len() >= MOST_NOTED {
            self.skipped += 1;
            return;
        }
        self.known.insert(delivery);
        self.order.push(delivery);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(delivery: i64, destination: i64) -> Change {
        Change::Settled { destination: DestinationKey(destination), delivery: DeliveryId(delivery), due: None }
    }

    #[test]
    fn a_delivery_that_changes_twice_is_noted_once() {
        let followers = Followers::default();
        let follower = followers.add(false).unwrap();
        followers.after_commit(&[settled(2, 1), settled(1, 1), settled(2, 1)]);
        assert_eq!(follower.noted().order, [DeliveryId(2), DeliveryId(1)]);
    }

    #[test]
    fn what_is_more_than_a_follower_may_hold_is_counted() {
        let followers = Followers::default();
        let follower = followers.add(false).unwrap();
        let changes: Vec<Change> = (0..MOST_NOTED as i64 + 5).map(|id| settled(id, 1)).collect();
        followers.after_commit(&changes);
        let noted = follower.noted();
        assert_eq!((noted.order.len(), noted.skipped), (MOST_NOTED, 5));
    }

    #[test]
    fn other_destinations_are_not_noted() {
        let followers = Followers::default();
        let follower = followers.add(true).unwrap();
        follower.noted().only.get_or_insert_default().insert(DestinationKey(7));
        followers.after_commit(&[settled(1, 6), settled(2, 7)]);
        assert_eq!(follower.noted().order, [DeliveryId(2)]);
    }

    #[test]
    fn there_is_a_bound_and_a_place_that_is_given_up_is_free() {
        let followers = Followers::default();
        let all: Vec<_> = (0..MOST).map(|_| followers.add(false).unwrap()).collect();
        assert!(followers.add(false).is_err_and(|error| error.code() == "too_many_streams"));
        followers.remove(&all[0]);
        assert!(followers.add(false).is_ok());
    }
}
