//! Which destinations need attention.

use std::ops::Range;

use rusqlite::Connection;

use super::with_account_names;
use crate::domain::account::AccountName;
use crate::domain::destination::Destination;
use crate::domain::ids::{AccountKey, DestinationKey};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::handle::ScopedStore;
use crate::store::operations::rows;

impl ScopedStore {
    /// Returns the destinations that need attention at `now`, those at `places` in their order, and how many there are in
    /// all. First come paused ones, then failing ones, then those held back, failing or not. Within each of these, the
    /// earliest time comes first: the beginning of the pause or of the failures, or the end of the hold. Holds end by the
    /// engine clock, which differs from the wall clock only if that was set.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn attention(
        &self,
        now: Timestamp,
        places: Range<usize>,
    ) -> Result<(Vec<(Destination, AccountName)>, u64)> {
        let only = self.scope.account().map(|(_, key)| key);
        let unreadable = self.memory.unreadable.all();
        self.readers
            .read_yielding(move |connection| {
                let mut all = needing_attention(connection, only, now)?;
                with_unreadable(connection, only, &unreadable, &mut all)?;
                all.sort_unstable();
                let wanted = all.iter().skip(places.start).take(places.len()).map(|(.., key)| *key);
                Ok((with_account_names(connection, wanted)?, all.len() as u64))
            })
            .await
    }
}

/// The keys of all destinations that need attention, each behind its place in the order. With `only`, those of that
/// account.
fn needing_attention(
    connection: &Connection,
    only: Option<AccountKey>,
    now: Timestamp,
) -> Result<Vec<(u8, i64, DestinationKey)>> {
    let (by, reached) = match only {
        Some(_) => ("INDEXED BY destination_by_account", "account_key = ?2"),
        None => ("NOT INDEXED", "?2 IS NULL"),
    };
    let query = format!(
        "SELECT key, CASE WHEN paused_reason IS NOT NULL THEN paused_at END,
         CASE WHEN held_until > ?1 THEN held_until END, failing_since FROM destination {by}
         WHERE (paused_reason IS NOT NULL OR failing_since IS NOT NULL OR held_until > ?1) AND deleted_at IS NULL
         AND {reached}"
    );
    rows::all(connection, &query, (now.millis(), only.map(|key| key.0)), |row| {
        let (paused, held): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
        let (rank, time) = match (paused, held) {
            (Some(paused), _) => (0, paused),
            (None, Some(held)) => (2, held),
            (None, None) => (1, row.get(3)?),
        };
        Ok((rank, time, DestinationKey(row.get(0)?)))
    })
}

/// Adds the destinations whose secrets do not open: nothing in their rows says that they are paused.
fn with_unreadable(
    connection: &Connection,
    only: Option<AccountKey>,
    unreadable: &[DestinationKey],
    all: &mut Vec<(u8, i64, DestinationKey)>,
) -> Result<()> {
    all.retain(|(.., key)| unreadable.binary_search(key).is_err());
    let query = "SELECT updated_at FROM destination
                 WHERE key = ?1 AND deleted_at IS NULL AND (?2 IS NULL OR account_key = ?2)";
    for key in unreadable {
        let since = rows::first(connection, query, (key.0, only.map(|key| key.0)), |row| row.get(0))?;
        all.extend(since.map(|since| (0, since, *key)));
    }
    Ok(())
}
