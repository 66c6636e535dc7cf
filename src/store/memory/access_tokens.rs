//! The tokens with a role, in memory, so that looking one up costs no SQL. Only digests are kept, never a token. Making
//! and revoking tokens is in `operations/access_tokens.rs`.
//!
//! A token is found in a hash map by its SHA-256. The time of that may depend on the digest that was asked for, but
//! nobody can choose tokens by their digests, so it does not help to guess one.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::domain::access::Rights;
use crate::domain::ids::AccountKey;
use crate::domain::ports::{FindTokens, TokenLookup};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;

/// Uses are noted by whole minutes, in milliseconds.
const MINUTE: i64 = 60_000;

/// In place of the time of a use that was not.
const NEVER: i64 = i64::MIN;

/// A token that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingToken {
    /// Digest of the token.
    pub digest: TokenDigest,
    /// What it may do, and where.
    pub rights: Rights,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as the file says.
    pub last_used_at: Option<Timestamp>,
}

/// One change of the table. It is applied after the commit that made it.
#[derive(Debug)]
pub enum AccessTokenChange {
    /// A token works from now on.
    Made(WorkingToken),
    /// A token was revoked.
    Revoked(TokenDigest),
    /// An account was deleted, and its tokens with it.
    AccountDeleted(AccountKey),
}

/// The table of all tokens.
#[derive(Debug, Default)]
pub struct AccessTokens(RwLock<HashMap<TokenDigest, Entry>>);

#[derive(Debug)]
struct Entry {
    rights: Rights,
    expires_at: Option<Timestamp>,
    /// Beginning of the minute of the last use, or [`NEVER`].
    last_used: AtomicI64,
    /// The same as the file has it.
    written: AtomicI64,
    /// Dropped with the token, which wakes all that wait for its end.
    life: watch::Sender<()>,
}

impl Entry {
    fn new(token: &WorkingToken) -> Self {
        let used = token.last_used_at.map_or(NEVER, Timestamp::millis);
        Self {
            rights: token.rights.clone(),
            expires_at: token.expires_at,
            last_used: used.into(),
            written: used.into(),
            life: watch::channel(()).0,
        }
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    fn belongs_to(&self, account: AccountKey) -> bool {
        self.rights.scope.account().is_some_and(|(_, key)| key == account)
    }
}

impl AccessTokens {
    /// Replaces the table: only these tokens work from now on. What is known of a token that stays is kept.
    pub fn replace(&self, tokens: Vec<WorkingToken>) {
        let mut table = self.write();
        let mut before = std::mem::take(&mut *table);
        for token in tokens {
            let known = before.remove(&token.digest);
            let entry = known.filter(|known| known.rights == token.rights && known.expires_at == token.expires_at);
            table.insert(token.digest, entry.unwrap_or_else(|| Entry::new(&token)));
        }
    }

    /// Applies the changes of a commit.
    pub fn apply(&self, changes: Vec<AccessTokenChange>) {
        if changes.is_empty() {
            return;
        }
        let mut table = self.write();
        for change in changes {
            match change {
                AccessTokenChange::Made(token) => {
                    table.insert(token.digest, Entry::new(&token));
                }
                AccessTokenChange::Revoked(digest) => drop(table.remove(&digest)),
                AccessTokenChange::AccountDeleted(account) => table.retain(|_, entry| !entry.belongs_to(account)),
            }
        }
    }

    /// How many tokens work at `now` that are for this account alone.
    pub fn count(&self, account: AccountKey, now: Timestamp) -> usize {
        self.read().values().filter(|entry| entry.belongs_to(account) && !entry.is_expired(now)).count()
    }

    /// When a token was last used.
    pub fn last_used(&self, token: &TokenDigest) -> Option<Timestamp> {
        let used = self.read().get(token)?.last_used.load(Ordering::Relaxed);
        (used != NEVER).then(|| Timestamp::from_millis(used))
    }

    /// The uses that the file does not have yet.
    pub fn unwritten_uses(&self) -> Vec<(TokenDigest, Timestamp)> {
        let table = self.read();
        let unwritten = table.iter().filter_map(|(digest, entry)| {
            let used = entry.last_used.load(Ordering::Relaxed);
            (used != entry.written.load(Ordering::Relaxed)).then(|| (*digest, Timestamp::from_millis(used)))
        });
        unwritten.collect()
    }

    /// Notes that the file has these uses.
    pub fn uses_written(&self, uses: &[(TokenDigest, Timestamp)]) {
        let table = self.read();
        for (digest, used) in uses {
            if let Some(entry) = table.get(digest) {
                entry.written.store(used.millis(), Ordering::Relaxed);
            }
        }
    }

