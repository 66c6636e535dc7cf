//! The destinations of accounts, and which destinations are healthy, as the write thread knows them. So not every event
//! and every outcome needs a query. Only the write thread uses this cache; readers ask the file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::conditions::AccountConditions;
use crate::domain::ids::{AccountId, AccountKey, DestinationId, DestinationKey};

/// Bounds the accounts and destinations that are cached together; above this the cache starts empty again. Healthy
/// destinations are counted apart, with the same bound.
const MAX_DESTINATIONS: usize = 20_000;

/// A destination of an account.
#[derive(Debug)]
pub struct CachedDestination {
    /// Key of the destination's row.
    pub key: DestinationKey,
    /// Public id of the destination.
    pub id: DestinationId,
    /// Whether the destination is paused.
    pub paused: bool,
}

/// An account with its destinations, ordered by key.
#[derive(Debug)]
pub struct AccountDestinations {
    /// Id of the account.
    pub account: AccountId,
    /// The destinations of the account.
    pub all: Vec<CachedDestination>,
    /// Which events are for them, in the same order. `None` if every event is for all of them.
    pub conditions: Option<Arc<AccountConditions>>,
}

/// What was asked for since an account or destination last changed. The cache contains what the open transaction sees,
/// so a rollback must clear the cache.
#[derive(Default)]
pub struct DestinationCache {
    accounts: HashMap<AccountKey, Arc<AccountDestinations>>,
    count: usize,
    healthy: HashSet<DestinationKey>,
}

impl DestinationCache {
    /// The destinations of an account, if they are cached.
    pub fn get(&self, account: AccountKey) -> Option<Arc<AccountDestinations>> {
        self.accounts.get(&account).cloned()
    }

    /// Caches the destinations of an account.
    pub fn insert(&mut self, account: AccountKey, targets: Arc<AccountDestinations>) {
        if self.count > MAX_DESTINATIONS {
            self.clear();
        }
        self.count += 1 + targets.all.len();
        self.accounts.insert(account, targets);
    }

    /// Whether a destination is known to exist, to be not deleted and not failing. Then a success changes nothing of
    /// its row.
    pub fn is_healthy(&self, destination: DestinationKey) -> bool {
        self.healthy.contains(&destination)
    }

    /// Caches that a destination is not deleted and not failing.
    pub fn insert_healthy(&mut self, destination: DestinationKey) {
        if self.healthy.len() > MAX_DESTINATIONS {
            self.healthy.clear();
        }
        self.healthy.insert(destination);
    }

    /// A destination is failing now. No `Change` says so, hence the caller must.
    pub fn failing(&mut self, destination: DestinationKey) {
        self.healthy.remove(&destination);
    }

    /// Forgets everything: an account or destination has changed, or a transaction was rolled back.
    pub fn clear(&mut self) {
        self.accounts.clear();
        self.count = 0;
        self.healthy.clear();
    }
}
