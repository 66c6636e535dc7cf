use super::*;

use crate::domain::document::Document;
use crate::domain::event::IncomingEvent;
use crate::domain::ids::{DeliveryId, EventId};
use crate::store::file::schema::SCHEMA;
use crate::store::operations::accept::AcceptedEvent;
use crate::store::operations::fixture::{Fixture, at};
use crate::store::operations::maintenance::tests::Upkeep;

mod random;

/// More events than one turn reads and than one write request deletes.
const MANY: usize = 300;

impl Retention {
    /// Makes the walk over events of a clock that was set back due at once.
    pub fn make_due(&mut self) {
        self.out_of_order.due = Instant::now();
    }
}

#[test]
fn all_looks_go_by_an_index_in_its_order() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    for (query, expected) in [
        (walk::FIRST, "SEARCH event USING INTEGER PRIMARY KEY (rowid>?)"),
        (walk::NTH_DELIVERY, "SEARCH delivery USING INTEGER PRIMARY KEY (rowid>?)"),
        (walk::BY_ID, "SEARCH event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (walk::OF_DELIVERY, "SEARCH event USING INTEGER PRIMARY KEY (rowid<?)"),
        (walk::OUT_OF_ORDER, "SEARCH event USING INDEX event_out_of_order (received_at>? AND received_at<?)"),
        (walk::PENDING, "SEARCH delivery USING COVERING INDEX delivery_unsettled (state=? AND id>? AND id<?)"),
        (DELETE_DELIVERIES, "SEARCH delivery USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (DELETE_EVENTS, "SEARCH event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    ] {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let nulls = rusqlite::params_from_iter(vec![0; explain.parameter_count()]);
        let plan: Vec<String> =
            explain.query_map(nulls, |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect();
        assert_eq!(plan[0], expected);
        // The other lines are for rows that cascade.
        assert!(plan.iter().all(|line| line.starts_with("SEARCH")), "{plan:?}");
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
    let (kept, delivery) = fixture.push(at(1)).await;
    for _ in 0..MANY {
        fixture.settled(at(1)).await;
    }
    fixture.keep_up(&mut upkeep, at(5_000)).await;
    assert_eq!(fixture.events(), [kept.0]);
    fixture.store.cancel_delivery(delivery, at(5_000)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(5_000)).await;
    assert!(fixture.events().is_empty());
}

impl Fixture {
    /// Calls [`push`](Self::push) [`MANY`] times.
    async fn push_many(&self, now: Timestamp) -> Vec<(EventId, DeliveryId)> {
        let mut pending = Vec::with_capacity(MANY);
        for _ in 0..MANY {
            pending.push(self.push(now).await);
        }
        pending
    }

    /// Does what [`settled`](Self::settled) does, with an `Idempotency-Key`.
    async fn settled_under(&self, key: &str, now: Timestamp) -> EventId {
        let accepted = self.repeat(key, now).await;
        assert!(!accepted.duplicate);
        self.store.cancel_delivery(accepted.made.unwrap().iter().next().unwrap().id, now).await.unwrap();
        accepted.event_id
    }

    async fn repeat(&self, key: &str, now: Timestamp) -> AcceptedEvent {
        let payload = Document::from(b"{}".as_slice());
        let event = IncomingEvent {
            account: self.account.key,
            payload,
            idempotency_key: Some(key.parse().unwrap()),
            may_use_reserve: false,
        };
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
    // More events than one turn reads.
    for number in 0..MANY {
        fixture.settled_under(&number.to_string(), at(100)).await;
    }
    let behind = fixture.settled(at(101)).await;
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert_eq!(fixture.events().len(), MANY);
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
    assert_eq!(sequence_time(back[0]), at(year), "ids never go backwards");
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
        fixture.store.cancel_delivery(*delivery, at(1_105)).await.unwrap();
    }
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    // The event that is left was received a year later, by the clock of that moment.
    assert_eq!(fixture.events(), [ahead.0]);
    fixture.keep_up(&mut upkeep, at(year + 1_001)).await;
    assert!(fixture.events().is_empty());
}

#[tokio::test]
async fn a_clock_that_went_back_a_little_keeps_an_event_for_that_much_longer() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let first = fixture.settled(at(100)).await;
    // Its id has the same second as the id of the first event.
    fixture.settled(at(60)).await;
    assert_eq!(fixture.value::<u64>("SELECT count(*) FROM event WHERE received_at < (id >> 21) - 60000"), 0);
    fixture.keep_up(&mut upkeep, at(1_099)).await;
    assert_eq!(fixture.events().len(), 2);
    fixture.keep_up(&mut upkeep, at(1_101)).await;
    assert!(fixture.events().is_empty(), "{first} and the other");
}

impl Fixture {
    fn look(&self, age: Age) -> Vec<Piece> {
        let file = Connection::open(self.path()).unwrap();
        walk::by_id(&file, 0, age.end(), age, 1_000).unwrap().pieces
    }
}

#[tokio::test]
async fn what_is_opened_again_after_the_look_stays_and_the_rest_goes_later() {
    let fixture = Fixture::new().await;
    let first = fixture.settled(at(1)).await;
    let (second, delivery) = fixture.push(at(1)).await;
    fixture.store.cancel_delivery(delivery, at(1)).await.unwrap();
    let age = Age::at(at(2_000), Duration::from_secs(1_000));
    let pieces = fixture.look(age);
    assert_eq!(pieces.len(), 1, "two events in a row");
    fixture.store.retry_delivery(delivery, false, at(1)).await.unwrap();
    let done = fixture.step(move |tx| take(tx, &pieces, Duration::MAX)).await.unwrap();
    assert_eq!((done.pieces, done.rows, fixture.events()), (0, 0, vec![first.0, second.0]));
    fixture.keep_up(&mut Upkeep::default(), at(2_000)).await;
    assert_eq!((fixture.events(), fixture.pending()), (vec![second.0], 1));
}

#[tokio::test]
async fn a_step_ends_when_its_time_is_over_but_does_something() {
    let fixture = Fixture::new().await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        fixture.settled(at(1)).await;
        kept.push(fixture.push(at(1)).await.0.0);
    }
    let pieces = fixture.look(Age::at(at(2_000), Duration::from_secs(1_000)));
    assert_eq!(pieces.len(), 3, "with something pending between them");
    let done = fixture.step(move |tx| take(tx, &pieces, Duration::ZERO)).await.unwrap();
    assert_eq!((done.pieces, done.rows, fixture.events().len()), (1, 2, 5));
    fixture.keep_up(&mut Upkeep::default(), at(2_000)).await;
    assert_eq!(fixture.events(), kept);
}

#[tokio::test]
async fn what_is_settled_late_goes_without_a_walk() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let pending = fixture.push_many(at(1)).await;
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert_eq!(fixture.events().len(), MANY);
    let walked_to = upkeep.retention.at.plain;
    for (event, delivery) in &pending[100..103] {
        assert!(event.0 < walked_to);
        fixture.store.cancel_delivery(*delivery, at(2_000)).await.unwrap();
    }
    assert!(fixture.store.expire(&mut upkeep.retention, Duration::from_secs(1_000), at(2_000)).await.unwrap() < IDLE);
    assert_eq!((fixture.events().len(), upkeep.retention.at.plain), (MANY - 3, walked_to));
}

