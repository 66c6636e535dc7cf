//! Subscribers that follow deliveries as they change. The write thread only notes ids here; `operations/follow.rs`
//! reads the rows.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::ids::{AccountKey, DeliveryId, DestinationKey};
use crate::error::Result;
use crate::store::change::Change;
use crate::store::error::stopping;
use crate::store::memory::places::Places;

/// How many subscribers there may be. Bounds their memory, and the work of the write thread after each commit.
const PLACES: Places = Places {
    all: 64,
    of_account: 8,
    noun: "streams of deliveries",
    instead: "close one, or page through the list instead",
};

/// Maximum number of changed deliveries that one subscriber has not read yet. More are counted and left out.
const MAX_PENDING: usize = 1_000;

/// All subscribers.
#[derive(Default)]
pub struct Subscribers {
    /// Number of subscribers. Avoids the lock while nobody follows, which is most of the time.
    count: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    ended: bool,
    followers: Vec<Arc<Subscriber>>,
}

/// One subscriber, and the changes that it has not read yet.
pub struct Subscriber {
    /// The account that the caller reaches; `None` if it reaches all.
    caller: Option<AccountKey>,
    pending: Mutex<PendingChanges>,
    /// Wakes the subscriber when there is something to read, or nothing more will come.
    pub wake: Notify,
}

/// The changes that one subscriber has not read yet.
#[derive(Default)]
pub struct PendingChanges {
    /// Destinations that are followed; `None` for all.
    pub only: Option<HashSet<DestinationKey>>,
    /// Destinations of this account that are created or changed are followed as well. The subscription ends with the
    /// account.
    pub account: Option<AccountKey>,
    /// The subscription ends with this destination.
    pub destination: Option<DestinationKey>,
    /// Changed deliveries, in the order in which they changed first.
    pub order: Vec<DeliveryId>,
    /// The same deliveries, so that each is noted once.
    pub known: HashSet<DeliveryId>,
    /// How many changed deliveries were left out.
    pub skipped: u64,
    /// Whether the subscription is over.
    pub ended: bool,
}

impl Subscribers {
    /// Adds a subscriber for a caller that reaches the account `caller`, or all if `None`. If `narrow`, no destination is
    /// followed yet; otherwise all are.
    ///
    /// # Errors
    /// Unavailable if the server stops, or there is no place for this caller in [`PLACES`].
    pub fn add(&self, narrow: bool, caller: Option<AccountKey>) -> Result<Arc<Subscriber>> {
        let mut list = self.list();
        if list.ended {
            return Err(stopping());
        }
        PLACES.check(caller, list.followers.iter().map(|follower| follower.caller))?;
        let noted = PendingChanges { only: narrow.then(HashSet::new), ..PendingChanges::default() };
        let follower = Arc::new(Subscriber { caller, pending: Mutex::new(noted), wake: Notify::new() });
        list.followers.push(Arc::clone(&follower));
        self.count.store(list.followers.len(), Ordering::Relaxed);
        Ok(follower)
    }

    /// Removes a subscriber, which makes place for another.
    pub fn remove(&self, follower: &Arc<Subscriber>) {
        let mut list = self.list();
        list.followers.retain(|known| !Arc::ptr_eq(known, follower));
        self.count.store(list.followers.len(), Ordering::Relaxed);
    }

    /// Ends all subscriptions: the server stops.
    pub fn end(&self) {
        let mut list = self.list();
        list.ended = true;
        for follower in &list.followers {
            follower.pending().ended = true;
            follower.wake.notify_one();
        }
    }

    /// Notes what a commit changed. The write thread calls this after each commit.
    pub fn after_commit(&self, changes: &[Change]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        for follower in &self.list().followers {
            let mut noted = follower.pending();
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

impl Subscriber {
    pub fn pending(&self) -> MutexGuard<'_, PendingChanges> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingChanges {
    fn take(&mut self, change: &Change) {
        match change {
            Change::Accepted(event) => {
                event.deliveries.iter().for_each(|(delivery, destination)| self.add(*delivery, *destination));
            }
            Change::OutcomeRecorded { destination, delivery, .. }
            | Change::RetryNow { destination, delivery, .. }
            | Change::Cancelled { destination, delivery } => self.add(*delivery, *destination),
            Change::DestinationChanged(destination) if self.account == Some(destination.account_key) => {
                self.only.get_or_insert_default().insert(destination.key);
            }
            Change::DestinationDeleted(destination) => self.ended |= self.destination == Some(*destination),
            Change::AccountDeleted(account) => self.ended |= self.account == Some(*account),
            Change::Reloaded(_) | Change::DestinationChanged(_) | Change::Reopened(_) => {}
        }
    }

    fn add(&mut self, delivery: DeliveryId, destination: DestinationKey) {
        if self.only.as_ref().is_some_and(|only| !only.contains(&destination)) || self.known.contains(&delivery) {
            return;
        }
        if self.order.len() >= MAX_PENDING {
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
    use crate::error::Unavailable;

    fn settled(delivery: i64, destination: i64) -> Change {
        Change::OutcomeRecorded { destination: DestinationKey(destination), delivery: DeliveryId(delivery), due: None }
    }

    #[test]
    fn a_delivery_that_changes_twice_is_noted_once() {
        let followers = Subscribers::default();
        let follower = followers.add(false, None).unwrap();
        followers.after_commit(&[settled(2, 1), settled(1, 1), settled(2, 1)]);
        assert_eq!(follower.pending().order, [DeliveryId(2), DeliveryId(1)]);
    }

    #[test]
    fn what_is_more_than_a_follower_may_hold_is_counted() {
        let followers = Subscribers::default();
        let follower = followers.add(false, None).unwrap();
        let changes: Vec<Change> = (0..MAX_PENDING as i64 + 5).map(|id| settled(id, 1)).collect();
        followers.after_commit(&changes);
        let noted = follower.pending();
        assert_eq!((noted.order.len(), noted.skipped), (MAX_PENDING, 5));
    }

    #[test]
    fn other_destinations_are_not_noted() {
        let followers = Subscribers::default();
        let follower = followers.add(true, None).unwrap();
        follower.pending().only.get_or_insert_default().insert(DestinationKey(7));
        followers.after_commit(&[settled(1, 6), settled(2, 7)]);
        assert_eq!(follower.pending().order, [DeliveryId(2)]);
    }

    #[test]
    fn there_is_a_bound_and_a_place_that_is_given_up_is_free() {
        let followers = Subscribers::default();
        let all: Vec<_> = (0..PLACES.all).map(|_| followers.add(false, None).unwrap()).collect();
        assert!(followers.add(false, None).is_err_and(|error| error.is_unavailable(Unavailable::TooManyStreams)));
        followers.remove(&all[0]);
        assert!(followers.add(false, None).is_ok());
    }
}
