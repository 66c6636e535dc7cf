use std::sync::Arc;

use super::*;
use crate::domain::destination::Destination;
use crate::domain::ids::DestinationKey;
use crate::domain::retry::Jitter;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lane() -> Lane {
    Lane::new(Arc::new(Destination::example(DestinationKey(1), "http://h/")), at(0))
}

fn good(usual: u64) -> Lane {
    let mut lane = lane();
    lane.succeeded(at(1), millis(usual));
    lane
}

#[test]
fn a_destination_is_slow_from_one_second_on() {
    assert_eq!(lane().slowness(None, at(9)), None);
    assert_eq!(good(999).slowness(None, at(9)), None);
    let slow = good(1_000).slowness(None, at(9));
    assert_eq!(slow, Some(Slowness { usual: millis(1_000), stalled: None }));
}

#[test]
fn an_attempt_that_hangs_shows_after_a_second_until_a_later_one_succeeds() {
    let mut lane = good(2);
    lane.overdue(at(100), at(150));
    lane.overdue(at(500), at(550));
    assert_eq!(lane.slowness(None, at(1_099)), None);
    assert_eq!(lane.slowness(None, at(1_100)), Some(Slowness { usual: millis(2), stalled: Some(millis(1_000)) }));
    lane.succeeded(at(200), millis(3));
    assert_eq!(lane.slowness(None, at(1_600)).and_then(|slow| slow.stalled), Some(millis(1_100)), "the other hangs");
    lane.succeeded(at(600), millis(3));
    assert_eq!(lane.slowness(None, at(9_000)), None);
}

#[test]
fn a_lane_that_fails_is_stalled_while_an_attempt_takes_long_and_not_slow_for_what_it_was() {
    let mut lane = good(2_000);
    (0..3).for_each(|_| lane.failed(at(2), at(3), Jitter::NONE));
    assert_eq!(lane.health, Health::Failing);
    assert_eq!(lane.slowness(None, at(9)), None);
    assert_eq!(lane.slowness(Some(at(0)), at(4_099)), None, "twice its usual duration is not unusual");
    let slow = lane.slowness(Some(at(0)), at(4_100));
    assert_eq!(slow.map(|slow| (slow.stalled, slow.rank())), Some((Some(millis(4_100)), millis(4_100))));
}

#[test]
fn a_destination_that_leads_elsewhere_is_not_slow_for_what_the_old_one_was() {
    let mut lane = good(5_000);
    lane.moved();
    assert_eq!(lane.slowness(None, at(9)), None);
}
