use super::*;
use crate::domain::stats::Counts;
use crate::store::commit::transaction::Transaction;
use crate::store::operations::fixture::{Fixture, at};
use crate::store::operations::maintenance::tests::Upkeep;

#[tokio::test]
async fn recent_counts_are_tallied_once_no_more_come() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    for _ in 0..20 {
        fixture.another(at(1)).await;
    }
    fixture.push(at(2)).await;
    let recent = || fixture.value::<usize>("SELECT count(*) FROM tally_recent");
    assert_eq!(recent(), 1);
    fixture.keep_up(&mut upkeep, at(3)).await;
    fixture.push(at(3)).await;
    fixture.keep_up(&mut upkeep, at(3)).await;
    assert_eq!(recent(), 2, "there was one in between");
    fixture.keep_up(&mut upkeep, at(3)).await;
    assert_eq!(recent(), 0);
    assert_eq!(fixture.value::<usize>("SELECT sum(accepted) FROM tally"), 42);
    assert_eq!(fixture.value::<usize>("SELECT sum(events) FROM tally"), 2, "each event counts at one destination");
}

const HOUR: u64 = 3_600;

const DAY: u64 = 24 * HOUR;

impl Fixture {
    /// Counts an event and one delivery as created in the minute of `now`, for the first destination.
    async fn counted(&self, now: Timestamp) {
        let key = self.destination.key;
        let count = move |tx: &mut Transaction<'_>| {
            tx.counts_mut(key, now).add(Counts { accepted: 1, events: 1, ..Counts::default() });
            Ok(())
        };
        self.step(count).await.unwrap();
    }

    async fn tend(&self, tallies: &mut Tallies, retention: u64, now: Timestamp) {
        let retention = Duration::from_secs(retention);
        while self.store.maintain_tallies(tallies, retention, now).await.unwrap() < IDLE {}
    }

    /// Beginnings of the buckets in seconds, and their counts of created deliveries, which are also those of events.
    fn buckets(&self) -> Vec<(u64, u64)> {
        let file = Connection::open(self.path()).unwrap();
        assert_eq!(self.value::<u64>("SELECT count(*) FROM tally WHERE accepted <> events"), 0);
        let buckets = "SELECT start / 1000, accepted FROM tally ORDER BY destination_key, start";
        rows::all(&file, buckets, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }
}

#[tokio::test]
async fn minutes_are_merged_once_they_are_a_day_old() {
    let (fixture, mut tallies) = (Fixture::new().await, Tallies::default());
    for minute in [0, 1, 59, 60, 61] {
        fixture.counted(at(60 * minute)).await;
    }
    fixture.tend(&mut tallies, 30 * DAY, at(DAY + HOUR - 1)).await;
    assert_eq!(fixture.buckets().len(), 5);
    fixture.tend(&mut tallies, 30 * DAY, at(DAY + HOUR)).await;
    assert_eq!(fixture.buckets(), [(0, 3), (HOUR, 1), (HOUR + 60, 1)]);
    fixture.tend(&mut tallies, 30 * DAY, at(DAY + 2 * HOUR)).await;
    assert_eq!(fixture.buckets(), [(0, 3), (HOUR, 2)]);
}

#[tokio::test]
async fn minutes_that_come_late_are_merged_at_last() {
    let (fixture, mut tallies) = (Fixture::new().await, Tallies::default());
    fixture.counted(at(60)).await;
    fixture.tend(&mut tallies, 30 * DAY, at(DAY + 5 * HOUR)).await;
    assert_eq!(fixture.buckets(), [(0, 1)]);
    fixture.counted(at(120)).await;
    fixture.counted(at(HOUR + 60)).await;
    fixture.tend(&mut tallies, 30 * DAY, at(DAY + 6 * HOUR)).await;
    assert_eq!(fixture.buckets(), [(0, 2), (HOUR, 1)]);
}

#[tokio::test]
async fn what_is_older_than_the_retention_goes_but_a_day_stays() {
    let (fixture, mut tallies) = (Fixture::new().await, Tallies::default());
    let hours = || (0..72).map(|hour| at(hour * HOUR + 60));
    for hour in hours() {
        fixture.counted(hour).await;
    }
    fixture.tend(&mut tallies, 2 * DAY, at(3 * DAY)).await;
    let left = fixture.buckets();
    assert_eq!((left.len(), left[0]), (48, (DAY, 1)));
    // The last day stays, however short the retention is.
    fixture.tend(&mut tallies, 1, at(3 * DAY)).await;
    let left = fixture.buckets();
    assert_eq!((left.len(), left[0]), (24, (2 * DAY + 60, 1)));
}

#[tokio::test]
async fn each_turn_does_a_part_of_many_destinations() {
    let (fixture, mut tallies) = (Fixture::new().await, Tallies::default());
    let many = 200;
    fixture
        .step(move |tx| {
            for number in 0..many {
                tx.run(
                    "INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at,
                     updated_at) VALUES (?1, 1, 'http://h/', 'POST', '{}', zeroblob(32), 0, 0)",
                    [number.to_string()],
                )?;
            }
            tx.run("INSERT INTO tally SELECT 60000, key, 1, 0, 0, 0, 1, 0 FROM destination", [])?;
            tx.run("INSERT INTO tally SELECT 120000, key, 1, 0, 0, 0, 1, 0 FROM destination", [])
        })
        .await
        .unwrap();
    fixture.step(|tx| tally::merge(tx, 0, Duration::ZERO)).await.unwrap();
    assert_eq!(fixture.buckets().len(), 2 * many + 1, "those of one destination");
    fixture.tend(&mut tallies, 30 * DAY, at(2 * DAY)).await;
    assert_eq!(fixture.buckets(), vec![(0, 2); many + 1]);
    fixture.step(|tx| tally::remove(tx, i64::MAX, Duration::ZERO)).await.unwrap();
    assert_eq!(fixture.buckets().len(), many);
    fixture.tend(&mut tallies, DAY, at(3 * DAY)).await;
    assert!(fixture.buckets().is_empty());
}

#[test]
fn the_looks_go_by_the_index_of_times() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", tally::NEXT_START)).unwrap();
    let plan: String = explain.query_row([0; 2], |row| row.get(3)).unwrap();
    assert_eq!(plan, "SEARCH tally USING COVERING INDEX tally_by_time (start>? AND start<?)");
}
