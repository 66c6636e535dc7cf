//! Makes, lists and revokes tokens with a role, and writes down when they were last used. Looking one up costs no SQL:
//! that is done in `memory/access_tokens.rs`.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::accounts::{page_start, paginate, place};
use super::{accounts, rows};
use crate::domain::access::{Rights, Scope};
use crate::domain::access_token::{AccessToken, MAX_FOR_ALL, MAX_PER_ACCOUNT, NewAccessToken, TokenExpiry, TokenName};
use crate::domain::account::Account;
use crate::domain::ids::{AccountId, AccountKey, TokenId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::{Error, FieldError, Kind, Result};
use crate::store::commit::transaction::Transaction;
use crate::store::handle::{ScopedStore, Store};
use crate::store::memory::access_tokens::{AccessTokenChange, AccessTokens, WorkingToken};

/// Time between two writes of the last uses. A crash loses them; the tokens themselves are never lost.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// Columns that [`token`] reads, of [`TABLES`].
const COLUMNS: &str = "t.key, t.token_id, t.name, t.role, a.account_id, t.token_hint, t.created_at, t.expires_at,
    t.token_digest, t.last_used_at, t.account_key";

const TABLES: &str = "access_token t LEFT JOIN account a ON a.key = t.account_key";

impl ScopedStore {
    /// Makes a token. Without an account it reaches what its maker reaches. `maker` is the token with a role that asks
    /// for it; `None` for the owner. Returns `None` if the maker does not work any more.
    ///
    /// # Errors
    /// Invalid if the account is not reached or does not exist, and if the token would work longer than its maker. Not
    /// found if the maker's account does not exist any more. Conflict if there are too many tokens already.
    pub async fn create_access_token(
        &self,
        new: NewAccessToken,
        maker: Option<TokenDigest>,
        digest: TokenDigest,
        hint: String,
        now: Timestamp,
    ) -> Result<Option<AccessToken>> {
        let (scope, memory) = (self.scope.clone(), self.memory.access_tokens.clone());
        self.writer
            .submit_with_savepoint(move |tx| {
                if let Some(maker) = maker {
                    // Asked here, since it may have been revoked while this waited to be written.
                    let Some(end) = end_of(tx, &maker, now)? else { return Ok(None) };
                    outlives_nobody(new.expires_at, end)?;
                }
                let scope = scope_of_new(tx.connection(), &scope, new.account_id.as_ref())?;
                let account = scope.account().map(|(_, key)| key);
                has_room(tx, account)?;
                let id = TokenId::generate();
                let expires_at = new.expires_at.map(TokenExpiry::at);
                tx.run(
                    "INSERT INTO access_token (token_id, name, role, account_key, token_digest, token_hint, created_at,
                     expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    (
                        id.as_str(),
                        new.name.as_str(),
                        new.role.as_str(),
                        account.map(|key| key.0),
                        digest.0,
                        hint,
                        now.millis(),
                        expires_at.map(Timestamp::millis),
                    ),
                )?;
                let made = require(tx.connection(), &scope, &id, &memory)?;
                let rights = Rights { role: new.role, scope };
                let made_now = WorkingToken { digest, rights, expires_at, last_used_at: None };
                tx.publish_access_token(AccessTokenChange::Made(made_now));
                Ok(Some(made))
            })
            .await
    }

    /// Returns a page of tokens, oldest first.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn access_tokens(&self, page: PageRequest) -> Result<Page<AccessToken>> {
        self.search_access_tokens(String::new(), page).await
    }

    /// Returns a page of the tokens whose name contains `text`, oldest first. Upper and lower case of ASCII letters are
    /// the same. An empty text finds all tokens.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn search_access_tokens(&self, text: String, page: PageRequest) -> Result<Page<AccessToken>> {
        let (scope, memory) = (self.scope.clone(), self.memory.access_tokens.clone());
        self.readers
            .read_yielding(move |connection| {
                let account = scope.account().map(|(_, key)| key.0);
                // The tokens of others are not walked over, so they do not even cost time.
                let (reached, order) = match account {
                    Some(_) => ("t.account_key = ?2", place("t")),
                    None => ("?2 IS NULL", "t.key".to_owned()),
                };
                let query = format!(
                    "SELECT * FROM (SELECT {COLUMNS}, {order} AS place FROM {TABLES} WHERE {reached})
                     WHERE place > ?1 AND (?4 = '' OR instr(lower(name), lower(?4)) > 0) ORDER BY place LIMIT ?3"
                );
                let params = (page_start(page.cursor), account, page.limit + 1, text);
                let found = rows::all(connection, &query, params, |row| {
                    Ok((row.get::<_, i64>("place")?, token(row, &memory)?))
                })?;
                let Page { items, next } = paginate(found, page.limit, |(key, _)| *key);
                Ok(Page { items: items.into_iter().map(|(_, token)| token).collect(), next })
            })
            .await
    }

    /// Returns the tokens that still work at `now` and expire within this time, first those that expire first. At most
    /// `limit` of them.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn expiring_access_tokens(
        &self,
        now: Timestamp,
        within: Duration,
        limit: u16,
    ) -> Result<Vec<AccessToken>> {
        let (scope, memory) = (self.scope.clone(), self.memory.access_tokens.clone());
        self.readers
            .read_yielding(move |connection| {
                let account = scope.account().map(|(_, key)| key.0);
                let reached = if account.is_some() { "t.account_key = ?1" } else { "?1 IS NULL" };
                let query = format!(
                    "SELECT {COLUMNS} FROM {TABLES} WHERE {reached} AND t.expires_at > ?2 AND t.expires_at <= ?3
                     ORDER BY t.expires_at, t.key LIMIT ?4"
                );
                let params = (account, now.millis(), now.plus(within).millis(), limit);
                rows::all(connection, &query, params, |row| token(row, &memory))
            })
            .await
    }

    /// How many tokens work at `now` that are for this account alone. Costs memory only.
    pub fn count_access_tokens(&self, account: &Account, now: Timestamp) -> usize {
        if self.scope.reaches(&account.id) { self.memory.access_tokens.count(account.key, now) } else { 0 }
    }

    /// Returns one token.
    ///
    /// # Errors
    /// Not found.
    pub async fn access_token(&self, id: TokenId) -> Result<AccessToken> {
        let (scope, memory) = (self.scope.clone(), self.memory.access_tokens.clone());
        self.readers.read(move |connection| require(connection, &scope, &id, &memory)).await
    }

    /// Revokes a token. It does not work any more when this returns, and what was opened with it has ended.
    ///
    /// # Errors
    /// Not found.
    pub async fn revoke_access_token(&self, id: TokenId) -> Result<()> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = scope.account().map(|(_, key)| key.0);
                let statement = "DELETE FROM access_token WHERE token_id = ?1 AND (?2 IS NULL OR account_key = ?2)
                     RETURNING token_digest";
                let digest = tx.row(statement, (id.as_str(), account), |row| row.get(0).map(TokenDigest))?;
                tx.publish_access_token(AccessTokenChange::Revoked(digest.ok_or_else(|| Error::not_found("token"))?));
                Ok(())
            })
            .await
    }
}

