//! The account of each app secret token, in memory, so that refusing a wrong token costs no SQL. Only digests are kept,
//! never a token.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::ids::AccountKey;
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;

#[derive(Clone, Copy)]
struct Owner {
    account: AccountKey,
    /// End of an old token's grace time after a rotation; `None` for a token without end.
    until: Option<Timestamp>,
}

/// The map of all tokens that work.
#[derive(Default)]
pub struct Tokens {
    owners: RwLock<HashMap<TokenDigest, Owner>>,
}

/// One change of the map. It is applied after the commit that made it.
pub enum TokenChange {
    /// A token works from now on; an old token until `until`.
    Works {
        /// Digest of the token.
        digest: TokenDigest,
        /// The account that the token belongs to.
        account: AccountKey,
        /// End of an old token's grace time.
        until: Option<Timestamp>,
    },
    /// All tokens of an account stop working, except those that later changes add.
    Forget(AccountKey),
}

impl Tokens {
    /// The account of a token that works at `now`.
    pub fn owner(&self, digest: &TokenDigest, now: Timestamp) -> Option<AccountKey> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.get(digest).filter(|owner| owner.until.is_none_or(|until| now < until)).map(|owner| owner.account)
    }

    /// Whether a token worked until its grace after a rotation ended, before `now`.
    pub fn is_expired(&self, digest: &TokenDigest, now: Timestamp) -> bool {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.get(digest).is_some_and(|owner| owner.until.is_some_and(|until| now >= until))
    }

    /// Replaces the map: only these tokens work from now on.
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