#[tokio::test]
async fn what_a_deleted_destination_kept_goes() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let other = fixture.another(at(1)).await;
    let (_, delivery) = fixture.push(at(2)).await;
    fixture.store.cancel_delivery(delivery, at(2)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert_eq!((fixture.events().len(), fixture.pending()), (1, 1));
    fixture.store.delete_destination(other.id.clone(), at(2_000)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert_eq!((fixture.events().len(), fixture.pending()), (0, 0));
}

#[tokio::test]
async fn where_too_many_are_settled_late_retention_walks_again() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let pending = fixture.push_many(at(1)).await;
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    for (_, delivery) in &pending[1..] {
        fixture.store.cancel_delivery(*delivery, at(2_000)).await.unwrap();
    }
    // As if there had been too many of these to keep.
    let again_from = fixture.store.memory.late.take().deliveries.first().copied();
    upkeep.retention.take(LateEvents { deliveries: Vec::new(), again_from });
    fixture.keep_up(&mut upkeep, at(2_000)).await;
    assert_eq!(fixture.events(), [pending[0].0.0]);
}

#[tokio::test]
async fn a_look_at_events_with_many_deliveries_is_short() {
    let fixture = Fixture::new().await;
    for _ in 0..9 {
        fixture.another(at(1)).await;
    }
    for _ in 0..20 {
        let (event, _) = fixture.push(at(1)).await;
        for delivery in fixture.store.event_deliveries(event).await.unwrap() {
            fixture.store.cancel_delivery(delivery.id, at(1)).await.unwrap();
        }
    }
    let file = Connection::open(fixture.path()).unwrap();
    let age = Age::at(at(2_000), Duration::from_secs(1_000));
    for (rows, events) in [(1, 1), (9, 1), (10, 2), (25, 3), (1_000, 20)] {
        let walked = walk::by_id(&file, 0, age.end(), age, rows).unwrap();
        let count = "SELECT count(*) FROM event WHERE id < ?1";
        let looked: usize = file.query_row(count, [walked.next], |row| row.get(0)).unwrap();
        assert_eq!(looked, events, "{rows}");
    }
    let upkeep = &mut Upkeep::default();
    fixture.keep_up(upkeep, at(2_000)).await;
    assert_eq!(fixture.value::<usize>("SELECT count(*) FROM delivery"), 0);
}

