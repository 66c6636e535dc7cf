//! Accounts: making, reading, changing, hiding; and whose a token is.

use std::time::Duration;

use rusqlite::Connection;

use super::rows;
use crate::domain::account::{Account, AccountFields, AccountPatch, Email, Website};
use crate::domain::ids::{AccountId, AccountKey, DestinationKey};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::commit::transaction::Transaction;
use crate::store::error::sql;
use crate::store::handle::Store;
use crate::store::memory::tokens::TokenChange;

impl Store {
    /// Makes an account, under a made id where none is given.
    ///
    /// # Errors
    /// Conflict where the id or the e-mail address is taken.
    pub async fn create_account(
        &self,
        id: Option<AccountId>,
        fields: AccountFields,
        token: TokenDigest,
        hint: String,
        now: Timestamp,
    ) -> Result<Account> {
        self.writer
            .submit_with_savepoint(move |tx| {
                let id = id.unwrap_or_else(AccountId::generate);
                if find(tx.connection(), &id)?.is_some() {
                    let taken = format!("There is an account with the id {id} already.");
                    return Err(Error::new(Kind::Conflict, "account_id_taken", taken));
                }
                email_is_free(tx, &fields, None)?;
                tx.run(
                    "INSERT INTO account (account_id, email, email_folded, name, website, token_digest, token_hint,
                     created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
                    (
                        id.as_str(),
                        fields.email.as_str(),
                        fields.email.folded(),
                        fields.name.as_str(),
                        fields.website.as_ref().map(Website::as_str),
                        token.0,
                        hint,
                        now.millis(),
                    ),
                )?;
                let account = AccountKey(tx.last_key());
                tx.publish_token(TokenChange::Works { digest: token, account, until: None });
                require(tx.connection(), &id)
            })
            .await
    }

    /// A page of accounts, oldest first; with `email` only the one with that address, case aside.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn accounts(&self, page: PageRequest, email: Option<Email>) -> Result<Page<Account>> {
        self.readers
            .read_yielding(move |connection| {
                let items = rows::all(
                    connection,
                    &format!(
                        "SELECT {} FROM account WHERE key > ?1 AND deleted_at IS NULL
                         AND (?2 IS NULL OR email_folded = ?2) ORDER BY key LIMIT ?3",
                        rows::ACCOUNT
                    ),
                    (page_start(page.cursor), email.as_ref().map(Email::folded), page.limit + 1),
                    rows::account,
                )?;
                Ok(paginate(items, page.limit, |account| account.key.0))
            })
            .await
    }

    /// One account.
    ///
    /// # Errors
    /// Not found.
    pub async fn account(&self, id: AccountId) -> Result<Account> {
        self.readers.read(move |connection| require(connection, &id)).await
    }

    /// Sets all that a client may set.
    ///
    /// # Errors
    /// Not found; conflict where the e-mail address is taken.
    pub async fn replace_account(&self, id: AccountId, fields: AccountFields, now: Timestamp) -> Result<Account> {
        self.change_account(id, move |_| fields, now).await
    }

    /// Sets what `patch` names.
    ///
    /// # Errors
    /// Not found; conflict where the e-mail address is taken.
    pub async fn patch_account(&self, id: AccountId, patch: AccountPatch, now: Timestamp) -> Result<Account> {
        self.change_account(id, move |account| patch.apply(account), now).await
    }

    async fn change_account(
        &self,
        id: AccountId,
        change: impl FnOnce(&Account) -> AccountFields + Send + 'static,
        now: Timestamp,
    ) -> Result<Account> {
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = require(tx.connection(), &id)?;
                let fields = change(&account);
                email_is_free(tx, &fields, Some(account.key))?;
                tx.run(
                    "UPDATE account SET email = ?2, email_folded = ?3, name = ?4, website = ?5, updated_at = ?6 WHERE key = ?1",
                    (
                        account.key.0,
                        fields.email.as_str(),
                        fields.email.folded(),
                        fields.name.as_str(),
                        fields.website.as_ref().map(Website::as_str),
                        now.millis(),
                    ),
                )?;
                require(tx.connection(), &id)
            })
            .await
    }

    /// Hides an account: its e-mail address, id and token are free, its destinations stop. Its rows go in the
    /// background ([`super::maintenance::Removal`]).
    ///
    /// # Errors
    /// Not found.
    pub async fn delete_account(&self, id: AccountId, now: Timestamp) -> Result<()> {
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = require(tx.connection(), &id)?;
                tx.run("UPDATE account SET deleted_at = ?2 WHERE key = ?1", (account.key.0, now.millis()))?;
                let gone = rows::all(
                    tx.connection(),
                    "SELECT key FROM destination WHERE account_key = ?1 AND deleted_at IS NULL",
                    [account.key.0],
                    |row| row.get(0).map(DestinationKey),
                )?;
                tx.run(
                    "UPDATE destination SET deleted_at = ?2 WHERE account_key = ?1 AND deleted_at IS NULL",
                    (account.key.0, now.millis()),
                )?;
                tx.publish_token(TokenChange::Forget(account.key));
                gone.into_iter().for_each(|key| tx.publish(Change::DestinationDeleted(key)));
                tx.publish(Change::AccountDeleted(account.key));
                Ok(())
            })
            .await
    }

    /// Gives an account a new token; the one before works on for `grace`.
    ///
    /// # Errors
    /// Not found.
    pub async fn rotate_token(
        &self,
        id: AccountId,
        token: TokenDigest,
        hint: String,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Account> {
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = require(tx.connection(), &id)?;
                let until = (!grace.is_zero()).then(|| now.plus(grace));
                let old: [u8; 32] = tx
                    .row("SELECT token_digest FROM account WHERE key = ?1", [account.key.0], |row| row.get(0))?
                    .ok_or_else(|| Error::not_found("account"))?;
                tx.run(
                    "UPDATE account SET old_token_digest = ?2, old_token_until = ?3, token_digest = ?4, token_hint = ?5,
                     updated_at = ?6 WHERE key = ?1",
                    (
                        account.key.0,
                        until.map(|_| old),
                        until.map(Timestamp::millis),
                        token.0,
                        hint,
                        now.millis(),
                    ),
                )?;
                tx.publish_token(TokenChange::Forget(account.key));
                tx.publish_token(TokenChange::Works { digest: token, account: account.key, until: None });
                if until.is_some() {
                    tx.publish_token(TokenChange::Works { digest: TokenDigest(old), account: account.key, until });
                }
                require(tx.connection(), &id)
            })
            .await
    }

    /// The account of a token that works at `now`; from memory.
    pub fn account_by_token(&self, token: &TokenDigest, now: Timestamp) -> Option<AccountKey> {
        self.memory.tokens.owner(token, now)
    }
}

