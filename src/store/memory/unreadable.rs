//! Destinations whose secrets the key of the server does not open, as the start of the engine found them. The file does
//! not say which they are: that shows only when a row is read. There are none, unless somebody changed the file.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::ids::DestinationKey;
use crate::store::change::Change;

/// Filled at the start, and made smaller by commits that replace the secrets or delete the destination.
#[derive(Default)]
pub struct Unreadable {
    /// Number of keys. Avoids the lock while there are none, which is nearly always.
    count: AtomicUsize,
    keys: Mutex<BTreeSet<DestinationKey>>,
}

impl Unreadable {
    /// Sets which destinations they are.
    pub fn replace(&self, keys: impl IntoIterator<Item = DestinationKey>) {
        let mut held = self.keys();
        *held = keys.into_iter().collect();
        self.count.store(held.len(), Ordering::Relaxed);
    }

    /// Whether the destination is one of them.
    pub fn contains(&self, key: DestinationKey) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.keys().contains(&key)
    }

    /// All of them, by ascending key.
    pub fn all(&self) -> Vec<DestinationKey> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        self.keys().iter().copied().collect()
    }

    /// Removes those that a commit has mended or deleted.
    pub fn after_commit(&self, changes: &[Change]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut keys = self.keys();
        for change in changes {
            match change {
                Change::DestinationChanged(destination) if destination.has_secrets() => keys.remove(&destination.key),
                Change::DestinationDeleted(key) => keys.remove(key),
                _ => false,
            };
        }
        self.count.store(keys.len(), Ordering::Relaxed);
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<DestinationKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
