use super::*;
use std::sync::Arc;

use crate::domain::destination::Destination;
use crate::domain::event::IncomingEvent;
use crate::domain::ids::hot_time;
use crate::store::Accepted;
use crate::store::fixture::{Fixture, at};

const RETENTION: Duration = Duration::from_secs(1_000);

impl Fixture {
    /// Takes an event, and calls its delivery off so that nothing of it is pending.
    async fn settled(&self, now: Timestamp) -> EventId {
        let (event, delivery) = self.push(now).await;
        self.store.cancel_delivery(delivery).await.unwrap();
        event
    }

    /// Does all background work that there is at `now`.
    async fn keep_up(&self, upkeep: &mut Upkeep, now: Timestamp) {
        while self.store.upkeep(upkeep, RETENTION, now).await.unwrap() {}
    }

    fn events(&self) -> Vec<i64> {
        let file = Connection::open(self.path()).unwrap();
        rows::all(&file, "SELECT id FROM event ORDER BY id", [], |row| row.get(0)).unwrap()
    }
}

#[test]
fn both_walks_go_by_an_index_in_its_order() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(super::super::SCHEMA).unwrap();
    let by_id = "SEARCH event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
    let out_of_order = "SEARCH event USING INDEX event_out_of_order (received_at>? AND received_at<?)";
    for (query, expected) in [(BY_ID, by_id), (OUT_OF_ORDER, out_of_order)] {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let plan: Vec<String> =
            explain.query_map([0; 5], |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect();
        assert_eq!(plan[0], expected);
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE") || line.starts_with("SCAN")), "{plan:?}");
    }
}

#[tokio::test]
async fn an_event_goes_once_its_time_is_over_and_not_before() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let [old, young] = [fixture.settled(at(100)).await, fixture.settled(at(101)).await];
    fixture.keep_up(&mut upkeep, at(1_100)).await;
    assert_eq!(fixture.events(), [old.0, young.0]);
    fixture.keep_up(&mut upkeep, at(1_101)).await;
    assert_eq!(fixture.events(), [young.0]);
}

#[tokio::test]
async fn what_is_pending_stays_until_it_is_settled() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    // More than one look and one step.
    let (kept, delivery) = fixture.push(at(1)).await;
    for _ in 0..LOOK + ROWS {
        fixture.settled(at(1)).await;
    }
    fixture.keep_up(&mut upkeep, at(5_000)).await;
    assert_eq!(fixture.events(), [kept.0]);
    fixture.store.cancel_delivery(delivery).await.unwrap();
    fixture.keep_up(&mut upkeep, at(5_000)).await;
    assert!(fixture.events().is_empty());
}

impl Fixture {
    /// As [`settled`](Self::settled), under an `Idempotency-Key`.
    async fn settled_under(&self, key: &str, now: Timestamp) -> EventId {
        let accepted = self.repeat(key, now).await;
        assert!(!accepted.duplicate);
        self.store.cancel_delivery(accepted.made.unwrap().iter().next().unwrap().id).await.unwrap();
        accepted.event_id
    }

    async fn repeat(&self, key: &str, now: Timestamp) -> Accepted {
        let payload = Arc::from(b"{}".as_slice());
        let event = IncomingEvent { account: self.account.key, payload, idempotency_key: Some(key.parse().unwrap()) };
        self.store.accept_event(event, false, now).await.unwrap()
    }
}

const DAY: u64 = 24 * 3_600;

#[tokio::test]
async fn an_event_stays_until_its_key_is_over_though_its_retention_is() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let keyed = fixture.settled_under("k", at(100)).await;
    fixture.settled(at(100)).await;
    fixture.keep_up(&mut upkeep, at(100 + DAY - 1)).await;
    assert_eq!(fixture.events(), [keyed.0], "only what has no key goes by retention alone");
    let again = fixture.repeat("k", at(100 + DAY - 1)).await;
    assert_eq!((again.event_id, again.duplicate), (keyed, true));
    fixture.keep_up(&mut upkeep, at(100 + DAY)).await;
    assert!(fixture.events().is_empty());
    assert!(!fixture.repeat("k", at(100 + DAY)).await.duplicate);
}

#[tokio::test]
async fn keys_that_still_hold_keep_nothing_behind_them() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    // More than one look.
    for number in 0..LOOK + 1 {
        fixture.settled_under(&number.to_string(), at(100)).await;
    }
    let behind = fixture.settled(at(101)).await;
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert_eq!(fixture.events().len(), LOOK + 1);
    assert!(!fixture.events().contains(&behind.0));
}

#[tokio::test]
async fn a_key_holds_in_the_walk_of_a_clock_that_was_set_back_too() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    fixture.settled(at(400 * DAY)).await;
    let keyed = fixture.settled_under("k", at(100)).await;
    let plain = fixture.settled(at(101)).await;
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert!(fixture.events().contains(&keyed.0) && !fixture.events().contains(&plain.0));
    fixture.keep_up(&mut upkeep, at(100 + DAY)).await;
    assert!(!fixture.events().contains(&keyed.0));
}