/// All tokens that work.
pub fn tokens(connection: &Connection) -> Result<Vec<TokenChange>> {
    let mut prepared = connection
        .prepare("SELECT key, token_digest, old_token_digest, old_token_until FROM account WHERE deleted_at IS NULL")
        .map_err(sql)?;
    let mut found = Vec::new();
    let mut rows = prepared.query([]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        let account = row.get(0).map(AccountKey).map_err(sql)?;
        let digest = row.get(1).map(TokenDigest).map_err(sql)?;
        found.push(TokenChange::Works { digest, account, until: None });
        let until = rows::time_or_null(row, 3).map_err(sql)?;
        if let Some(digest) = row.get::<_, Option<[u8; 32]>>(2).map_err(sql)? {
            found.push(TokenChange::Works { digest: TokenDigest(digest), account, until });
        }
    }
    Ok(found)
}

fn find(connection: &Connection, id: &AccountId) -> Result<Option<Account>> {
    let query = format!("SELECT {} FROM account WHERE account_id = ?1 AND deleted_at IS NULL", rows::ACCOUNT);
    rows::first(connection, &query, [id.as_str()], rows::account)
}

/// An account that is not deleted, or not found.
pub fn require(connection: &Connection, id: &AccountId) -> Result<Account> {
    find(connection, id)?.ok_or_else(|| Error::not_found("account"))
}

fn email_is_free(tx: &Transaction<'_>, fields: &AccountFields, but: Option<AccountKey>) -> Result<()> {
    let holder = tx.row(
        "SELECT key FROM account WHERE email_folded = ?1 AND deleted_at IS NULL",
        [fields.email.folded()],
        |row| row.get(0).map(AccountKey),
    )?;
    match holder {
        Some(holder) if Some(holder) != but => Err(Error::new(
            Kind::Conflict,
            "email_taken",
            "Another account has this e-mail address; addresses are unique, case aside.",
        )),
        _ => Ok(()),
    }
}

/// Order key that a page in ascending order begins after.
pub fn page_start(cursor: Option<Cursor>) -> i64 {
    cursor.map_or(0, |cursor| cursor.0)
}

/// A page of `limit` out of what was read, which is one more where there is a next page.
pub fn paginate<T>(mut items: Vec<T>, limit: u16, key: impl Fn(&T) -> i64) -> Page<T> {
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    let next = items.last().filter(|_| more).map(|item| Cursor(key(item)));
    Page { items, next }
}
