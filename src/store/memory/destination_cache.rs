//! Where the events of an account go, and which destinations nothing is wrong with, as the write thread knows it, so
//! that the file is not asked for every event and every outcome.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::ids::{AccountId, AccountKey, DestinationId, DestinationKey};

/// Destinations that are kept, over all accounts; with more everything is asked for anew. The same for sound ones.
const MOST: usize = 20_000;

/// A destination of an account.
#[derive(Debug)]
pub struct Target {
    /// Its key.
    pub key: DestinationKey,
    /// Its id.
    pub id: DestinationId,
    /// Whether it is paused.
    pub paused: bool,
}

/// An account with its destinations, in their order.
#[derive(Debug)]
pub struct Targets {
    /// The account's id.
    pub account: AccountId,
    /// Its destinations.
    pub all: Vec<Target>,
}

/// Those that were asked for since something last changed. It holds what the transaction under way sees, and so is to be
/// cleared when that is rolled back.
#[derive(Default)]
pub struct KnownTargets {
    accounts: HashMap<AccountKey, Arc<Targets>>,
    count: usize,
    sound: HashSet<DestinationKey>,
}

impl KnownTargets {
    /// Those of an account, if they are known.
    pub fn get(&self, account: AccountKey) -> Option<Arc<Targets>> {
        self.accounts.get(&account).cloned()
    }

    /// Keeps those of an account.
    pub fn keep(&mut self, account: AccountKey, targets: Arc<Targets>) {
        if self.count > MOST {
            self.clear();
        }
        self.count += 1 + targets.all.len();
        self.accounts.insert(account, targets);
    }

    /// Whether a destination is known to be there, not deleted and not failing: then a success changes nothing of it.
    pub fn is_sound(&self, destination: DestinationKey) -> bool {
        self.sound.contains(&destination)
    }

    /// Keeps that a destination is not deleted and not failing.
    pub fn keep_sound(&mut self, destination: DestinationKey) {
        if self.sound.len() > MOST {
            self.sound.clear();
        }
        self.sound.insert(destination);
    }

    /// A destination is failing, which is told to nobody.
    pub fn failing(&mut self, destination: DestinationKey) {
        self.sound.remove(&destination);
    }

    /// Some account or destination has changed, or a change was undone.
    pub fn clear(&mut self) {
        self.accounts.clear();
        self.count = 0;
        self.sound.clear();
    }
}
