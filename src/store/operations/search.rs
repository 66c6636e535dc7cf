//! Searches for people who look for something: accounts by a part of their names, and events by a part of their
//! documents. There is no index for either, so each call looks at a bounded part and says where to continue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use rusqlite::{Connection, Row};

use super::{accounts, events, rows};
use crate::domain::account::Account;
use crate::domain::event::Event;
use crate::domain::ids::{AccountId, AccountKey, EventId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::error::sql;
use crate::store::handle::ScopedStore;
use crate::store::memory::Memory;

/// Most accounts that one page looks at.
const MAX_SEARCHED_ACCOUNTS: usize = 20_000;

/// The newest events that a search looks at, in all its calls together.
const MAX_SEARCHED_EVENTS: u64 = 100_000;

/// Most time that one call looks at documents. A read that lasts longer keeps the write-ahead log from starting again.
const MAX_SEARCH_TIME: Duration = Duration::from_millis(250);

/// Most bytes of documents that one call looks at; the last document may exceed them.
const MAX_SEARCH_BYTES: usize = 64 * 1024 * 1024;

/// A search for events whose documents contain a text.
#[derive(Debug, Clone)]
pub struct PayloadSearch {
    /// Only events of this account.
    pub account_id: Option<AccountId>,
    /// The text, exactly as it stands in the document or in a JSON string of it.
    pub text: String,
    /// Only events older than this one: where the previous call ended.
    pub before: Option<EventId>,
}

/// What one call of [`ScopedStore::search_payloads`] found.
#[derive(Debug)]
pub struct PayloadMatches {
    /// The events that match, newest first.
    pub events: Vec<Event>,
    /// How many events were looked at in this call.
    pub looked_at: u64,
    /// When the oldest of these was received. `None` if there was none.
    pub back_to: Option<Timestamp>,
    /// Where the next call continues. `None` if the search is over.
    pub next: Option<EventId>,
    /// Whether no event is left, or the newest 100,000 were looked at.
    pub is_over: bool,
}

impl ScopedStore {
    /// Returns a page of accounts whose id, name or e-mail address contains `text`, oldest first, each with the number
    /// of its destinations. Upper and lower case are the same. An empty text finds all accounts.
    ///
    /// A page looks at 20,000 accounts at most, so it can have fewer items than its limit and still have a cursor.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn search_accounts(&self, text: String, page: PageRequest) -> Result<Page<(Account, u64)>> {
        let only = self.scope.account().map(|(_, key)| key);
        self.readers
            .read_yielding(move |connection| {
                let Page { items, next } = find_accounts(connection, &text.to_lowercase(), only, page)?;
                let hidden = hidden_destinations(connection)?;
                let with_count = |account: Account| {
                    let count = destinations_of(connection, account.key)?;
                    let hidden = hidden.get(&account.key).copied().unwrap_or(0);
                    Ok((account, count.saturating_sub(hidden)))
                };
                Ok(Page { items: items.into_iter().map(with_count).collect::<Result<_>>()?, next })
            })
            .await
    }

    /// Returns the newest events whose documents contain a text, byte for byte, or the text as JSON escapes it. An
    /// empty text finds every event. Only the newest 100,000 events of the server, or of the account, are looked at.
    ///
    /// A call ends at `limit` events, after 250 ms of looking, or after 64 MiB of documents. `next` of its answer
    /// continues the search.
    ///
    /// # Errors
    /// Not found if the account does not exist.
    pub async fn search_payloads(&self, search: PayloadSearch, limit: u16) -> Result<PayloadMatches> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read_yielding(move |connection| {
                let account = search.account_id.as_ref().or(scope.account().map(|(id, _)| id));
                let account = account.map(|id| accounts::require(connection, &scope, id)).transpose()?;
                let text = Text::new(&search.text)?;
                let account = account.map(|account| account.key);
                PayloadWalk { connection, memory: &memory, account, limit: limit.into() }.find(&text, search.before)
            })
            .await
    }
}

