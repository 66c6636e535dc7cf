use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::destination::Destination;
use crate::domain::ids::{DestinationKey, EventId};
use crate::domain::time::Timestamp;

const NOW: Timestamp = Timestamp::EPOCH;

fn job(id: i64, urgent: bool) -> Job {
    Job { delivery: DeliveryId(id), event: EventId(id), retry_step: Some(0), document: None, urgent }
}

fn lane(ordering: DeliveryOrder) -> Lane {
    let mut destination = Destination::example(DestinationKey(1), "http://h/");
    destination.fields.ordering = ordering;
    let mut lane = Lane::new(Arc::new(destination), NOW);
    (0..100).for_each(|_| lane.succeeded(NOW, Duration::from_micros(100)));
    lane
}

fn ids(jobs: impl IntoIterator<Item = Job>) -> Vec<i64> {
    jobs.into_iter().map(|job| job.delivery.0).collect()
}

#[test]
fn the_next_attempt_waits_until_the_outcomes_of_all_are_on_disk() {
    let mut lane = lane(DeliveryOrder::Strict);
    lane.enqueue(job(2, false));
    lane.in_hand.insert(DeliveryId(2), JobState::Queued);
    assert!(lane.has_capacity(32, 128));
    lane.in_flight = 1;
    lane.in_hand.insert(DeliveryId(1), JobState::Sent);
    assert!(!lane.has_capacity(32, 128));
    lane.in_flight = 0;
    assert!(!lane.has_capacity(32, 128), "its outcome is not on disk");
    lane.in_hand.insert(DeliveryId(1), JobState::Recorded);
    assert!(lane.has_capacity(32, 128));
}

#[test]
fn an_attempt_that_hangs_keeps_its_place_though_it_gave_its_permit_back() {
    let mut lane = lane(DeliveryOrder::Strict);
    lane.in_flight = 1;
    lane.in_hand.insert(DeliveryId(1), JobState::Sent);
    lane.overdue(NOW, NOW.plus(Duration::from_millis(50)));
    assert_eq!((lane.lively(), lane.has_capacity(32, 128)), (0, false));
}

#[test]
fn one_at_a_time_is_given_to_a_worker() {
    let mut lane = lane(DeliveryOrder::Strict);
    lane.queue.extend((0..400).map(|id| job(id, false)));
    assert_eq!(ids(lane.next_jobs(NOW)), [0]);
}

#[test]
fn what_comes_back_is_put_where_it_belongs() {
    let mut strict = lane(DeliveryOrder::Strict);
    for id in [5, 7, 3, 9] {
        strict.requeue(job(id, false));
    }
    strict.enqueue(job(6, false));
    assert_eq!(ids(strict.queue), [3, 5, 6, 7, 9]);
    let mut other = lane(DeliveryOrder::None);
    other.enqueue(job(5, false));
    other.requeue(job(7, false));
    assert_eq!(ids(other.queue), [7, 5]);
}

#[test]
fn what_is_behind_a_delivery_that_is_tried_again_is_given_up() {
    let mut lane = lane(DeliveryOrder::Strict);
    (1..6).for_each(|id| lane.enqueue(job(id, false)));
    lane.file_order.is_behind = false;
    lane.refilling = Some(false);
    assert_eq!(ids(lane.take_waiting(Some(DeliveryId(3)))), [4, 5]);
    assert!(lane.file_order.is_behind && lane.file_order.refill_is_stale);
    lane.refilling = None;
    assert_eq!(ids(lane.take_waiting(None)), [1, 2, 3]);
    assert!(!lane.file_order.refill_is_stale, "no refill is in progress");
}

#[test]
fn a_retry_by_hand_is_urgent_only_if_it_is_the_next() {
    let mut lane = lane(DeliveryOrder::Strict);
    [2, 3].into_iter().for_each(|id| lane.file_order.hurry(DeliveryId(id)));
    assert!(lane.file_order.is_hurried());
    (2..5).for_each(|id| lane.enqueue_read(job(id, false)));
    assert_eq!((ids(lane.urgent), ids(lane.queue)), (vec![2, 3], vec![4]), "each is the lowest when it is read");
    let mut lane = self::lane(DeliveryOrder::Strict);
    lane.file_order.hurry(DeliveryId(3));
    (2..5).for_each(|id| lane.enqueue_read(job(id, false)));
    assert_eq!((ids(lane.urgent), ids(lane.queue)), (vec![], vec![2, 3, 4]));
}