#[test]
fn what_is_behind_takes_half_of_the_time_and_what_is_not_a_quarter() {
    let mut retention = Retention::default();
    let age = Age { before: at(100), keyed_until: at(0) };
    let next = |second| Position { plain: crate::domain::ids::sequence_id(at(second)), ..Retention::default().at };
    let piece = Piece::of(1, 2);
    let looked = |second, more| Looked {
        pieces: vec![piece],
        late: 0,
        keyed: 0,
        plain: 1,
        next: next(second),
        more,
        took: Duration::ZERO,
    };
    let took = Duration::from_millis(8);
    let done = Done { pieces: 1, rows: 2, took };
    let now = Instant::now();
    assert_eq!((retention.end(&looked(99, true), &done, age, now), retention.behind), (3 * took, false));
    assert_eq!((retention.end(&looked(50, true), &done, age, now), retention.behind), (took, true));
    assert_eq!((retention.end(&looked(99, false), &done, age, now), retention.behind), (PAUSE, false));
}

#[test]
fn those_of_a_clock_that_was_set_back_are_looked_at_ever_more_rarely_while_there_are_none() {
    let mut retention = Retention::default();
    let (wall, age) = (at(1_000), Age::at(at(1_000), Duration::from_secs(10)));
    let looked = || Looked {
        pieces: Vec::new(),
        late: 0,
        keyed: 0,
        plain: 0,
        next: Position { out_of_order: None, ..Retention::default().at },
        more: false,
        took: Duration::ZERO,
    };
    let done = Done { pieces: 0, rows: 0, took: Duration::ZERO };
    let mut now = Instant::now();
    for rest in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        retention.begin(wall, now);
        assert!(retention.at.out_of_order.is_some(), "{rest}");
        retention.end(&looked(), &done, age, now);
        now += Duration::from_secs(rest) - Duration::from_millis(1);
        retention.begin(wall, now);
        assert!(retention.at.out_of_order.is_none(), "{rest}");
        now += Duration::from_millis(1);
    }
}

#[test]
fn a_clock_that_is_set_back_makes_the_walks_begin_anew_and_one_that_trembles_does_not() {
    let mut retention = Retention::default();
    let mut begin = |second| {
        (retention.at.keyed, retention.at.plain) = (5, 7);
        let now = retention.begin(at(second), Instant::now());
        (now, retention.at.keyed, retention.at.plain)
    };
    assert_eq!(begin(1_000), (at(1_000), 5, 7));
    assert_eq!(begin(940), (at(1_000), 5, 7));
    assert_eq!(begin(939), (at(939), 0, 0));
    assert_eq!(begin(941), (at(941), 5, 7));
}
