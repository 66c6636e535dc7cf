//! Subscriptions to counts of changes, for live pages. A page reads its list again when something in it may have
//! changed, so it needs no ids. Subscriptions to the deliveries themselves are in `follow.rs`.

use std::sync::Arc;

use super::follow::{self, Resolved};
use crate::domain::ids::{AccountId, DestinationId};
use crate::error::Result;
use crate::store::handle::{ScopedStore, Store};
use crate::store::memory::change_counts::{ChangedCounts, CountSubscriber};

/// An open subscription. The number of subscriptions is bounded; dropping one makes room for another.
pub struct CountSubscription {
    store: Store,
    subscriber: Arc<CountSubscriber>,
}

impl ScopedStore {
    /// Opens a subscription that counts changes from now on: all, or those of an account or a destination. A
    /// destination that begins to fail is not noted by itself, but its failed attempt is.
    ///
    /// # Errors
    /// Not found if the account or destination does not exist. Unavailable if there are too many subscribers, or the
    /// server is stopping.
    pub async fn follow_counts(
        &self,
        account_id: Option<AccountId>,
        destination_id: Option<DestinationId>,
    ) -> Result<CountSubscription> {
        // Added before anything is read, so that no change is missed.
        let caller = self.scope.account().map(|(_, key)| key);
        let narrow = caller.is_some() || account_id.is_some() || destination_id.is_some();
        let subscriber = self.memory.count_subscribers.add(narrow, caller)?;
        let subscription = CountSubscription { store: (**self).clone(), subscriber };
        if narrow {
            let ids = (account_id, destination_id);
            let Resolved { account, destination, keys } = self.resolve(ids.clone()).await?;
            {
                let mut noted = subscription.subscriber.noted();
                (noted.account, noted.destination) = (account, destination);
                noted.follow(keys);
            }
            // As in `follow`: until the account was set, a new destination was not added, and a deletion did not end
            // the subscription.
            let keys = self.resolve(ids).await?.keys;
            subscription.subscriber.noted().follow(keys);
        }
        Ok(subscription)
    }

    async fn resolve(&self, ids: (Option<AccountId>, Option<DestinationId>)) -> Result<Resolved> {
        let scope = self.scope.clone();
        self.readers.read(move |connection| follow::resolve(connection, &scope, ids.0.as_ref(), ids.1.as_ref())).await
    }
}

impl CountSubscription {
    /// Waits until something has changed, and returns the counts since the last call. `None` if the server stops, or if
    /// the account or destination was deleted.
    ///
    /// A caller that waits a moment between two calls is woken once for all that changed meanwhile.
    ///
    /// # Errors
    /// None at present.
    pub async fn next(&mut self) -> Result<Option<ChangedCounts>> {
        loop {
            let changed = self.subscriber.wake.notified();
            {
                let mut noted = self.subscriber.noted();
                if noted.ended {
                    return Ok(None);
                }
                let counts = std::mem::take(&mut noted.counts);
                if counts != ChangedCounts::default() {
                    return Ok(Some(counts));
                }
            }
            changed.await;
        }
    }
}

impl Drop for CountSubscription {
    fn drop(&mut self) {
        self.store.memory.count_subscribers.remove(&self.subscriber);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::store::operations::fixture::{Fixture, at};

    impl Fixture {
        async fn counts(&self, account: bool, destination: bool) -> CountSubscription {
            let account = account.then(|| self.account.id.clone());
            let destination = destination.then(|| self.destination.id.clone());
            self.store.follow_counts(account, destination).await.unwrap()
        }
    }

    #[tokio::test]
    async fn what_happens_between_two_calls_is_counted_together() {
        let fixture = Fixture::new().await;
        let mut follow = fixture.counts(false, false).await;
        let (_, delivery) = fixture.push(at(1)).await;
        fixture.push(at(1)).await;
        fixture.store.cancel_delivery(delivery, at(1)).await.unwrap();
        let counts = follow.next().await.unwrap().unwrap();
        assert_eq!(counts, ChangedCounts { created: 2, changed: 1, destinations: false });
        fixture.store.pause_destination(fixture.destination.id.clone(), at(2)).await.unwrap();
        let counts = follow.next().await.unwrap().unwrap();
        assert_eq!(counts, ChangedCounts { created: 0, changed: 0, destinations: true });
    }

    #[tokio::test]
    async fn an_accounts_new_destinations_are_counted_too_and_a_destinations_neighbours_are_not() {
        let fixture = Fixture::new().await;
        let (mut of_account, mut of_one) = (fixture.counts(true, false).await, fixture.counts(false, true).await);
        fixture.another(at(1)).await;
        fixture.push(at(1)).await;
        let (account, one) = (of_account.next().await.unwrap().unwrap(), of_one.next().await.unwrap().unwrap());
        assert_eq!(account, ChangedCounts { created: 2, changed: 0, destinations: true });
        assert_eq!(one, ChangedCounts { created: 1, changed: 0, destinations: false });
    }

    #[tokio::test]
    async fn it_ends_with_its_destination_with_its_account_and_with_the_server() {
        let fixture = Fixture::new().await;
        let (mut all, mut of_account) = (fixture.counts(false, false).await, fixture.counts(true, false).await);
        let mut of_one = fixture.counts(false, true).await;
        fixture.store.delete_destination(fixture.destination.id.clone(), at(1)).await.unwrap();
        assert!(of_one.next().await.unwrap().is_none());
        assert!(of_account.next().await.unwrap().is_some());
        fixture.store.delete_account(fixture.account.id.clone(), at(1)).await.unwrap();
        assert!(of_account.next().await.unwrap().is_none());
        assert!(all.next().await.unwrap().is_some());
        fixture.store.end_waits();
        assert!(all.next().await.unwrap().is_none());
        let gone = fixture.store.follow_counts(None, None).await;
        assert!(gone.is_err_and(|error| error.kind() != Kind::NotFound));
    }

    #[tokio::test]
    async fn what_does_not_exist_cannot_be_followed_and_takes_no_place() {
        let fixture = Fixture::new().await;
        for _ in 0..300 {
            let unknown = Some(AccountId::from_stored("nobody".to_owned()));
            let refused = fixture.store.follow_counts(unknown, None).await;
            assert!(refused.is_err_and(|error| error.kind() == Kind::NotFound));
        }
    }
}
