//! Reads the tallies for `/v1/stats`. Writing them is done in `tally.rs`.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Params};

use super::{accounts, destinations, rows, tally};
use crate::domain::ids::DestinationKey;
use crate::domain::stats::{Counts, StatsRequest};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::handle::ScopedStore;

const SUMS: &str =
    "SELECT start - start % ?3, sum(accepted), sum(succeeded), sum(failed), sum(exhausted), sum(events), sum(skipped)
     FROM tally";

impl ScopedStore {
    /// Returns counts by bucket, earliest bucket first. Buckets without any count are included.
    ///
    /// # Errors
    /// Not found if the account or the destination does not exist.
    pub async fn stats(&self, request: StatsRequest) -> Result<Vec<(Timestamp, Counts)>> {
        let scope = self.scope.clone();
        self.readers
            .read_yielding(move |connection| {
                let width = i64::try_from(request.bucket.as_millis()).unwrap_or(i64::MAX);
                let (since, until) = (request.since.millis(), request.until.millis());
                let account = request.account_id.as_ref().or(scope.account().map(|(id, _)| id));
                let account = account.map(|id| accounts::require(connection, &scope, id)).transpose()?;
                let one = request.destination_id.as_ref();
                let one = one.map(|id| destinations::require(connection, &scope, id)).transpose()?;
                // Calculates with plain numbers: the last bucket may end after the latest time that a `Timestamp` can
                // hold.
                let starts = (0..).map(|n| since + n * width).take_while(|start| *start < until);
                let mut buckets: BTreeMap<i64, Counts> = starts.map(|start| (start, Counts::default())).collect();
                let keys = match (&account, &one) {
                    (Some(account), Some(one)) if one.account_key != account.key => Some(Vec::new()),
                    (_, Some(one)) => Some(vec![one.key]),
                    (Some(account), None) => Some(rows::all(
                        connection,
                        "SELECT key FROM destination WHERE account_key = ?1 AND deleted_at IS NULL",
                        [account.key.0],
                        |row| row.get(0).map(DestinationKey),
                    )?),
                    (None, None) => None,
                };
                match &keys {
                    Some(keys) => {
                        let query =
                            format!("{SUMS} WHERE start >= ?1 AND start < ?2 AND destination_key = ?4 GROUP BY 1");
                        for key in keys {
                            add(connection, &mut buckets, &query, (since, until, width, key.0))?;
                        }
                    }
                    None => {
                        let query =
                            format!("{SUMS} INDEXED BY tally_by_time WHERE start >= ?1 AND start < ?2 GROUP BY 1");
                        add(connection, &mut buckets, &query, (since, until, width))?;
                    }
                }
                let wanted: Option<HashSet<DestinationKey>> = keys.map(|keys| keys.into_iter().collect());
                for ((destination, start), more) in tally::recent(connection)? {
                    if wanted.as_ref().is_none_or(|wanted| wanted.contains(&destination))
                        && (since..until).contains(&start)
                    {
                        buckets.entry(start - start % width).or_default().add(more);
                    }
                }
                Ok(buckets.into_iter().map(|(start, counts)| (Timestamp::from_millis(start), counts)).collect())
            })
            .await
    }
}

fn add(connection: &Connection, buckets: &mut BTreeMap<i64, Counts>, query: &str, params: impl Params) -> Result<()> {
    let sums = rows::all(connection, query, params, |row| {
        let counts = Counts {
            accepted: row.get(1)?,
            succeeded: row.get(2)?,
            failed: row.get(3)?,
            exhausted: row.get(4)?,
            events: row.get(5)?,
            skipped: row.get(6)?,
        };
        Ok((row.get::<_, i64>(0)?, counts))
    })?;
    for (start, more) in sums {
        buckets.entry(start).or_default().add(more);
    }
    Ok(())
}