impl Store {
    /// Writes down when tokens were last used, where the file does not have that yet. Returns the time until the next
    /// turn. Without new uses nothing is written.
    ///
    /// # Errors
    /// Unavailable if the file cannot be written; a later turn tries again.
    pub async fn write_token_uses(&self) -> Result<Duration> {
        let uses = self.memory.access_tokens.unwritten_uses();
        if !uses.is_empty() {
            let written = uses.clone();
            let write = move |tx: &mut Transaction<'_>| {
                for (digest, at) in written {
                    let statement = "UPDATE access_token SET last_used_at = ?2 WHERE token_digest = ?1";
                    tx.run(statement, (digest.0, at.millis()))?;
                }
                Ok(())
            };
            self.writer.submit_with_savepoint(write).await?;
            self.memory.access_tokens.uses_written(&uses);
        }
        Ok(WRITE_INTERVAL)
    }
}

/// Returns all tokens, for the table in memory.
pub fn all(connection: &Connection) -> Result<Vec<WorkingToken>> {
    // Deleting an account deletes its tokens, so each row with a key has its account.
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE t.account_key IS NULL OR a.deleted_at IS NULL");
    rows::all(connection, &query, [], |row| {
        let account = row.get::<_, Option<i64>>(10)?.map(AccountKey);
        let scope = match account {
            None => Scope::All,
            Some(key) => Scope::Account { id: AccountId::from_stored(row.get(4)?), key },
        };
        Ok(WorkingToken {
            digest: TokenDigest(row.get(8)?),
            rights: Rights { role: rows::word(row, 3)?, scope },
            expires_at: rows::time_or_null(row, 7)?,
            last_used_at: rows::time_or_null(row, 9)?,
        })
    })
}

