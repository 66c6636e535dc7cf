//! What pages show of the whole server: what it has, what waits, how long attempts take, and which destinations need
//! attention. Also the names by which the rows of a list are labelled. Every read here is bounded by a number of rows
//! or by the number of destinations, never by that of deliveries.

mod attention;
mod of_account;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use rusqlite::Connection;

use super::delivery_walk::{self, DeliveryFilter, Only};
use super::{destinations, rows};
use crate::domain::access::Scope;
use crate::domain::account::AccountName;
use crate::domain::destination::{Destination, HttpMethod};
use crate::domain::ids::{AccountId, DestinationId, DestinationKey};
use crate::domain::overview::{AtMost, Backlog, Contents, Latency};
use crate::domain::page::MAX_LIMIT;
use crate::domain::target_url::TargetUrl;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::error::sql;
use crate::store::handle::ScopedStore;

/// Deliveries whose attempts make the figures of a latency.
const MAX_LATENCY_DELIVERIES: usize = 2_000;

/// Attempts after which no further delivery is added. A delivery may have any number of attempts.
const MAX_LATENCY_ATTEMPTS: usize = 8_000;

/// Most rows that the search for these deliveries reads.
const MAX_LATENCY_ROWS: usize = 10_000;

/// Most pending deliveries that are looked at for the oldest one. Those of deleted destinations are passed over.
const MAX_OLDEST_ROWS: usize = 1_000;

/// Most pending deliveries of a destination that are counted.
const MAX_PENDING_COUNTED: u64 = 10_000;

impl ScopedStore {
    /// Returns what the server has so far. Of deliveries only the newest and the oldest 1,000 are looked at: the newest
    /// may all be waiting.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn contents(&self) -> Result<Contents> {
        let only = self.scope.account().map(|(_, key)| key);
        self.readers
            .read(move |connection| {
                if let Some(account) = only {
                    return of_account::contents(connection, account);
                }
                let has = |query: &str| Ok(rows::first(connection, query, [], |row| row.get(0))?.unwrap_or(false));
                let delivered = |order: &str| {
                    has(&format!(
                        "SELECT EXISTS (SELECT 1 FROM
                         (SELECT state, destination_key FROM delivery NOT INDEXED ORDER BY id {order} LIMIT 1000) v
                         CROSS JOIN destination d ON d.key = v.destination_key AND d.deleted_at IS NULL
                         WHERE v.state = 1)"
                    ))
                };
                Ok(Contents {
                    has_account: has(
                        "SELECT EXISTS (SELECT 1 FROM account INDEXED BY account_by_id WHERE deleted_at IS NULL)",
                    )?,
                    has_destination: has(
                        "SELECT EXISTS (SELECT 1 FROM destination INDEXED BY destination_by_id WHERE deleted_at IS NULL)",
                    )?,
                    has_delivered: delivered("DESC")? || delivered("ASC")?,
                })
            })
            .await
    }

    /// Returns how many deliveries are pending, and how old the oldest is. The number includes deliveries of deleted
    /// destinations until they are removed, as in `/metrics`; the oldest is one that a list would show.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn backlog(&self) -> Result<Backlog> {
        if let Some((_, account)) = self.scope.account() {
            return self
                .readers
                .read_yielding(move |connection| of_account::backlog(connection, account, MAX_PENDING_COUNTED))
                .await;
        }
        let oldest = self.readers.read(oldest_pending).await?;
        Ok(Backlog { pending: u64::try_from(self.memory.metrics.pending_now()).unwrap_or(0), oldest })
    }

    /// Returns how long attempts take, of all deliveries, of an account's, or of those for a destination. The figures
    /// are those of all attempts of the newest 2,000 deliveries that match and have an attempt. Their events were
    /// received at `since` or later. `None` if there is none, also for an account or destination that does not exist.
    ///
    /// The search for these deliveries looks at 10,000 rows at most, so behind many waiting ones it may find fewer.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn latency(
        &self,
        account: Option<AccountId>,
        destination: Option<DestinationId>,
        since: Timestamp,
    ) -> Result<Option<Latency>> {
        let filter = DeliveryFilter {
            account_id: account,
            destination_id: destination,
            since: Some(since),
            ..DeliveryFilter::default()
        };
        let scope = self.scope.clone();
        self.readers
            .read_yielding(move |connection| Ok(Latency::of(newest_attempts(connection, &scope, &filter)?)))
            .await
    }

    /// Returns the destinations with these keys and their accounts' names, in the order given. At most 200 keys are
    /// looked at. Destinations that are deleted are left out.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn destinations_by_key(&self, keys: Vec<DestinationKey>) -> Result<Vec<(Destination, AccountName)>> {
        let keys = keys.into_iter().take(MAX_LIMIT.into());
        let mut found = self.readers.read(move |connection| with_account_names(connection, keys)).await?;
        found.retain(|(destination, _)| self.scope.reaches(&destination.account_id));
        Ok(found)
    }

    /// Counts the pending deliveries of a destination, up to 10,000.
    ///
    /// # Errors
    /// Not found.
    pub async fn pending_for(&self, destination: DestinationId) -> Result<AtMost> {
        let scope = self.scope.clone();
        self.readers
            .read(move |connection| {
                let key = destinations::require(connection, &scope, &destination)?.key;
                let query = "SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_due
                     WHERE destination_key = ?1 AND state = 0 LIMIT ?2)";
                let params = (key.0, MAX_PENDING_COUNTED + 1);
                let found = rows::first(connection, query, params, |row| row.get(0))?;
                Ok(AtMost::of(found.unwrap_or(0), MAX_PENDING_COUNTED))
            })
            .await
    }

    /// Returns the names of accounts. At most 200 ids are looked at. Accounts that do not exist are left out.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn account_names(&self, ids: Vec<AccountId>) -> Result<HashMap<AccountId, AccountName>> {
        let query = "SELECT name FROM account WHERE account_id = ?1 AND deleted_at IS NULL";
        let ids: Vec<AccountId> = ids.into_iter().filter(|id| self.scope.reaches(id)).collect();
        self.readers
            .read(move |connection| {
                labels(ids, |id| {
                    rows::first(connection, query, [id.as_str()], |row| row.get(0).map(AccountName::from_stored))
                })
            })
            .await
    }

    /// Returns the methods and URLs of destinations. At most 200 ids are looked at. Destinations that do not exist are
    /// left out.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn destination_labels(
        &self,
        ids: Vec<DestinationId>,
    ) -> Result<HashMap<DestinationId, (HttpMethod, TargetUrl)>> {
        let query = "SELECT http_method, url FROM destination
             WHERE destination_id = ?1 AND deleted_at IS NULL AND (?2 IS NULL OR account_key = ?2)";
        let only = self.scope.account().map(|(_, key)| key.0);
        self.readers
            .read(move |connection| {
                labels(ids, |id| {
                    rows::first(connection, query, (id.as_str(), only), |row| {
                        Ok((rows::method(row, 0)?, row.get(1).map(TargetUrl::from_stored)?))
                    })
                })
            })
            .await
    }
}

