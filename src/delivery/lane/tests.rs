use super::*;
use crate::domain::destination::{DestinationFields, HttpMethod, SigningSecrets};
use crate::domain::headers::Headers;
use crate::domain::ids::{AccountId, AccountKey, DestinationId, DestinationKey};
use crate::domain::secret::SigningSecret;
use crate::domain::target_url::TargetUrl;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn lane() -> Lane {
    let destination = Destination {
        key: DestinationKey(1),
        id: DestinationId::generate(),
        account_key: AccountKey(1),
        account_id: AccountId::generate(),
        fields: DestinationFields {
            url: TargetUrl::from_stored("http://h/".to_owned()),
            method: HttpMethod::Post,
            headers: Headers::default(),
            retry_schedule: None,
            timeout: None,
            max_concurrency: None,
        },
        secrets: SigningSecrets { current: SigningSecret::generate(), previous: None },
        pause: None,
        held_until: None,
        failing_since: None,
        created_at: at(0),
        updated_at: at(0),
    };
    Lane::new(Arc::new(destination), at(0))
}

fn good() -> Lane {
    let mut lane = lane();
    lane.succeeded(at(1), Duration::from_millis(1));
    lane
}

#[test]
fn a_new_lane_that_fails_backs_off_and_a_success_makes_it_good() {
    let mut lane = lane();
    assert_eq!((lane.pool(), lane.room(32)), (Pool::New, 1));
    lane.failed(at(0), at(10), Jitter::NONE);
    assert_eq!((lane.pool(), lane.waits_until(at(10))), (Pool::Failing, Some(at(60))));
    lane.failed(at(60), at(60), Jitter::NONE);
    assert_eq!(lane.waits_until(at(60)), Some(at(160)));
    lane.succeeded(at(160), Duration::from_millis(2));
    assert_eq!((lane.pool(), lane.waits_until(at(161))), (Pool::Brisk, None));
}

#[test]
fn one_failure_of_a_good_lane_does_not_hold_it_back() {
    let mut lane = good();
    lane.failed(at(2), at(3), Jitter::NONE);
    assert_eq!((lane.pool(), lane.waits_until(at(3))), (Pool::Brisk, None));
    lane.failed(at(3), at(4), Jitter::NONE);
    lane.failed(at(4), at(5), Jitter::NONE);
    assert_eq!(lane.standing, Standing::Failing);
}

#[test]
fn the_cap_grows_with_successes_and_halves_once_a_round() {
    let mut lane = good();
    for millis in 2..12 {
        lane.succeeded(at(millis), Duration::from_millis(20));
    }
    assert_eq!((lane.room(32), lane.room(8)), (12, 8));
    lane.failed(at(10), at(20), Jitter::NONE);
    lane.failed(at(11), at(21), Jitter::NONE);
    assert_eq!(lane.room(32), 6);
}

#[test]
fn a_destination_that_answers_at_once_needs_few_attempts_at_the_same_time() {
    let mut lane = good();
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_micros(300)));
    assert_eq!(lane.room(32), FAST_ROOM);
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_millis(2)));
    assert_eq!(lane.room(32), 15);
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_millis(30)));
    assert_eq!(lane.room(32), 32);
}

#[test]
fn a_lane_that_probably_hangs_sends_no_more_until_a_success_that_began_later() {
    let mut lane = good();
    lane.succeeded(at(2), Duration::from_millis(1));
    lane.overdue(at(5));
    assert!(lane.is_suspect() && lane.room(32) == 0);
    lane.succeeded(at(6), Duration::from_millis(1));
    assert!(!lane.is_suspect() && lane.room(32) > 0);
}

#[test]
fn a_merely_slow_destination_is_slow_and_not_failing() {
    let mut lane = lane();
    lane.overdue(at(0));
    lane.succeeded(at(0), Duration::from_secs(2));
    lane.ended(Some(at(0)));
    assert_eq!((lane.pool(), lane.is_suspect()), (Pool::Slow, false));
    assert_eq!(lane.patience(Pool::Slow), Some(Duration::from_millis(4_100)));
}

#[test]
fn a_worker_is_given_more_at_once_the_faster_the_destination_and_the_longer_the_queue() {
    let job = |id| Job { delivery: DeliveryId(id), event: EventId(id), step: Some(0), document: None };
    let mut lane = good();
    assert_eq!(lane.run_length(), 1);
    lane.queue.extend((0..12).map(job));
    assert_eq!(lane.run_length(), 3);
    lane.queue.extend((12..400).map(job));
    assert_eq!(lane.run_length(), 4, "of a millisecond each");
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_micros(100)));
    assert_eq!(lane.run_length(), LONGEST_RUN);
    lane.overdue(at(3));
    assert_eq!(lane.run_length(), 1, "it may hang");
}

#[test]
fn a_lane_that_held_others_up_goes_alone_for_a_while_and_one_that_was_held_up_once() {
    let mut lane = good();
    let successes = |lane: &mut Lane| {
        (0..).find(|_| {
            let alone = lane.goes_alone();
            lane.succeeded(at(2), Duration::from_millis(1));
            !alone
        })
    };
    assert_eq!(successes(&mut lane), Some(0));
    lane.was_held_up();
    assert_eq!(successes(&mut lane), Some(1));
    lane.held_others_up();
    lane.was_held_up();
    assert_eq!(successes(&mut lane), Some(ALONE));
}
