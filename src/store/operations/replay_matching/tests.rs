use super::*;
use crate::domain::delivery::DeliveryState::{Exhausted, Pending, Succeeded};
use crate::domain::ids::AccountId;
use crate::store::operations::fixture::{Fixture, at};

impl Fixture {
    async fn replay(&self, filter: &DeliveryFilter, dry_run: bool) -> (u64, bool) {
        let replayed = self.store.replay_deliveries(filter.clone(), dry_run, at(100)).await.unwrap();
        (replayed.count, replayed.is_more)
    }

    fn waiting(&self) -> u64 {
        self.value("SELECT count(*) FROM delivery WHERE state = 0 AND next_attempt_at = 0")
    }
}

#[tokio::test]
async fn what_matches_and_is_not_pending_is_opened_again_and_the_dry_run_says_how_many() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    let (bob, elsewhere) = fixture.another_account("bob", at(1)).await;
    fixture.fill(&fixture.destination, 4, at(10), Exhausted, Some(500)).await;
    fixture.fill(&fixture.destination, 2, at(20), Exhausted, Some(404)).await;
    fixture.fill(&other, 250, at(20), Succeeded, Some(200)).await;
    fixture.fill(&elsewhere, 3, at(20), Exhausted, Some(500)).await;
    fixture.fill(&elsewhere, 3, at(20), Pending, None).await;
    fixture.fill(&elsewhere, 3, at(100), Exhausted, Some(500)).await;
    let any = DeliveryFilter::default();
    let of = |account: &AccountId| DeliveryFilter { account_id: Some(account.clone()), ..any.clone() };
    let cases = [
        (DeliveryFilter { state: Some(Pending), ..any.clone() }, 0),
        (DeliveryFilter { destination_id: Some(other.id.clone()), state: Some(Exhausted), ..any.clone() }, 0),
        (DeliveryFilter { status_code: Some(404), ..any.clone() }, 2),
        (DeliveryFilter { state: Some(Exhausted), until: Some(at(15)), ..any.clone() }, 4),
        (of(&bob.id), 3),
        (DeliveryFilter { destination_id: Some(other.id.clone()), ..any.clone() }, 250),
        (any.clone(), 0),
        (of(&AccountId::from_stored("nobody".to_owned())), 0),
    ];
    let mut pending = 3;
    for (filter, expected) in cases {
        assert_eq!(fixture.replay(&filter, true).await, (expected, false), "{filter:?}");
        assert_eq!(fixture.waiting(), pending, "a dry run changes nothing");
        assert_eq!(fixture.replay(&filter, false).await, (expected, false), "{filter:?}");
        pending += expected;
        assert_eq!(fixture.waiting(), pending);
        assert_eq!(fixture.store.write_metrics().pending, pending as i64);
    }
    // Received at the time of the replay, not before.
    assert_eq!(fixture.value::<u64>("SELECT count(*) FROM delivery WHERE state = 2"), 3);
}

#[tokio::test]
async fn one_call_opens_a_bounded_number_and_says_that_there_are_more() {
    let fixture = Fixture::new().await;
    let bound = usize::try_from(MAX_REOPENED).unwrap();
    fixture.fill(&fixture.destination, bound + 50, at(1), Exhausted, Some(500)).await;
    let exhausted = DeliveryFilter { state: Some(Exhausted), ..DeliveryFilter::default() };
    assert_eq!(fixture.replay(&exhausted, false).await, (MAX_REOPENED, true));
    assert_eq!(fixture.waiting(), MAX_REOPENED);
    assert_eq!(fixture.replay(&exhausted, false).await, (50, false));
    fixture.fill(&fixture.destination, bound, at(2), Exhausted, Some(500)).await;
    assert_eq!(fixture.replay(&exhausted, false).await, (MAX_REOPENED, false));
}

#[tokio::test]
async fn a_dry_run_counts_up_to_a_bound() {
    let fixture = Fixture::new().await;
    let bound = usize::try_from(MAX_COUNTED).unwrap();
    fixture.fill(&fixture.destination, bound, at(1), Exhausted, Some(500)).await;
    let every = DeliveryFilter::default();
    assert_eq!(fixture.replay(&every, true).await, (MAX_COUNTED, false));
    fixture.fill(&fixture.destination, 1, at(1), Succeeded, Some(200)).await;
    assert_eq!(fixture.replay(&every, true).await, (MAX_COUNTED, true));
}

#[tokio::test]
async fn holds_end_and_each_destination_is_told_to_the_engine() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    for destination in [&fixture.destination, &other] {
        fixture.fill(destination, 3, at(1), Exhausted, Some(503)).await;
    }
    fixture.step(|tx| tx.run("UPDATE destination SET held_until = 9000000", [])).await.unwrap();
    let mut changes = fixture.store.follow_counts(None, None).await.unwrap();
    assert_eq!(fixture.replay(&DeliveryFilter::default(), false).await, (6, false));
    let counts = changes.next().await.unwrap().unwrap();
    assert_eq!((counts.changed, counts.destinations), (2, true));
    assert_eq!(fixture.value::<u64>("SELECT count(*) FROM destination WHERE held_until IS NOT NULL"), 0);
}

#[tokio::test]
async fn what_changed_since_it_was_read_is_left_alone() {
    let fixture = Fixture::new().await;
    let first = fixture.fill(&fixture.destination, 3, at(1), Exhausted, Some(500)).await;
    let other = fixture.another(at(1)).await;
    let gone = fixture.fill(&other, 1, at(1), Exhausted, Some(500)).await;
    fixture.store.delete_destination(other.id, at(2)).await.unwrap();
    let destination = fixture.destination.key;
    let opened = fixture
        .step(move |tx| {
            tx.run("UPDATE delivery SET state = 1, status_code = 200 WHERE id = ?1", [first])?;
            tx.run("UPDATE delivery SET status_code = 404 WHERE id = ?1", [first + 2])?;
            let found = |id, destination| Found { id: DeliveryId(id), destination, first_duration: None };
            let all = [0, 2, 4].map(|more| found(first + more, destination));
            let all = all.into_iter().chain([found(gone, other.key)]).collect();
            open_found(tx, Still { state: Some(Exhausted), status: Some(500) }, all, at(5))
        })
        .await
        .unwrap();
    assert_eq!((opened, fixture.waiting()), (1, 1));
}
