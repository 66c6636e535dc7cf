//! What notices are made of, and the writing of a notice as an event. What there is to tell is decided in
//! `domain/notice.rs`.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use super::overview::with_account_names;
use super::{accounts, rows, tally};
use crate::domain::access::Scope;
use crate::domain::document::Document;
use crate::domain::event::IncomingEvent;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DestinationKey};
use crate::domain::notice::{Notice, Seen, WatchedDestination};
use crate::domain::stats::bucket_start;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::file::disk_space;
use crate::store::handle::Store;

impl Store {
    /// Returns the destinations that are paused or failing, those in `noted`, and those whose deliveries became
    /// exhausted since the minute of `since`.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn watched_destinations(&self, noted: Vec<DestinationKey>, since: Timestamp) -> Result<Seen> {
        let storage_is_low = disk_space::is_low(self.path());
        self.readers
            .read_yielding(move |connection| {
                let exhausted = exhausted(connection, bucket_start(since))?;
                let query = "SELECT key FROM destination NOT INDEXED
                     WHERE (paused_reason IS NOT NULL OR failing_since IS NOT NULL) AND deleted_at IS NULL";
                let mut keys: BTreeSet<i64> = rows::all(connection, query, [], |row| row.get(0))?.into_iter().collect();
                keys.extend(noted.into_iter().map(|key| key.0));
                keys.extend(exhausted.keys().map(|(key, _)| key.0));
                let found = with_account_names(connection, keys.into_iter().map(DestinationKey))?;
                let watched =
                    |(destination, account_name): (crate::domain::destination::Destination, _)| WatchedDestination {
                        key: destination.key,
                        id: destination.id,
                        account_id: destination.account_id,
                        account_name,
                        url: destination.fields.url,
                        pause: destination.pause,
                        failing_since: destination.failing_since,
                    };
                let destinations = found.into_iter().map(watched).collect();
                Ok(Seen { destinations, exhausted, storage_is_low })
            })
            .await
    }

    /// Accepts a notice as an event of `account`, even if disk space is low. A notice whose key was used within 24 hours
    /// was told before, and nothing is written.
    ///
    /// # Errors
    /// Not found if the account does not exist. Unavailable if the storage cannot accept the event.
    pub async fn accept_notice(&self, account: AccountId, notice: &Notice, now: Timestamp) -> Result<()> {
        let account = self.readers.read(move |connection| accounts::require(connection, &Scope::All, &account)).await?;
        let document = notice.document.to_string();
        let event = IncomingEvent {
            account: account.key,
            payload: Document::made(document.as_bytes(), Some(EventType::from_stored(notice.kind.as_str()))),
            idempotency_key: Some(notice.key.parse().map_err(Error::internal)?),
            may_use_reserve: true,
        };
        match self.accept_event(event, false, now).await {
            Err(error) if error.code() == "idempotency_key_reused" => Ok(()),
            accepted => accepted.map(drop),
        }
    }
}

/// Deliveries that became exhausted, by destination and minute, from the minute `since` on.
fn exhausted(connection: &Connection, since: i64) -> Result<HashMap<(DestinationKey, i64), u64>> {
    let query = "SELECT destination_key, start, exhausted FROM tally INDEXED BY tally_by_time
         WHERE start >= ?1 AND exhausted > 0";
    let settled = rows::all(connection, query, [since], |row| {
        Ok(((DestinationKey(row.get(0)?), row.get::<_, i64>(1)?), row.get::<_, u64>(2)?))
    })?;
    let mut sums: HashMap<_, _> = settled.into_iter().collect();
    for ((destination, start), counts) in tally::recent(connection)? {
        if start >= since && counts.exhausted > 0 {
            *sums.entry((destination, start)).or_default() += counts.exhausted;
        }
    }
    Ok(sums)
}