    /// All tokens, for tests that compare them with the file.
    #[cfg(test)]
    pub fn all(&self) -> Vec<(TokenDigest, Rights)> {
        self.read().iter().map(|(digest, entry)| (*digest, entry.rights.clone())).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<TokenDigest, Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<TokenDigest, Entry>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FindTokens for AccessTokens {
    fn look_up(&self, token: &TokenDigest, now: Timestamp) -> TokenLookup {
        let table = self.read();
        let Some(entry) = table.get(token) else { return TokenLookup::Unknown };
        if entry.is_expired(now) {
            return TokenLookup::Expired;
        }
        entry.last_used.fetch_max(now.millis() - now.millis().rem_euclid(MINUTE), Ordering::Relaxed);
        TokenLookup::Works(entry.rights.clone())
    }

    fn works(&self, token: &TokenDigest, now: Timestamp) -> bool {
        self.read().get(token).is_some_and(|entry| !entry.is_expired(now))
    }

    fn over(&self, token: &TokenDigest, now: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let table = self.read();
        let Some(entry) = table.get(token) else { return Box::pin(std::future::ready(())) };
        let (mut life, expires_at) = (entry.life.subscribe(), entry.expires_at);
        Box::pin(async move {
            // Nothing is ever sent on this channel; only its end is awaited.
            let revoked = async { while life.changed().await.is_ok() {} };
            match expires_at {
                Some(at) => drop(tokio::time::timeout(at.since(now), revoked).await),
                None => revoked.await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::access::{Role, Scope};
    use crate::domain::ids::AccountId;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn token(text: &str, account: Option<i64>, expires_at: Option<Timestamp>) -> WorkingToken {
        let scope = account.map_or(Scope::All, |key| Scope::Account {
            id: AccountId::from_stored(format!("acc_{key}")),
            key: AccountKey(key),
        });
        let rights = Rights { role: Role::Viewer, scope };
        WorkingToken { digest: TokenDigest::of(text.as_bytes()), rights, expires_at, last_used_at: None }
    }

    fn table(tokens: &[&WorkingToken]) -> AccessTokens {
        let table = AccessTokens::default();
        table.apply(tokens.iter().map(|token| AccessTokenChange::Made((*token).clone())).collect());
        table
    }

    #[tokio::test]
    async fn a_token_works_until_it_expires_is_revoked_or_its_account_goes() {
        let (all, one) = (token("all", None, Some(at(5_000))), token("one", Some(7), None));
        let table = table(&[&all, &one]);
        let is_over = async |token: &WorkingToken| {
            tokio::time::timeout(PATIENCE, table.over(&token.digest, at(4_999))).await.is_ok()
        };
        assert_eq!(table.look_up(&all.digest, at(4_999)), TokenLookup::Works(all.rights.clone()));
        assert_eq!(table.look_up(&all.digest, at(5_000)), TokenLookup::Expired);
        assert!(is_over(&all).await);
        assert_eq!(table.look_up(&one.digest, at(i64::MAX)), TokenLookup::Works(one.rights.clone()));
        let waits = tokio::spawn(table.over(&one.digest, at(0)));
        table.apply(vec![AccessTokenChange::AccountDeleted(AccountKey(8))]);
        assert!(!waits.is_finished());
        table.apply(vec![AccessTokenChange::AccountDeleted(AccountKey(7))]);
        tokio::time::timeout(PATIENCE, waits).await.unwrap().unwrap();
        assert_eq!(table.look_up(&one.digest, at(0)), TokenLookup::Unknown);
        table.apply(vec![AccessTokenChange::Revoked(all.digest)]);
        assert_eq!(table.look_up(&all.digest, at(0)), TokenLookup::Unknown);
        assert!(is_over(&all).await && is_over(&one).await, "what is gone is over at once");
    }

    #[tokio::test]
    async fn what_stays_in_a_new_table_goes_on_and_the_rest_ends() {
        let (stays, goes) = (token("stays", None, None), token("goes", None, None));
        let table = table(&[&stays, &goes]);
        table.look_up(&stays.digest, at(MINUTE));
        let (lasts, ends) = (tokio::spawn(table.over(&stays.digest, at(0))), table.over(&goes.digest, at(0)));
        table.replace(vec![stays.clone()]);
        tokio::time::timeout(PATIENCE, ends).await.unwrap();
        assert!(!lasts.is_finished() && table.last_used(&stays.digest) == Some(at(MINUTE)));
    }

    #[test]
    fn a_use_is_noted_by_the_minute_and_written_once() {
        let one = token("one", None, Some(at(10 * MINUTE)));
        let table = table(&[&one]);
        assert_eq!((table.last_used(&one.digest), table.unwritten_uses()), (None, Vec::new()));
        table.look_up(&one.digest, at(2 * MINUTE + 59_999));
        // The clock was set back.
        table.look_up(&one.digest, at(MINUTE));
        let uses = table.unwritten_uses();
        assert_eq!(uses, [(one.digest, at(2 * MINUTE))]);
        table.uses_written(&uses);
        table.look_up(&one.digest, at(2 * MINUTE));
        table.look_up(&one.digest, at(11 * MINUTE));
        assert!(table.works(&one.digest, at(5 * MINUTE)) && !table.works(&one.digest, at(11 * MINUTE)));
        assert_eq!((table.last_used(&one.digest), table.unwritten_uses()), (Some(at(2 * MINUTE)), Vec::new()));
    }
}
