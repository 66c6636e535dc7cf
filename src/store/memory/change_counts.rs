//! Subscribers that count changes, without their ids. Pages that show the newest of a list need no more: they read the
//! list again when something has changed. The write thread only adds to a few numbers, whatever a commit holds.
//! Subscribers that need each changed delivery are in `followers.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::ids::{AccountKey, DestinationKey};
use crate::error::Result;
use crate::store::change::Change;
use crate::store::error::stopping;
use crate::store::memory::places::Places;

/// How many subscribers there may be. Bounds the work of the write thread after each commit. Apart from the bound of
/// subscribers that get each delivery, so that open pages do not take the places of API streams.
const PLACES: Places = Places { all: 256, of_account: 32, noun: "live pages", instead: "close one first" };

/// What has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangedCounts {
    /// Deliveries that new events created.
    pub created: u64,
    /// Changes of deliveries: attempts, retries, cancellations, and steps of a replay.
    pub changed: u64,
    /// Whether a destination was created, changed, paused, resumed or deleted, or an account deleted.
    pub destinations: bool,
}

impl ChangedCounts {
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn add(&mut self, more: Self) {
        self.created += more.created;
        self.changed += more.changed;
        self.destinations |= more.destinations;
    }
}

/// All subscribers.
#[derive(Default)]
pub struct CountSubscribers {
    /// Number of subscribers. Avoids the lock while there is none, which is most of the time.
    count: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    ended: bool,
    subscribers: Vec<Arc<CountSubscriber>>,
}

/// One subscriber, and the counts that it has not read yet.
pub struct CountSubscriber {
    /// The account that the caller reaches; `None` if it reaches all.
    caller: Option<AccountKey>,
    noted: Mutex<Noted>,
    /// Wakes the subscriber when there is something to read, or nothing more will come.
    pub wake: Notify,
}

/// What one subscriber follows, and the counts that it has not read yet.
#[derive(Default)]
pub struct Noted {
    /// Destinations that are followed, in order; `None` for all.
    pub only: Option<Vec<DestinationKey>>,
    /// Destinations of this account that are created or changed are followed as well. The subscription ends with the
    /// account.
    pub account: Option<AccountKey>,
    /// The subscription ends with this destination.
    pub destination: Option<DestinationKey>,
    /// What has changed since it was last read.
    pub counts: ChangedCounts,
    /// Whether the subscription is over.
    pub ended: bool,
}

impl CountSubscribers {
    /// Adds a subscriber for a caller that reaches the account `caller`, or all if `None`. If `narrow`, no destination is
    /// followed yet; otherwise all are.
    ///
    /// # Errors
    /// Unavailable if the server stops, or there is no place for this caller in [`PLACES`].
    pub fn add(&self, narrow: bool, caller: Option<AccountKey>) -> Result<Arc<CountSubscriber>> {
        let mut list = self.list();
        if list.ended {
            return Err(stopping());
        }
        PLACES.check(caller, list.subscribers.iter().map(|subscriber| subscriber.caller))?;
        let noted = Noted { only: narrow.then(Vec::new), ..Noted::default() };
        let subscriber = Arc::new(CountSubscriber { caller, noted: Mutex::new(noted), wake: Notify::new() });
        list.subscribers.push(Arc::clone(&subscriber));
        self.count.store(list.subscribers.len(), Ordering::Relaxed);
        Ok(subscriber)
    }

    /// Removes a subscriber, which makes place for another.
    pub fn remove(&self, subscriber: &Arc<CountSubscriber>) {
        let mut list = self.list();
        list.subscribers.retain(|known| !Arc::ptr_eq(known, subscriber));
        self.count.store(list.subscribers.len(), Ordering::Relaxed);
    }

    /// Ends all subscriptions: the server stops.
    pub fn end(&self) {
        let mut list = self.list();
        list.ended = true;
        for subscriber in &list.subscribers {
            subscriber.noted().ended = true;
            subscriber.wake.notify_one();
        }
    }