#[tokio::test]
async fn a_key_is_looked_at_again_when_its_event_is_taken() {
    let fixture = Fixture::new().await;
    let keyed = fixture.settled_under("k", at(100)).await;
    let age = Age { before: at(2_000), keyed_until: at(99) };
    fixture.step(move |batch| retire_step(batch, &[keyed], age)).await.unwrap();
    assert_eq!(fixture.events(), [keyed.0]);
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_for_a_while_keeps_nothing_longer() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let year = 365 * 24 * 3_600;
    let ahead = fixture.settled(at(year)).await;
    let (mut back, mut pending) = (Vec::new(), Vec::new());
    for second in 100..110 {
        back.push(fixture.settled(at(second)).await.0);
        pending.push(fixture.push(at(second)).await);
    }
    assert_eq!(hot_time(back[0]), at(year), "ids never go backwards");
    assert_eq!(
        fixture.value::<u64>(
            "SELECT count(*) FROM event INDEXED BY event_out_of_order
        WHERE received_at < (id >> 21) - 60000"
        ),
        20
    );
    fixture.keep_up(&mut upkeep, at(1_100)).await;
    assert_eq!(fixture.events().len(), 21, "none is a second too old");
    fixture.keep_up(&mut upkeep, at(1_105)).await;
    assert!(back[..5].iter().all(|id| !fixture.events().contains(id)));
    assert!(back[5..].iter().all(|id| fixture.events().contains(id)));
    for (_, delivery) in &pending {
        fixture.store.cancel_delivery(*delivery).await.unwrap();
    }
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    // It says of itself that it was received in a year.
    assert_eq!(fixture.events(), [ahead.0]);
    fixture.keep_up(&mut upkeep, at(year + 1_001)).await;
    assert!(fixture.events().is_empty());
}

#[tokio::test]
async fn a_clock_that_went_back_a_little_keeps_an_event_for_that_much_longer() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let first = fixture.settled(at(100)).await;
    // Its id is of the same second as the first one's.
    fixture.settled(at(60)).await;
    assert_eq!(fixture.value::<u64>("SELECT count(*) FROM event WHERE received_at < (id >> 21) - 60000"), 0);
    fixture.keep_up(&mut upkeep, at(1_099)).await;
    assert_eq!(fixture.events().len(), 2);
    fixture.keep_up(&mut upkeep, at(1_101)).await;
    assert!(fixture.events().is_empty(), "{first} and the other");
}

impl Fixture {
    fn deliveries(&self, destination: &Destination) -> usize {
        let (key, file) = (destination.key.0, Connection::open(self.path()).unwrap());
        let count = "SELECT count(*) FROM delivery WHERE destination_key = ?1";
        file.query_row(count, [key], |row| row.get(0)).unwrap()
    }

    fn pending(&self) -> i64 {
        self.store.figures().pending
    }
}

#[tokio::test]
async fn a_deleted_destination_goes_with_its_deliveries_and_no_others() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let before = LOOK + ROWS;
    for _ in 0..before {
        fixture.push(at(1)).await;
    }
    let [first, second] = [fixture.another(at(1)).await, fixture.another(at(1)).await];
    // More than one look, and than one step.
    let after = LOOK + ROWS + 1;
    for _ in 0..after {
        fixture.push(at(2)).await;
    }
    fixture.store.delete_destination(second.id.clone(), at(3)).await.unwrap();
    // One more is deleted meanwhile, which goes before it.
    assert!(fixture.store.upkeep(&mut upkeep, RETENTION, at(3)).await.unwrap());
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
    for _ in 0..2 * LOOK {
        fixture.push(at(2)).await;
    }
    fixture.store.delete_destination(destination.id.clone(), at(3)).await.unwrap();
    let mut steps = 0;
    while fixture.value::<usize>("SELECT count(*) FROM destination") > 1 {
        assert!(fixture.store.upkeep(&mut upkeep, RETENTION, at(3)).await.unwrap());
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
    // More deliveries of one event than a step removes.
    for _ in 0..ROWS + 1 {
        fixture.another(at(1)).await;
    }
    for _ in 0..3 {
        fixture.push(at(2)).await;
    }
    assert_eq!(fixture.pending(), 3 * (ROWS as i64 + 2));
    fixture.store.delete_account(fixture.account.id.clone(), at(3)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(3)).await;
    for table in ["account", "destination", "event", "delivery", "attempt", "tally"] {
        assert_eq!(fixture.value::<usize>(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(fixture.pending(), 0);
}

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
}

#[test]
fn the_removal_goes_by_indexes_in_their_order() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(super::super::SCHEMA).unwrap();
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {OF_DESTINATION}")).unwrap();
    let plan: Vec<String> =
        explain.query_map([0; 4], |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect();
    assert!(plan.iter().all(|line| line.starts_with("SEARCH")), "{plan:?}");
}
