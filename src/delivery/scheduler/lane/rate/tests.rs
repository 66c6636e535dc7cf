use super::*;
use crate::delivery::limits::{MAX_RUN, WINDOW};
use crate::delivery::scheduler::lane::Health;
use crate::delivery::workers::batch::Run;
use crate::delivery::workers::job::Job;
use crate::domain::destination::Destination;
use crate::domain::ids::{DeliveryId, DestinationKey, EventId};
use crate::domain::rate::Rate;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn job(id: i64, urgent: bool) -> Job {
    Job { delivery: DeliveryId(id), event: EventId(id), retry_step: Some(0), document: None, urgent }
}

/// A good lane that answers at once, with 400 jobs that wait and this rate since time 0.
fn lane(rate: &str) -> Lane {
    let mut destination = Destination::example(DestinationKey(1), "http://h/");
    destination.fields.rate_limit = Rate::parse(rate).ok();
    let mut lane = Lane::new(Arc::new(destination), at(0));
    (0..100).for_each(|_| lane.succeeded(at(0), Duration::from_micros(100)));
    lane.queue.extend((0..400).map(|id| job(id, false)));
    lane
}

/// Gives the next run to a worker.
fn begin(lane: &mut Lane, now: Timestamp) -> Run {
    Run::new(lane.next_jobs(now), lane.pace.clone())
}

fn set(lane: &mut Lane, rate: Option<&str>, now: Timestamp) {
    let mut destination = (*lane.destination).clone();
    destination.fields.rate_limit = rate.and_then(|rate| Rate::parse(rate).ok());
    lane.destination = Arc::new(destination);
    lane.keep_rate(now);
}

#[test]
fn a_run_is_as_long_as_there_are_tokens() {
    let mut lane = lane("100/s");
    assert_eq!((lane.next_jobs(at(9)).len(), lane.waits_for_rate(at(9))), (0, Some(at(10))));
    let first = begin(&mut lane, at(30));
    assert_eq!((first.recall().len(), lane.next_jobs(at(30)).len()), (3, 3));
    let mut fast = self::lane("100000/s");
    assert_eq!(fast.next_jobs(at(30)).len(), MAX_RUN, "the rate is not what bounds it");
}

#[test]
fn a_retry_by_hand_waits_for_the_rate_too() {
    let mut lane = lane("1/s");
    lane.urgent.push_back(job(900, true));
    assert!(lane.next_jobs(at(999)).is_empty());
    let first = begin(&mut lane, at(1_000));
    assert_eq!(first.next(at(1_000)).map(|job| job.delivery), Some(DeliveryId(900)));
    assert!(lane.next_jobs(at(1_001)).is_empty());
}

#[test]
fn waiting_for_the_rate_changes_nothing_else() {
    let lane = lane("1/h");
    assert_eq!((lane.health, lane.is_suspect(), lane.waits_until(at(5_000))), (Health::Good, false, None));
    assert_eq!(lane.waits_for_rate(at(5_000)), Some(at(3_600_000)));
    assert!(lane.slowness(None, at(3_599_000)).is_none());
    assert!(lane.has_capacity(32, 128), "it is not what is in progress that holds it back");
}

#[test]
fn a_worker_that_finds_no_token_makes_no_attempt() {
    let mut lane = lane("20/s");
    let run = begin(&mut lane, at(50));
    let pace = lane.pace.clone().unwrap();
    pace.owe(at(51));
    assert!(run.next(at(52)).is_none());
    run.done();
    assert_eq!((run.result().not_started.len(), pace.promised()), (1, 0));
}

#[test]
fn only_another_rate_begins_with_an_empty_bucket() {
    let mut lane = lane("10/s");
    set(&mut lane, Some("10/s"), at(5_000));
    assert_eq!(lane.waits_for_rate(at(5_000)), None, "it is the same");
    set(&mut lane, Some("20/s"), at(5_000));
    assert_eq!(lane.waits_for_rate(at(5_000)), Some(at(5_050)));
    set(&mut lane, None, at(5_001));
    assert_eq!(lane.waits_for_rate(at(5_001)), None);
    set(&mut lane, Some("20/s"), at(9_000));
    assert_eq!(lane.waits_for_rate(at(9_000)), Some(at(9_050)));
}

#[test]
fn a_slow_rate_takes_no_part_of_the_window_that_all_share() {
    let windows = ["1/s", "8/s", "200/s", "1000000/s"].map(|rate| {
        let mut lane = lane(rate);
        lane.more = true;
        (lane.window(WINDOW, WINDOW), lane.is_backlogged())
    });
    assert_eq!(windows, [(FLOOR, false), (FLOOR, false), (100, true), (WINDOW, true)]);
}
