//! Whose token it is, in memory: refusing a wrong one costs no SQL.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::ids::AccountKey;
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;

#[derive(Clone, Copy)]
struct Owner {
    account: AccountKey,
    /// An old token works until then (rotation with grace).
    until: Option<Timestamp>,
}

/// The map of all tokens that work.
#[derive(Default)]
pub struct Tokens {
    owners: RwLock<HashMap<TokenDigest, Owner>>,
}

/// One change of the map, applied after the commit that made it.
pub enum TokenChange {
    /// A token works from now on; `until` bounds an old one.
    Works {
        /// The token.
        digest: TokenDigest,
        /// Whose it is.
        account: AccountKey,
        /// End of its grace.
        until: Option<Timestamp>,
    },
    /// All tokens of an account but those that follow stop working.
    Forget(AccountKey),
}

impl Tokens {
    /// The account of a token that works at `now`.
    pub fn owner(&self, digest: &TokenDigest, now: Timestamp) -> Option<AccountKey> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.get(digest).filter(|owner| owner.until.is_none_or(|until| now < until)).map(|owner| owner.account)
    }

    /// Only these tokens work from now on.
    pub fn replace(&self, tokens: Vec<TokenChange>) {
        let fresh = Self::default();
        fresh.apply(tokens);
        let fresh = fresh.owners.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Applies the changes of a commit.
    pub fn apply(&self, changes: Vec<TokenChange>) {
        if changes.is_empty() {
            return;
        }
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                TokenChange::Works { digest, account, until } => {
                    owners.insert(digest, Owner { account, until });
                }
                TokenChange::Forget(account) => owners.retain(|_, owner| owner.account != account),
            }
        }
    }
}
