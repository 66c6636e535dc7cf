//! Creates, reads, changes and hides accounts, and finds the account of a token. The rows of a deleted account are
//! removed in `maintenance/removal.rs`, not here.

use std::time::Duration;

use rusqlite::Connection;

use super::{reach, rows};
use crate::domain::access::Scope;
use crate::domain::account::{Account, AccountFields, AccountPatch, Email, Website};
use crate::domain::ids::{AccountId, AccountKey, DestinationKey};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::commit::transaction::Transaction;
use crate::store::error::sql;
use crate::store::handle::{ScopedStore, Store};
use crate::store::memory::access_tokens::AccessTokenChange;
use crate::store::memory::tokens::TokenChange;

impl ScopedStore {
    /// Creates an account. If `id` is `None`, an id is generated.
    ///
    /// # Errors
    /// Forbidden for a caller that reaches one account only. Conflict if another account has the id or the e-mail
    /// address.
    pub async fn create_account(
        &self,
        id: Option<AccountId>,
        fields: AccountFields,
        token: TokenDigest,
        hint: String,
        now: Timestamp,
    ) -> Result<Account> {
        if self.scope.account().is_some() {
            return Err(Error::forbidden("A token for one account cannot create accounts."));
        }
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
                require(tx.connection(), &Scope::All, &id)
            })
            .await
    }

    /// Returns a page of accounts, oldest first. With `email` the page has only the account with that address; upper
    /// and lower case are the same.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn accounts(&self, page: PageRequest, email: Option<Email>) -> Result<Page<Account>> {
        let only = self.scope.account().map(|(_, key)| key.0);
        self.readers
            .read_yielding(move |connection| {
                // Other accounts are not walked over, so they do not even cost time.
                let reached = if only.is_some() { "key = ?4" } else { "?4 IS NULL" };
                let items = rows::all(
                    connection,
                    &format!(
                        "SELECT {} FROM account WHERE key > ?1 AND deleted_at IS NULL AND {reached}
                         AND (?2 IS NULL OR email_folded = ?2) ORDER BY key LIMIT ?3",
                        rows::ACCOUNT
                    ),
                    (page_start(page.cursor), email.as_ref().map(Email::folded), page.limit + 1, only),
                    rows::account,
                )?;
                Ok(paginate(items, page.limit, |account| account.key.0))
            })
            .await
    }

    /// Returns one account.
    ///
    /// # Errors
    /// Not found.
    pub async fn account(&self, id: AccountId) -> Result<Account> {
        let scope = self.scope.clone();
        self.readers.read(move |connection| require(connection, &scope, &id)).await
    }

    /// Replaces all fields that a client may set.
    ///
    /// # Errors
    /// Not found; conflict if another account has the e-mail address.
    pub async fn replace_account(&self, id: AccountId, fields: AccountFields, now: Timestamp) -> Result<Account> {
        self.change_account(id, move |_| fields, now).await
    }

    /// Replaces only the fields that `patch` contains.
    ///
    /// # Errors
    /// Not found; conflict if another account has the e-mail address.
    pub async fn patch_account(&self, id: AccountId, patch: AccountPatch, now: Timestamp) -> Result<Account> {
        self.change_account(id, move |account| patch.apply(account), now).await
    }

    async fn change_account(
        &self,
        id: AccountId,
        change: impl FnOnce(&Account) -> AccountFields + Send + 'static,
        now: Timestamp,
    ) -> Result<Account> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = require(tx.connection(), &scope, &id)?;
                let fields = change(&account);
                if scope.account().is_some() && fields.email.folded() != account.email.folded() {
                    // A refusal of a taken address would tell that another account has it.
                    let detail = "E-mail addresses are unique among all accounts, so a token for one account cannot \
                                  change one.";
                    return Err(Error::forbidden(detail));
                }
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
                require(tx.connection(), &scope, &id)
            })
            .await
    }

    /// Hides an account and its destinations. The account's e-mail address, id and token can be used again at once, and
    /// nothing more is sent to the destinations. The account's tokens with a role end.
    /// [`Removal`](super::maintenance::removal::Removal) deletes the rows in the background.
    ///
    /// # Errors
    /// Not found.
    pub async fn delete_account(&self, id: AccountId, now: Timestamp) -> Result<()> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = require(tx.connection(), &scope, &id)?;
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
                // They are few, so they go at once.
                tx.run("DELETE FROM access_token WHERE account_key = ?1", [account.key.0])?;
                tx.publish_access_token(AccessTokenChange::AccountDeleted(account.key));
                gone.into_iter().for_each(|key| tx.publish(Change::DestinationDeleted(key)));
                tx.publish(Change::AccountDeleted(account.key));
                Ok(())
            })
            .await
    }

    /// Gives an account a new token. The previous token is valid for `grace` longer; any token before that one ends
    /// now.
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
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = require(tx.connection(), &scope, &id)?;
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
                require(tx.connection(), &scope, &id)
            })
            .await
    }
}

impl Store {
    /// Returns the account whose token is valid at `now`. Reads only memory, since every event that is sent asks this.
    pub fn account_by_token(&self, token: &TokenDigest, now: Timestamp) -> Option<AccountKey> {
        self.memory.tokens.owner(token, now)
    }

    /// Whether a token was rotated and its grace has ended.
    pub fn token_is_expired(&self, token: &TokenDigest, now: Timestamp) -> bool {
        self.memory.tokens.is_expired(token, now)
    }
}

/// Returns the tokens of all accounts that are not deleted. A previous token is included even if its grace is over:
/// whoever looks a token up compares the time.
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

/// Returns an account that is reached and not deleted, or the error "not found".
pub fn require(connection: &Connection, scope: &Scope, id: &AccountId) -> Result<Account> {
    reach::account(scope, id)?;
    let is_reached = |account: &Account| scope.account().is_none_or(|(_, key)| key == account.key);
    find(connection, id)?.filter(is_reached).ok_or_else(|| Error::not_found("account"))
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

/// Returns the key after which a page in ascending order begins. Keys start at 1, so 0 is the first page.
pub fn page_start(cursor: Option<Cursor>) -> i64 {
    cursor.map_or(0, |cursor| cursor.0)
}

/// SQL for the place of a row in a list for a caller that reaches one account. Keys are given to the rows of all accounts
/// in turn, so a cursor with a key would tell how many there are. A place is made of what the caller sees anyway: the
/// time of creation, and a number among those of the same millisecond, of which there are fewer than 1,024.
pub fn place(table: &str) -> String {
    format!("({table}.created_at << 10) + row_number() OVER (PARTITION BY {table}.created_at ORDER BY {table}.key)")
}

/// Makes a page of at most `limit` items. The caller has read up to `limit + 1` items: the last one only shows that
/// there is a next page.
pub fn paginate<T>(mut items: Vec<T>, limit: u16, key: impl Fn(&T) -> i64) -> Page<T> {
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    let next = items.last().filter(|_| more).map(|item| Cursor(key(item)));
    Page { items, next }
}