/// Looks through the accounts behind the cursor for `text`, which is in lower case. With `only`, looks at no other
/// account.
fn find_accounts(
    connection: &Connection,
    text: &str,
    only: Option<AccountKey>,
    page: PageRequest,
) -> Result<Page<Account>> {
    let reached = if only.is_some() { "key = ?2" } else { "?2 IS NULL" };
    let query = format!(
        "SELECT {}, deleted_at IS NULL AS exist FROM account WHERE key > ?1 AND {reached} ORDER BY key",
        rows::ACCOUNT
    );
    let mut prepared = connection.prepare_cached(&query).map_err(sql)?;
    let mut found = prepared.query((accounts::page_start(page.cursor), only.map(|key| key.0))).map_err(sql)?;
    let (mut items, mut looked_at, mut last) = (Vec::new(), 0, None);
    while let Some(row) = found.next().map_err(sql)? {
        if items.len() == usize::from(page.limit) || looked_at == MAX_SEARCHED_ACCOUNTS {
            return Ok(Page { items, next: last.map(Cursor) });
        }
        looked_at += 1;
        last = Some(row.get(0).map_err(sql)?);
        if is_named(row, text).map_err(sql)? {
            items.push(rows::account(row).map_err(sql)?);
        }
    }
    Ok(Page { items, next: None })
}