/// The scope of a token that somebody with `scope` makes for `account`.
fn scope_of_new(connection: &Connection, scope: &Scope, account: Option<&AccountId>) -> Result<Scope> {
    let Some(id) = account else {
        // The account of the scope may have been deleted meanwhile.
        scope.account().map(|(id, _)| accounts::require(connection, scope, id)).transpose()?;
        return Ok(scope.clone());
    };
    match accounts::require(connection, scope, id) {
        Ok(account) => Ok(Scope::Account { id: account.id, key: account.key }),
        Err(error) if error.kind() == Kind::NotFound => {
            Err(Error::invalid(vec![FieldError::new("account_id", "there is no account with this id")]))
        }
        Err(error) => Err(error),
    }
}

/// When a token ends: `Some(None)` for never, `None` if it does not work any more.
fn end_of(tx: &Transaction<'_>, token: &TokenDigest, now: Timestamp) -> Result<Option<Option<Timestamp>>> {
    let query = "SELECT expires_at FROM access_token WHERE token_digest = ?1";
    let end = tx.row(query, [token.0], |row| rows::time_or_null(row, 0))?;
    Ok(end.filter(|end| end.is_none_or(|at| now < at)))
}

/// Checks that a new token ends no later than its maker.
fn outlives_nobody(end: Option<TokenExpiry>, of_maker: Option<Timestamp>) -> Result<()> {
    let Some(last) = of_maker.filter(|last| end.is_none_or(|end| end.at() > *last)) else { return Ok(()) };
    let wrong = format!("must be at most {last}, because the token that creates this one expires then");
    Err(Error::invalid(vec![FieldError::new("expires_at", wrong)]))
}

fn has_room(tx: &Transaction<'_>, account: Option<AccountKey>) -> Result<()> {
    let query = "SELECT count(*) FROM access_token WHERE account_key IS ?1";
    let count: usize = tx.row(query, [account.map(|key| key.0)], |row| row.get(0))?.unwrap_or(0);
    let (most, whose) = match account {
        None => (MAX_FOR_ALL, "that reach all accounts"),
        Some(_) => (MAX_PER_ACCOUNT, "for this account"),
    };
    if count < most {
        return Ok(());
    }
    let detail = format!("There are {most} tokens {whose} already; revoke one first.");
    Err(Error::new(Kind::Conflict, "too_many_tokens", detail))
}

fn require(connection: &Connection, scope: &Scope, id: &TokenId, memory: &AccessTokens) -> Result<AccessToken> {
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE t.token_id = ?1 AND (?2 IS NULL OR t.account_key = ?2)");
    let params = (id.as_str(), scope.account().map(|(_, key)| key.0));
    rows::first(connection, &query, params, |row| token(row, memory))?.ok_or_else(|| Error::not_found("token"))
}

/// Reads a row of [`COLUMNS`]. The last use in memory is newer than that in the file.
fn token(row: &Row<'_>, memory: &AccessTokens) -> rusqlite::Result<AccessToken> {
    let digest = TokenDigest(row.get(8)?);
    let written = rows::time_or_null(row, 9)?;
    Ok(AccessToken {
        id: TokenId::from_stored(row.get(1)?),
        name: TokenName::from_stored(row.get(2)?),
        role: rows::word(row, 3)?,
        account_id: row.get::<_, Option<String>>(4)?.map(AccountId::from_stored),
        hint: row.get(5)?,
        created_at: rows::time(row, 6)?,
        expires_at: rows::time_or_null(row, 7)?,
        last_used_at: memory.last_used(&digest).or(written),
    })
}

#[cfg(test)]
mod tests;
