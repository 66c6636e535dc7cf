//! Where the events of an account go, and which destinations nothing is wrong with, as the write thread knows it, so
//! that the file is not asked for every event and every outcome.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::ids::{AccountId, AccountKey, DestinationId, DestinationKey};

/// Destinations that are kept, over all accounts; with more everything is asked for anew. The same for sound ones.
const MAX_DESTINATIONS: usize = 20_000;

/// A destination of an account.
#[derive(Debug)]
pub struct CachedDestination {
    /// Its key.
    pub key: DestinationKey,
    /// Its id.
    pub id: DestinationId,
    /// Whether it is paused.
    pub paused: bool,
}

/// An account with its destinations, in their order.
#[derive(Debug)]
pub struct AccountDestinations {
    /// The account's id.
    pub account: AccountId,
    /// Its destinations.
    pub all: Vec<CachedDestination>,
}

/// Those that were asked for since something last changed. It holds what the transaction under way sees, and so is to be
/// cleared when that is rolled back.
#[derive(Default)]
pub struct DestinationCache {
    accounts: HashMap<AccountKey, Arc<AccountDestinations>>,
    count: usize,
    healthy: HashSet<DestinationKey>,
}

impl DestinationCache {
    /// Those of an account, if they are known.
    pub fn get(&self, account: AccountKey) -> Option<Arc<AccountDestinations>> {
        self.accounts.get(&account).cloned()
    }

    /// Keeps those of an account.
    pub fn insert(&mut self, account: AccountKey, targets: Arc<AccountDestinations>) {
        if self.count > MAX_DESTINATIONS {
            self.clear();
        }
        self.count += 1 + targets.all.len();
        self.accounts.insert(account, targets);
    }

    /// Whether a destination is known to be there, not deleted and not failing: then a success changes nothing of it.
    pub fn is_healthy(&self, destination: DestinationKey) -> bool {
        self.healthy.contains(&destination)
    }

    /// Keeps that a destination is not deleted and not failing.
    pub fn insert_healthy(&mut self, destination: DestinationKey) {
        if self.healthy.len() > MAX_DESTINATIONS {
            self.healthy.clear();
        }
        self.healthy.insert(destination);
    }

    /// A destination is failing, which is told to nobody.
    pub fn failing(&mut self, destination: DestinationKey) {
        self.healthy.remove(&destination);
    }

    /// Some account or destination has changed, or a change was undone.
    pub fn clear(&mut self) {
        self.accounts.clear();
        self.count = 0;
        self.healthy.clear();
    }
}