    /// Counts what a commit changed. The write thread calls this after each commit.
    pub fn after_commit(&self, changes: &[Change]) {
        if self.count.load(Ordering::Relaxed) == 0 || changes.is_empty() {
            return;
        }
        // Counted once for all subscribers without a filter.
        let mut all = Noted::default();
        changes.iter().for_each(|change| all.take(change));
        for subscriber in &self.list().subscribers {
            let mut noted = subscriber.noted();
            let had_some = !noted.counts.is_empty();
            match noted.only {
                None => noted.counts.add(all.counts),
                Some(_) => changes.iter().for_each(|change| noted.take(change)),
            }
            // A subscriber that has not read its counts yet was woken for the first of them.
            if noted.ended || (!had_some && !noted.counts.is_empty()) {
                subscriber.wake.notify_one();
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CountSubscriber {
    pub fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// Follows these destinations too.
    pub fn follow(&mut self, keys: impl IntoIterator<Item = DestinationKey>) {
        let only = self.only.get_or_insert_default();
        only.extend(keys);
        only.sort_unstable();
        only.dedup();
    }

    fn follows(&self, destination: DestinationKey) -> bool {
        self.only.as_ref().is_none_or(|only| only.binary_search(&destination).is_ok())
    }

    fn take(&mut self, change: &Change) {
        match change {
            Change::Accepted(event) => self.created(&event.deliveries),
            Change::OutcomeRecorded { destination, .. }
            | Change::RetryNow { destination, .. }
            | Change::Cancelled { destination, .. }
            | Change::Reopened(destination) => self.counts.changed += u64::from(self.follows(*destination)),
            Change::DestinationChanged(destination) => {
                if self.account == Some(destination.account_key) && !self.follows(destination.key) {
                    self.follow([destination.key]);
                }
                self.counts.destinations |= self.follows(destination.key);
            }
            Change::DestinationDeleted(destination) => {
                self.counts.destinations |= self.follows(*destination);
                self.ended |= self.destination == Some(*destination);
            }
            Change::AccountDeleted(account) => {
                self.counts.destinations |= self.only.is_none();
                self.ended |= self.account == Some(*account);
            }
            // What was followed may have changed in any way.
            Change::Reloaded(_) => self.counts.add(ChangedCounts { created: 0, changed: 1, destinations: true }),
        }
    }

    /// Counts the deliveries of one event. They belong to one account, so often all or none of them are followed.
    fn created<T>(&mut self, deliveries: &[(T, DestinationKey)]) {
        let followed = match &self.only {
            None => deliveries.len(),
            // One search for each destination that is followed, if these are fewer.
            Some(only) if only.len() < deliveries.len() => {
                only.iter().filter(|key| deliveries.binary_search_by_key(*key, |(_, key)| *key).is_ok()).count()
            }
            Some(_) => deliveries.iter().filter(|(_, key)| self.follows(*key)).count(),
        };
        self.counts.created += followed as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::Document;
    use crate::domain::ids::{DeliveryId, EventId};
    use crate::error::Unavailable;
    use crate::store::change::NewEvent;

    fn accepted(destinations: impl IntoIterator<Item = i64>) -> Change {
        let deliveries = destinations.into_iter().map(|key| (DeliveryId(key), DestinationKey(key))).collect();
        Change::Accepted(NewEvent { id: EventId(1), payload: Document::from(b"{}".as_slice()), deliveries })
    }

    fn settled(destination: i64) -> Change {
        Change::OutcomeRecorded { destination: DestinationKey(destination), delivery: DeliveryId(1), due: None }
    }

    fn counted(subscriber: &CountSubscriber) -> (u64, u64, bool) {
        let ChangedCounts { created, changed, destinations } = std::mem::take(&mut subscriber.noted().counts);
        (created, changed, destinations)
    }

    #[test]
    fn whoever_follows_all_counts_all() {
        let subscribers = CountSubscribers::default();
        let one = subscribers.add(false, None).unwrap();
        let cancelled = Change::Cancelled { destination: DestinationKey(2), delivery: DeliveryId(1) };
        subscribers.after_commit(&[accepted(1..=5), accepted([7]), settled(1), cancelled]);
        subscribers.after_commit(&[Change::Reopened(DestinationKey(9))]);
        assert_eq!(counted(&one), (6, 3, false));
        subscribers.after_commit(&[Change::DestinationDeleted(DestinationKey(9))]);
        assert_eq!(counted(&one), (0, 0, true));
        subscribers.after_commit(&[Change::AccountDeleted(AccountKey(1))]);
        assert_eq!(counted(&one), (0, 0, true));
        assert!(!one.noted().ended);
    }

    #[test]
    fn other_destinations_are_not_counted() {
        let subscribers = CountSubscribers::default();
        let (few, many) = (subscribers.add(true, None).unwrap(), subscribers.add(true, None).unwrap());
        few.noted().follow([DestinationKey(7), DestinationKey(3)]);
        many.noted().follow((3..20).map(DestinationKey));
        let gone = Change::DestinationDeleted(DestinationKey(1));
        subscribers.after_commit(&[accepted(1..=5), accepted([7]), accepted([1]), settled(1), settled(7), gone]);
        assert_eq!(counted(&few), (2, 1, false));
        assert_eq!(counted(&many), (4, 1, false));
        subscribers.after_commit(&[Change::AccountDeleted(AccountKey(1))]);
        assert_eq!(counted(&few), (0, 0, false));
    }

    #[test]
    fn a_subscription_ends_with_what_it_follows() {
        let subscribers = CountSubscribers::default();
        let (account, destination) = (subscribers.add(true, None).unwrap(), subscribers.add(true, None).unwrap());
        account.noted().account = Some(AccountKey(4));
        destination.noted().destination = Some(DestinationKey(7));
        let (other_destination, other_account) = (DestinationKey(6), AccountKey(5));
        let others = [Change::DestinationDeleted(other_destination), Change::AccountDeleted(other_account)];
        subscribers.after_commit(&others);
        assert!(!account.noted().ended && !destination.noted().ended);
        let both = [Change::DestinationDeleted(DestinationKey(7)), Change::AccountDeleted(AccountKey(4))];
        subscribers.after_commit(&both);
        assert!(account.noted().ended && destination.noted().ended);
    }

    #[test]
    fn after_a_failure_everything_may_have_changed() {
        let subscribers = CountSubscribers::default();
        let all = [subscribers.add(false, None).unwrap(), subscribers.add(true, None).unwrap()];
        subscribers.after_commit(&[Change::Reloaded(Vec::new())]);
        assert_eq!(all.map(|one| counted(&one)), [(0, 1, true); 2]);
    }

    #[test]
    fn there_is_a_bound_and_a_place_that_is_given_up_is_free() {
        let subscribers = CountSubscribers::default();
        let all: Vec<_> = (0..PLACES.all).map(|_| subscribers.add(false, None).unwrap()).collect();
        assert!(subscribers.add(false, None).is_err_and(|error| error.is_unavailable(Unavailable::TooManyStreams)));
        subscribers.remove(&all[0]);
        assert!(subscribers.add(false, None).is_ok());
    }
}
