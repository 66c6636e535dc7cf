use super::pace::IDLE;
use super::removal::Removal;
use super::retention::Retention;
use super::tallies::Tallies;
use std::time::Duration;

use rusqlite::Connection;

use super::removal::{MAX_ROWS, OF_DESTINATION, SCAN_ROWS};
use crate::domain::destination::Destination;
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::store::operations::fixture::{Fixture, at};
use crate::store::operations::rows;

pub const RETENTION: Duration = Duration::from_secs(1_000);

/// The state of all background work except the return of free pages.
#[derive(Default)]
pub struct Upkeep {
    pub removal: Removal,
    pub retention: Retention,
    pub tallies: Tallies,
}

impl Fixture {
    /// Sends an event and cancels its first delivery, so that nothing of it is pending.
    pub async fn settled(&self, now: Timestamp) -> EventId {
        let (event, delivery) = self.push(now).await;
        self.store.cancel_delivery(delivery, now).await.unwrap();
        event
    }

    /// Runs all background work that is due at `now`.
    pub async fn keep_up(&self, upkeep: &mut Upkeep, now: Timestamp) {
        while self.store.remove_deleted(&mut upkeep.removal).await.unwrap() < IDLE {}
        upkeep.retention.make_due();
        while self.store.expire(&mut upkeep.retention, RETENTION, now).await.unwrap() < IDLE {}
        while self.store.maintain_tallies(&mut upkeep.tallies, RETENTION, now).await.unwrap() < IDLE {}
    }

    pub fn events(&self) -> Vec<i64> {
        let file = Connection::open(self.path()).unwrap();
        rows::all(&file, "SELECT id FROM event ORDER BY id", [], |row| row.get(0)).unwrap()
    }

    pub fn pending(&self) -> i64 {
        self.store.write_metrics().pending
    }

    fn deliveries(&self, destination: &Destination) -> usize {
        let (key, file) = (destination.key.0, Connection::open(self.path()).unwrap());
        let count = "SELECT count(*) FROM delivery WHERE destination_key = ?1";
        file.query_row(count, [key], |row| row.get(0)).unwrap()
    }
}

#[tokio::test]
async fn a_deleted_destination_goes_with_its_deliveries_and_no_others() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let before = SCAN_ROWS + MAX_ROWS;
    for _ in 0..before {
        fixture.push(at(1)).await;
    }
    let [first, second] = [fixture.another(at(1)).await, fixture.another(at(1)).await];
    // More events than one turn reads, and more than one write request deletes.
    let after = SCAN_ROWS + MAX_ROWS + 1;
    for _ in 0..after {
        fixture.push(at(2)).await;
    }
    fixture.store.delete_destination(second.id.clone(), at(3)).await.unwrap();
    // Another destination is deleted in the meantime. The one with the lower key is removed first.
    assert!(fixture.store.remove_deleted(&mut upkeep.removal).await.unwrap() < IDLE);
    assert!(fixture.deliveries(&second) > 0);
    fixture.store.delete_destination(first.id.clone(), at(3)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(3)).await;
    assert_eq!((fixture.deliveries(&first), fixture.deliveries(&second)), (0, 0));
    assert_eq!(fixture.value::<usize>("SELECT count(*) FROM destination"), 1);
    assert_eq!(fixture.value::<usize>("SELECT count(DISTINCT destination_key) FROM tally"), 1);
    assert_eq!(fixture.deliveries(&fixture.destination), before + after);
    assert_eq!(fixture.pending(), (before + after) as i64);
}

#[tokio::test]
async fn a_deleted_destination_goes_though_its_account_goes_on() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let destination = fixture.another(at(1)).await;
    for _ in 0..2 * SCAN_ROWS {
        fixture.push(at(2)).await;
    }
    fixture.store.delete_destination(destination.id.clone(), at(3)).await.unwrap();
    let mut steps = 0;
    while fixture.value::<usize>("SELECT count(*) FROM destination") > 1 {
        assert!(fixture.store.remove_deleted(&mut upkeep.removal).await.unwrap() < IDLE);
        fixture.push(at(3)).await;
        steps += 1;
        assert!(steps < 10);
    }
    assert_eq!(fixture.deliveries(&destination), 0);
}

#[tokio::test]
async fn a_deleted_account_goes_with_all_it_has() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    // More deliveries of one event than one write request deletes.
    for _ in 0..MAX_ROWS + 1 {
        fixture.another(at(1)).await;
    }
    for _ in 0..3 {
        fixture.push(at(2)).await;
    }
    assert_eq!(fixture.pending(), 3 * (MAX_ROWS as i64 + 2));
    fixture.store.delete_account(fixture.account.id.clone(), at(3)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(3)).await;
    for table in ["account", "destination", "event", "delivery", "attempt", "tally"] {
        assert_eq!(fixture.value::<usize>(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(fixture.pending(), 0);
}

#[test]
fn the_removal_goes_by_indexes_in_their_order() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {OF_DESTINATION}")).unwrap();
    let plan: Vec<String> =
        explain.query_map([0; 4], |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect();
    assert!(plan.iter().all(|line| line.starts_with("SEARCH")), "{plan:?}");
}
