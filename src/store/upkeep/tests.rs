use super::*;
use crate::domain::ids::hot_time;
use crate::store::fixture::Fixture;

const RETENTION: Duration = Duration::from_secs(1_000);

fn at(second: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(second))
}

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
    let out_of_order = "SEARCH event USING COVERING INDEX event_out_of_order (received_at>? AND received_at<?)";
    for (query, expected) in [(BY_ID, by_id), (OUT_OF_ORDER, out_of_order)] {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let plan: Vec<String> =
            explain.query_map([0; 4], |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect();
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
