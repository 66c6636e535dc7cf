//! The conditions of accounts' destinations, so that events can be asked before they reach the write thread. What is
//! here is a hint and may be old: the write thread compares it with what the file says, and asks again if it differs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::conditions::AccountConditions;
use crate::domain::ids::AccountKey;

/// Accounts above which the hints start empty again.
const MAX_ACCOUNTS: usize = 10_000;

/// Conditions by account. An account without an entry may have conditions.
#[derive(Default)]
pub struct ConditionHints {
    /// Number of entries. Avoids the lock while no destination has conditions.
    count: AtomicUsize,
    by_account: RwLock<HashMap<AccountKey, Arc<AccountConditions>>>,
}

impl ConditionHints {
    /// The conditions of an account, if they are known.
    pub fn get(&self, account: AccountKey) -> Option<Arc<AccountConditions>> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.by_account.read().unwrap_or_else(PoisonError::into_inner).get(&account).cloned()
    }

    /// Remembers the conditions of an account; `None` forgets them.
    pub fn set(&self, account: AccountKey, conditions: Option<Arc<AccountConditions>>) {
        let mut by_account = self.by_account.write().unwrap_or_else(PoisonError::into_inner);
        match conditions {
            Some(conditions) => {
                if by_account.len() >= MAX_ACCOUNTS {
                    by_account.clear();
                }
                by_account.insert(account, conditions);
            }
            None => {
                by_account.remove(&account);
            }
        }
        self.count.store(by_account.len(), Ordering::Relaxed);
    }
}
