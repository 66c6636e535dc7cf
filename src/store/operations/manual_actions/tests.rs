use super::*;
use crate::domain::manual_action::ManualActionKind::{self, Cancel, Replay, Retry};
use crate::domain::time::Timestamp;
use crate::store::operations::delivery_walk::DeliveryFilter;
use crate::store::operations::fixture::{Fixture, at};
use crate::store::operations::maintenance::tests::Upkeep;
use crate::store::operations::replay::ReplayFilter;

impl Fixture {
    async fn done(&self, delivery: DeliveryId) -> Vec<(Timestamp, ManualActionKind)> {
        let detail = self.store.delivery(delivery).await.unwrap();
        detail.manual_actions.iter().map(|done| (done.at, done.action)).collect()
    }

    fn rows(&self) -> usize {
        self.value("SELECT count(*) FROM manual_action")
    }
}

#[tokio::test]
async fn all_that_people_do_with_a_delivery_is_noted_and_read_oldest_first() {
    let fixture = Fixture::new().await;
    let (event, delivery) = fixture.push(at(1)).await;
    let (_, other) = fixture.push(at(1)).await;
    let store = &fixture.store;
    assert_eq!(fixture.done(delivery).await, []);
    store.cancel_delivery(delivery, at(2)).await.unwrap();
    store.retry_delivery(delivery, false, at(3)).await.unwrap();
    store.retry_delivery(delivery, false, at(4)).await.unwrap();
    store.cancel_delivery(delivery, at(5)).await.unwrap();
    assert_eq!(store.replay_event(event, at(6)).await.unwrap(), 1);
    store.cancel_delivery(delivery, at(7)).await.unwrap();
    let all = ReplayFilter { since: at(0), until: None, state: None, dry_run: true };
    let of_destination = |filter| store.replay_destination(fixture.destination.id.clone(), filter, at(8));
    assert_eq!(of_destination(all.clone()).await.unwrap(), 1);
    assert_eq!(of_destination(ReplayFilter { dry_run: false, ..all }).await.unwrap(), 1);
    store.cancel_delivery(delivery, at(9)).await.unwrap();
    for dry_run in [true, false] {
        assert_eq!(store.replay_deliveries(DeliveryFilter::default(), dry_run, at(10)).await.unwrap().count, 1);
    }
    let actions = [Cancel, Retry, Retry, Cancel, Replay, Cancel, Replay, Cancel, Replay];
    let expected: Vec<_> = (2..).map(at).zip(actions).collect();
    assert_eq!(expected.last(), Some(&(at(10), Replay)));
    assert_eq!(fixture.done(delivery).await, expected);
    assert_eq!(fixture.done(other).await, [], "it was pending all the time");
}

#[tokio::test]
async fn what_is_refused_is_not_noted_and_of_two_in_one_millisecond_the_later_stays() {
    let fixture = Fixture::new().await;
    let (_, delivery) = fixture.push(at(1)).await;
    fixture.store.cancel_delivery(delivery, at(2)).await.unwrap();
    assert!(fixture.store.cancel_delivery(delivery, at(3)).await.is_err());
    assert_eq!(fixture.done(delivery).await, [(at(2), Cancel)]);
    fixture.store.retry_delivery(delivery, false, at(2)).await.unwrap();
    assert_eq!(fixture.done(delivery).await, [(at(2), Retry)]);
}

#[tokio::test]
async fn it_goes_with_its_delivery() {
    let fixture = Fixture::new().await;
    let mut upkeep = Upkeep::default();
    let other = fixture.another(at(1)).await;
    for second in [1, 9_000] {
        let (event, _) = fixture.push(at(second)).await;
        for delivery in fixture.store.event_deliveries(event).await.unwrap() {
            fixture.store.cancel_delivery(delivery.id, at(9_001)).await.unwrap();
        }
    }
    assert_eq!(fixture.rows(), 4);
    fixture.keep_up(&mut upkeep, at(9_002)).await;
    assert_eq!(fixture.rows(), 2, "those of the old event are gone");
    fixture.store.delete_destination(other.id.clone(), at(9_003)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(9_003)).await;
    assert_eq!(fixture.rows(), 1);
    fixture.store.delete_account(fixture.account.id.clone(), at(9_004)).await.unwrap();
    fixture.keep_up(&mut upkeep, at(9_004)).await;
    assert_eq!(fixture.rows(), 0);
}
