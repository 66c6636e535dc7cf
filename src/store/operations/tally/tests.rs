use super::*;
use crate::domain::stats::{MINUTE, StatsRequest};
use crate::domain::time::Timestamp;
use crate::store::operations::fixture::Fixture;
use std::time::Duration;

/// More destinations than are counted in their rows at once.
const MANY: usize = DIRECT_MAX + 1;

/// The beginning of some minute.
fn at() -> Timestamp {
    Timestamp::from_millis(7 * MINUTE)
}

impl Fixture {
    /// Creates this many destinations besides the one of the fixture.
    async fn destinations(&self, number: usize) -> Vec<DestinationKey> {
        self.step(move |tx| {
            (0..number)
                .map(|number| {
                    tx.run(
                        "INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret,
                         created_at, updated_at) VALUES (?1, 1, 'http://h/', 'POST', '{}', zeroblob(32), 0, 0)",
                        [format!("dst_{number}")],
                    )?;
                    Ok(DestinationKey(tx.last_key()))
                })
                .collect()
        })
        .await
        .unwrap()
    }

    /// Commits a transaction in which an event creates one delivery for each of these destinations.
    async fn commit(&self, destinations: &[DestinationKey]) {
        let destinations = destinations.to_vec();
        self.step(move |tx| {
            destinations.iter().for_each(|destination| tx.counts_mut(*destination, at()).accepted += 1);
            tx.counts_mut(destinations[0], at()).events += 1;
            Ok(())
        })
        .await
        .unwrap();
    }

    /// How many created deliveries the charts show.
    async fn shown(&self) -> u64 {
        self.shown_counts().await.accepted
    }

    async fn shown_counts(&self) -> Counts {
        let end = at().plus(Duration::from_secs(60));
        let request = StatsRequest::new(None, None, Timestamp::EPOCH, end, Duration::from_secs(60)).unwrap();
        let account = StatsRequest { account_id: Some(self.account.id.clone()), ..request.clone() };
        let mut all = Counts::default();
        for (start, counts) in self.store.stats(request).await.unwrap() {
            assert!(start == at() || counts == Counts::default());
            all.add(counts);
        }
        let mut of_account = Counts::default();
        self.store.stats(account).await.unwrap().into_iter().for_each(|(_, counts)| of_account.add(counts));
        assert_eq!(all, of_account);
        all
    }

    fn recent(&self) -> usize {
        self.value("SELECT count(*) FROM tally_recent")
    }

    fn tallied(&self) -> u64 {
        self.value("SELECT coalesce(sum(accepted), 0) FROM tally")
    }
}

#[test]
fn a_recent_count_is_read_as_it_was_written() {
    let key = (DestinationKey(i64::MAX), 1_764_000_000_000);
    let counts = Counts { accepted: 1, succeeded: u64::MAX, failed: 3, exhausted: 1 << 40, events: 5, skipped: 6 };
    assert_eq!(read(&bytes((key, counts))), (key, counts));
}

#[tokio::test]
async fn counts_of_few_destinations_are_tallied_at_once_and_of_many_together() {
    let fixture = Fixture::new().await;
    let many = fixture.destinations(MANY).await;
    fixture.commit(&many[..DIRECT_MAX]).await;
    assert_eq!((fixture.recent(), fixture.tallied()), (0, DIRECT_MAX as u64));
    let mut made = DIRECT_MAX as u64;
    for _ in 0..MAX_RECENT_ROWS {
        let shown = fixture.shown_counts().await;
        assert_eq!((shown.accepted, shown.events), (made, 1 + (made - DIRECT_MAX as u64) / MANY as u64));
        fixture.commit(&many).await;
        made += MANY as u64;
    }
    assert_eq!((fixture.recent() as i64, fixture.tallied()), (MAX_RECENT_ROWS, DIRECT_MAX as u64));
    fixture.commit(&many).await;
    made += MANY as u64;
    assert_eq!((fixture.recent(), fixture.tallied()), (0, made));
    let shown = fixture.shown_counts().await;
    assert_eq!((shown.accepted, shown.events), (made, MAX_RECENT_ROWS as u64 + 2));
}

#[tokio::test]
async fn what_waits_is_bounded_and_goes_in_steps_that_count_nothing_twice() {
    let fixture = Fixture::new().await;
    let many = fixture.destinations(3 * FOLD_BUCKETS).await;
    for commit in 1..=10 {
        fixture.commit(&many).await;
        assert!(fixture.recent() as i64 <= MAX_RECENT_ROWS, "{commit}: {}", fixture.recent());
        assert_eq!(fixture.shown().await, commit * many.len() as u64);
    }
    let mut steps = 1;
    while fixture.step(fold_recent).await.unwrap() {
        steps += 1;
        assert_eq!(fixture.shown().await, 10 * many.len() as u64);
    }
    assert!(steps as i64 <= MAX_RECENT_ROWS && fixture.recent() == 0, "{steps}");
    assert_eq!(fixture.tallied(), 10 * many.len() as u64);
}

#[tokio::test]
async fn what_is_recent_is_tallied_before_the_file_is_closed() {
    let fixture = Fixture::new().await;
    let many = fixture.destinations(FOLD_BUCKETS + 1).await;
    fixture.commit(&many).await;
    fixture.store.close().await;
    assert_eq!((fixture.recent(), fixture.tallied()), (0, many.len() as u64));
}

#[tokio::test]
async fn a_destination_that_is_gone_is_not_counted_any_more() {
    let fixture = Fixture::new().await;
    let many = fixture.destinations(MANY).await;
    fixture.commit(&many).await;
    let gone = many[0].0;
    fixture.step(move |tx| tx.run("DELETE FROM destination WHERE key = ?1", [gone])).await.unwrap();
    assert!(!fixture.step(fold_recent).await.unwrap());
    assert_eq!(fixture.tallied(), MANY as u64 - 1);
}