/// Looks each id up once. Those that do not exist are left out.
fn labels<K, V>(ids: Vec<K>, find: impl Fn(&K) -> Result<Option<V>>) -> Result<HashMap<K, V>>
where
    K: std::hash::Hash + Eq,
{
    let mut found = HashMap::new();
    for id in ids.into_iter().take(MAX_LIMIT.into()) {
        if !found.contains_key(&id)
            && let Some(label) = find(&id)?
        {
            found.insert(id, label);
        }
    }
    Ok(found)
}

/// When the event of the oldest pending delivery was received.
fn oldest_pending(connection: &Connection) -> Result<Option<Timestamp>> {
    let query = format!(
        "SELECT d.key IS NOT NULL, e.received_at FROM delivery v INDEXED BY delivery_unsettled
         CROSS JOIN event e ON e.id = v.event_id
         LEFT JOIN destination d ON d.key = v.destination_key AND d.deleted_at IS NULL
         WHERE v.state = 0 AND v.state <> 1 ORDER BY v.id LIMIT {MAX_OLDEST_ROWS}"
    );
    let mut prepared = connection.prepare_cached(&query).map_err(sql)?;
    let mut found = prepared.query([]).map_err(sql)?;
    while let Some(row) = found.next().map_err(sql)? {
        if row.get(0).map_err(sql)? {
            return rows::time(row, 1).map(Some).map_err(sql);
        }
    }
    Ok(None)
}

/// The attempts of the newest deliveries that match: how long each took, and whether it failed.
fn newest_attempts(connection: &Connection, scope: &Scope, filter: &DeliveryFilter) -> Result<Vec<(Duration, bool)>> {
    let mut attempts = Vec::new();
    let Some(wanted) = delivery_walk::resolve(connection, scope, filter)? else { return Ok(attempts) };
    let logged = "SELECT duration_ms, error IS NOT NULL FROM attempt WHERE delivery_id = ?1";
    let mut deliveries = 0;
    delivery_walk::walk(connection, &wanted, Only::Attempted, i64::MAX, MAX_LATENCY_ROWS, |found| {
        match found.first_duration {
            // Only a success is kept in the delivery's row.
            Some(took) => attempts.push((took, false)),
            None => attempts.extend(rows::all(connection, logged, [found.id.0], |row| {
                Ok((Duration::from_millis(row.get(0)?), row.get(1)?))
            })?),
        }
        deliveries += 1;
        let is_enough = deliveries == MAX_LATENCY_DELIVERIES || attempts.len() >= MAX_LATENCY_ATTEMPTS;
        Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(attempts)
}

/// Returns destinations with their accounts' names, in the order of the keys. Deleted ones are left out.
pub fn with_account_names(
    connection: &Connection,
    keys: impl IntoIterator<Item = DestinationKey>,
) -> Result<Vec<(Destination, AccountName)>> {
    let query = format!(
        "SELECT {}, a.name FROM destination d JOIN account a ON a.key = d.account_key AND a.deleted_at IS NULL
         WHERE d.key = ?1 AND d.deleted_at IS NULL",
        rows::DESTINATION
    );
    let one = |key: DestinationKey| {
        rows::first(connection, &query, [key.0], |row| {
            Ok((rows::destination(row)?, row.get("name").map(AccountName::from_stored)?))
        })
    };
    keys.into_iter().filter_map(|key| one(key).transpose()).collect()
}

#[cfg(test)]
mod tests;