/// Whether an account is not deleted, and its id, name or e-mail address contains `text`.
fn is_named(row: &Row<'_>, text: &str) -> rusqlite::Result<bool> {
    let exists: bool = row.get("exist")?;
    if !exists || text.is_empty() {
        return Ok(exists);
    }
    for column in 1..=3 {
        if contains(row.get_ref(column)?.as_str()?, text) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `name` contains `text`, which is in lower case, in any case of letters.
fn contains(name: &str, text: &str) -> bool {
    if name.is_ascii() {
        // Most names are; comparing them in place costs a tenth.
        let text = text.as_bytes();
        return name.as_bytes().windows(text.len()).any(|part| part.eq_ignore_ascii_case(text));
    }
    name.to_lowercase().contains(text)
}

/// Counts the rows of an account's destinations, also of deleted ones. Reads only the index: a row can be long.
fn destinations_of(connection: &Connection, account: AccountKey) -> Result<u64> {
    let query = "SELECT count(*) FROM destination INDEXED BY destination_by_account WHERE account_key = ?1";
    Ok(rows::first(connection, query, [account.0], |row| row.get(0))?.unwrap_or(0))
}

/// The number of deleted destinations of each account whose rows are there still.
fn hidden_destinations(connection: &Connection) -> Result<HashMap<AccountKey, u64>> {
    let query = "SELECT account_key FROM destination INDEXED BY destination_deleted WHERE deleted_at IS NOT NULL";
    let mut hidden = HashMap::new();
    for account in rows::all(connection, query, [], |row| row.get(0).map(AccountKey))? {
        *hidden.entry(account).or_default() += 1;
    }
    Ok(hidden)
}

/// A text to look for in documents.
struct Text {
    plain: Finder<'static>,
    /// The text as it stands in a JSON string, if that differs: with `\"`, `\\` and `\n`.
    escaped: Option<Finder<'static>>,
}

impl Text {
    fn new(text: &str) -> Result<Self> {
        let quoted = serde_json::to_string(text).map_err(|error| Error::internal(error.to_string()))?;
        let escaped = &quoted[1..quoted.len() - 1];
        let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
        Ok(Self { plain: finder(text), escaped: (escaped != text).then(|| finder(escaped)) })
    }

    fn is_in(&self, document: &[u8]) -> bool {
        self.plain.find(document).is_some()
            || self.escaped.as_ref().is_some_and(|escaped| escaped.find(document).is_some())
    }
}

/// One call's way through the events.
struct PayloadWalk<'a> {
    connection: &'a Connection,
    memory: &'a Memory,
    account: Option<AccountKey>,
    limit: usize,
}

impl PayloadWalk<'_> {
    fn find(&self, text: &Text, before: Option<EventId>) -> Result<PayloadMatches> {
        let mut left = MAX_SEARCHED_EVENTS.saturating_sub(self.passed(before)?);
        let mut prepared = self.connection.prepare_cached(self.query()).map_err(sql)?;
        let before = before.map_or(i64::MAX, |event| event.0);
        let account = self.account.map(|account| account.0);
        let mut rows = match account {
            Some(account) => prepared.query((before, account)),
            None => prepared.query([before]),
        }
        .map_err(sql)?;
        let mut matches = PayloadMatches { events: Vec::new(), looked_at: 0, back_to: None, next: None, is_over: true };
        let (began, mut bytes, mut carried, mut last) = (Instant::now(), 0, 0, None);
        while left > 0
            && let Some(row) = rows.next().map_err(sql)?
        {
            let is_full = matches.events.len() >= self.limit || carried >= events::MAX_LISTED_DELIVERIES;
            if is_full || bytes >= MAX_SEARCH_BYTES || began.elapsed() >= MAX_SEARCH_TIME {
                (matches.next, matches.is_over) = (last, false);
                break;
            }
            let id = row.get(0).map(EventId).map_err(sql)?;
            let document = row.get_ref(3).map_err(sql)?.as_blob().map_err(|error| sql(error.into()))?;
            (left, bytes, last) = (left - 1, bytes + document.len(), Some(id));
            matches.looked_at += 1;
            matches.back_to = Some(rows::time(row, 1).map_err(sql)?);
            // NULL if the account is deleted.
            let account_id: Option<String> = row.get(2).map_err(sql)?;
            if let Some(account_id) = account_id
                && text.is_in(document)
            {
                let deliveries = events::deliveries_of(self.connection, id, self.memory)?;
                carried += deliveries.len();
                matches.events.push(Event {
                    id,
                    account_id: AccountId::from_stored(account_id),
                    event_type: rows::event_type(row, 4).map_err(sql)?,
                    received_at: rows::time(row, 1).map_err(sql)?,
                    payload_bytes: document.len() as u64,
                    deliveries,
                });
            }
        }
        Ok(matches)
    }

    fn query(&self) -> &'static str {
        if self.account.is_some() {
            return "SELECT e.id, e.received_at, a.account_id, e.payload, t.name FROM event e INDEXED BY event_by_account
                 LEFT JOIN event_type t ON t.event_id = e.id LEFT JOIN account a ON a.key = e.account_key AND a.deleted_at IS NULL
                 WHERE e.account_key = ?2 AND e.id < ?1 ORDER BY e.id DESC";
        }
        "SELECT e.id, e.received_at, a.account_id, e.payload, t.name FROM event e NOT INDEXED
         LEFT JOIN event_type t ON t.event_id = e.id LEFT JOIN account a ON a.key = e.account_key AND a.deleted_at IS NULL
         WHERE e.id < ?1 ORDER BY e.id DESC"
    }

    /// How many events earlier calls have looked at, up to the bound: those from `before` on. Reads no document.
    fn passed(&self, before: Option<EventId>) -> Result<u64> {
        let Some(before) = before else { return Ok(0) };
        let count = match self.account {
            Some(account) => rows::first(
                self.connection,
                "SELECT count(*) FROM (SELECT 1 FROM event INDEXED BY event_by_account
                 WHERE account_key = ?1 AND id >= ?2 LIMIT ?3)",
                (account.0, before.0, MAX_SEARCHED_EVENTS),
                |row| row.get(0),
            ),
            None => rows::first(
                self.connection,
                "SELECT count(*) FROM (SELECT 1 FROM event NOT INDEXED WHERE id >= ?1 LIMIT ?2)",
                (before.0, MAX_SEARCHED_EVENTS),
                |row| row.get(0),
            ),
        };
        Ok(count?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
