//! Reads the tallies for `/v1/stats`. Writing them is done in `tally.rs`.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, Params};

use super::{accounts, destinations, rows, tally};
use crate::domain::ids::DestinationKey;
use crate::domain::stats::{Counts, StatsRequest};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::handle::Store;
use crate::store::memory::tally_sums::{Began, TallySums};

/// Sums of one destination by bucket of the width `?3`.
const SUMS_OF_ONE: &str = "SELECT start - start % ?3, sum(accepted), sum(succeeded), sum(failed), sum(exhausted)
     FROM tally WHERE start >= ?1 AND start < ?2 AND destination_key = ?4 GROUP BY 1";

/// Sums of all destinations by bucket as it is stored.
const SUMS_OF_ALL: &str = "SELECT start, sum(accepted), sum(succeeded), sum(failed), sum(exhausted)
     FROM tally INDEXED BY tally_by_time WHERE start >= ?1 AND start < ?2 GROUP BY start";

impl Store {
    /// Returns counts by bucket, earliest bucket first. Buckets without any count are included.
    ///
    /// # Errors
    /// Not found if the account or the destination does not exist.
    pub async fn stats(&self, request: StatsRequest) -> Result<Vec<(Timestamp, Counts)>> {
        let memory = Arc::clone(&self.memory);
        self.readers
            .read_yielding(move |connection| {
                let began = memory.tally_sums.begin();
                let width = i64::try_from(request.bucket.as_millis()).unwrap_or(i64::MAX);
                let (since, until) = (request.since.millis(), request.until.millis());
                let account = request.account_id.as_ref().map(|id| accounts::require(connection, id)).transpose()?;
                let one =
                    request.destination_id.as_ref().map(|id| destinations::require(connection, id)).transpose()?;
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
                // Before the tallies of all, since it takes the snapshot of the file.
                let recent = tally::recent(connection)?;
                match &keys {
                    Some(keys) => {
                        for key in keys {
                            for (start, counts) in sums(connection, SUMS_OF_ONE, (since, until, width, key.0))? {
                                buckets.entry(start).or_default().add(counts);
                            }
                        }
                    }
                    None => {
                        for (start, counts) in of_all(connection, &memory.tally_sums, &began, since..until)? {
                            buckets.entry(start - start % width).or_default().add(counts);
                        }
                    }
                }
                let wanted: Option<HashSet<DestinationKey>> = keys.map(|keys| keys.into_iter().collect());
                for ((destination, start), more) in recent {
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

/// The sums of all destinations, by bucket as it is stored. Reads only those that are not known yet.
fn of_all(
    connection: &Connection,
    tally_sums: &TallySums,
    began: &Began,
    wanted: Range<i64>,
) -> Result<BTreeMap<i64, Counts>> {
    let known = tally_sums.known(began, &wanted);
    let mut found = known.sums;
    let missing = if known.covers.is_empty() {
        vec![wanted.clone()]
    } else {
        vec![wanted.start..known.covers.start, known.covers.end..wanted.end]
    };
    let newest = rows::first(connection, "SELECT max(start) FROM tally", [], |row| row.get::<_, Option<i64>>(0))?;
    for range in missing.into_iter().filter(|range| !range.is_empty()) {
        let read = sums(connection, SUMS_OF_ALL, (range.start, range.end))?.into_iter().collect();
        tally_sums.learn(began, &range, &read, newest.flatten().unwrap_or(i64::MIN));
        found.extend(read);
    }
    found.retain(|start, _| wanted.contains(start));
    Ok(found)
}

fn sums(connection: &Connection, query: &str, params: impl Params) -> Result<Vec<(i64, Counts)>> {
    rows::all(connection, query, params, |row| {
        let counts =
            Counts { accepted: row.get(1)?, succeeded: row.get(2)?, failed: row.get(3)?, exhausted: row.get(4)? };
        Ok((row.get(0)?, counts))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::operations::fixture::{Fixture, at};
    use crate::store::operations::tally;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    impl Fixture {
        /// The sums of all as `stats` tells them, after a check that these are the sums in the file.
        async fn checked(&self, since: u64, until: u64) -> Counts {
            let bucket = Duration::from_secs(MINUTE);
            let request = StatsRequest::new(None, None, at(since), at(until), bucket).unwrap();
            let mut sum = Counts::default();
            for (start, counts) in self.store.stats(request).await.unwrap() {
                let stored = format!("SELECT coalesce(sum(accepted), 0) FROM tally WHERE start = {}", start.millis());
                assert_eq!(self.value::<u64>(&stored), counts.accepted, "{start}");
                sum.add(counts);
            }
            sum
        }

        /// Reads twice: the first read tells which buckets may still change.
        async fn accepted(&self, since: u64, until: u64) -> u64 {
            self.checked(since, until).await;
            self.checked(since, until).await.accepted
        }
    }

    #[tokio::test]
    async fn sums_of_all_are_those_of_the_file_whatever_happens_to_old_buckets() {
        let fixture = Fixture::new().await;
        let other = fixture.another_account("grace", at(0)).await.1;
        for minute in 0..60 {
            fixture.push(at(minute * MINUTE)).await;
        }
        assert_eq!(fixture.accepted(0, HOUR).await, 60);
        // The newest bucket, an old one, and one that was empty.
        for minute in [59, 60, 7, 75, 90] {
            fixture.push(at(minute * MINUTE)).await;
            fixture.accepted(HOUR / 2, 2 * HOUR).await;
        }
        assert_eq!(fixture.accepted(0, 2 * HOUR).await, 65);
        let key = other.key;
        let late = move |tx: &mut crate::store::commit::transaction::Transaction<'_>| {
            tx.counts_mut(key, at(5 * MINUTE)).accepted += 10;
            Ok(())
        };
        fixture.step(late).await.unwrap();
        assert_eq!(fixture.accepted(0, 2 * HOUR).await, 75);
        fixture.step(|tx| tally::merge(tx, 0, Duration::from_secs(1))).await.unwrap();
        assert_eq!(fixture.accepted(0, 2 * HOUR).await, 75);
        assert_eq!(fixture.checked(0, MINUTE).await.accepted, 72);
        let gone = at(HOUR).millis();
        fixture.step(move |tx| tally::remove(tx, gone, Duration::from_secs(1))).await.unwrap();
        assert_eq!(fixture.accepted(0, 2 * HOUR).await, 3);
    }
}
