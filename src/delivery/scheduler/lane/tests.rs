use super::*;
use crate::delivery::scheduler::pools::{Entry, Pools};
use crate::domain::ids::{DestinationKey, EventId};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn lane() -> Lane {
    let destination = Destination::example(DestinationKey(1), "http://h/");
    Lane::new(Arc::new(destination), at(0))
}

fn good() -> Lane {
    let mut lane = lane();
    lane.succeeded(at(1), Duration::from_millis(1));
    lane
}

/// Overdue attempts that one lane may have where no other lane has any.
const MAY_HANG: usize = 128;

/// How many attempts the lane may have in progress besides overdue ones, where the server allows `most`.
fn room(lane: &mut Lane, most: usize) -> usize {
    let before = lane.in_flight;
    lane.in_flight = lane.hanging();
    while lane.has_capacity(most, MAY_HANG) {
        lane.in_flight += 1;
    }
    let room = lane.in_flight - lane.hanging();
    lane.in_flight = before;
    room
}

/// An attempt begins and becomes overdue.
fn hangs(lane: &mut Lane, began: i64) {
    lane.in_flight += 1;
    lane.overdue(at(began), at(began + 50));
}

#[test]
fn a_new_lane_that_fails_backs_off_and_a_success_makes_it_good() {
    let mut lane = lane();
    assert_eq!((lane.pool(), room(&mut lane, 32)), (Pool::New, 1));
    lane.failed(at(0), at(10), Jitter::NONE);
    assert_eq!((lane.pool(), lane.waits_until(at(10))), (Pool::Failing, Some(at(60))));
    lane.failed(at(60), at(60), Jitter::NONE);
    assert_eq!(lane.waits_until(at(60)), Some(at(160)));
    lane.succeeded(at(160), Duration::from_millis(2));
    assert_eq!((lane.pool(), lane.waits_until(at(161))), (Pool::Immediate, None));
}

#[test]
fn one_failure_of_a_good_lane_does_not_hold_it_back() {
    let mut lane = good();
    lane.failed(at(2), at(3), Jitter::NONE);
    assert_eq!((lane.pool(), lane.waits_until(at(3))), (Pool::Immediate, None));
    lane.failed(at(3), at(4), Jitter::NONE);
    lane.failed(at(4), at(5), Jitter::NONE);
    assert_eq!(lane.health, Health::Failing);
}

#[test]
fn the_cap_grows_with_successes_and_halves_once_a_round() {
    let mut lane = good();
    for millis in 2..12 {
        lane.succeeded(at(millis), Duration::from_millis(20));
    }
    assert_eq!((room(&mut lane, 32), room(&mut lane, 8)), (12, 8));
    lane.failed(at(10), at(20), Jitter::NONE);
    lane.failed(at(11), at(21), Jitter::NONE);
    assert_eq!(room(&mut lane, 32), 6);
}

#[test]
fn a_destination_that_answers_at_once_needs_few_attempts_at_the_same_time() {
    let mut lane = good();
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_micros(300)));
    assert_eq!(room(&mut lane, 32), MIN_CONCURRENCY_LIMIT);
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_millis(2)));
    assert_eq!(room(&mut lane, 32), 15);
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_millis(30)));
    assert_eq!(room(&mut lane, 32), 32);
}

#[test]
fn a_suspect_lane_goes_on_with_one_at_a_time_until_a_success_that_began_later() {
    let mut lane = good();
    lane.succeeded(at(2), Duration::from_millis(1));
    assert_eq!((lane.pool(), room(&mut lane, 32)), (Pool::Immediate, 3));
    hangs(&mut lane, 5);
    assert_eq!((lane.pool(), room(&mut lane, 32)), (Pool::Suspect, 1));
    lane.succeeded(at(4), Duration::from_millis(60));
    assert_eq!(room(&mut lane, 32), 1, "it was asked before");
    lane.succeeded(at(56), Duration::from_millis(1));
    assert!(!lane.is_suspect());
    assert_eq!((lane.hanging(), room(&mut lane, 32)), (1, 5));
}

#[test]
fn what_hangs_counts_for_the_bound_that_a_destination_asks_for() {
    let mut lane = good();
    let mut destination = (*lane.destination).clone();
    destination.fields.max_concurrency = Some(2);
    lane.destination = Arc::new(destination);
    hangs(&mut lane, 5);
    assert_eq!(room(&mut lane, 32), 1);
    hangs(&mut lane, 60);
    assert_eq!(room(&mut lane, 32), 0);
    lane.ended(Some(at(5)));
    assert_eq!(room(&mut lane, 32), 1);
}

#[test]
fn each_probe_that_hangs_makes_the_next_one_wait_longer_and_weigh_more() {
    let mut lane = good();
    (2..40).for_each(|millis| lane.succeeded(at(millis), Duration::from_millis(1)));
    // Eight at once, as when all kept connections are lost: no probe is among them.
    (0..8).for_each(|_| hangs(&mut lane, 100));
    assert_eq!((lane.waits_until(at(150)), lane.weight()), (None, 24));
    for (began, wait, weight) in [(150, 250, 32), (450, 1_000, 40), (1_500, 4_000, 48), (6_000, 5_000, 56)] {
        hangs(&mut lane, began);
        assert_eq!(lane.waits_until(at(began + 50)), Some(at(began + 50 + wait)));
        assert_eq!(lane.weight(), weight);
    }
    lane.succeeded(at(12_000), Duration::from_millis(1));
    assert_eq!((lane.pool(), lane.waits_until(at(12_001))), (Pool::Immediate, None));
    hangs(&mut lane, 12_002);
    assert_eq!((lane.waits_until(at(12_052)), lane.weight()), (None, 0), "the last probe was answered");
}

#[test]
fn one_that_hung_and_ends_says_nothing_against_a_destination_that_has_answered_since() {
    let mut lane = good();
    (0..4).for_each(|_| hangs(&mut lane, 100));
    lane.succeeded(at(160), Duration::from_millis(1));
    for _ in 0..4 {
        lane.failed(at(100), at(15_100), Jitter::NONE);
        lane.ended(Some(at(100)));
    }
    assert_eq!((lane.health, lane.hanging(), lane.in_flight), (Health::Good, 0, 0));
}

#[test]
fn a_lane_that_fails_does_not_wait_for_what_hangs_since_it_was_good() {
    let mut lane = good();
    hangs(&mut lane, 100);
    lane.failed(at(160), at(161), Jitter::NONE);
    assert_eq!((lane.health, room(&mut lane, 32)), (Health::Failing, 1));
}

#[test]
fn a_lane_that_leads_elsewhere_does_not_wait_for_what_hangs_where_it_led_before() {
    let mut lane = good();
    hangs(&mut lane, 100);
    hangs(&mut lane, 200);
    lane.moved();
    assert_eq!((lane.pool(), lane.waits_until(at(250)), room(&mut lane, 32)), (Pool::Suspect, None, 1));
    lane.succeeded(at(260), Duration::from_millis(1));
    assert_eq!(lane.pool(), Pool::Immediate);
}

#[test]
fn what_is_sent_by_hand_goes_first_and_alone_and_past_one_that_fails() {
    let job =
        |id, urgent| Job { delivery: DeliveryId(id), event: EventId(id), retry_step: Some(0), document: None, urgent };
    let mut lane = good();
    lane.queue.extend((0..40).map(|id| job(id, false)));
    lane.urgent.extend([job(40, true), job(41, true)]);
    let next = |lane: &mut Lane| lane.next_jobs(at(0)).iter().map(|job| job.delivery.0).collect::<Vec<_>>();
    assert_eq!([next(&mut lane), next(&mut lane)], [[40], [41]]);
    assert_eq!(next(&mut lane), [0, 1, 2, 3]);
    lane.health = Health::Failing;
    assert_eq!(room(&mut lane, 32), 1);
    lane.urgent.push_back(job(42, true));
    assert_eq!((room(&mut lane, 32), room(&mut lane, 1)), (2, 1));
}

#[test]
fn a_merely_slow_destination_is_slow_and_not_failing() {
    let mut lane = lane();
    lane.overdue(at(0), at(50));
    lane.succeeded(at(0), Duration::from_secs(2));
    lane.ended(Some(at(0)));
    assert_eq!((lane.pool(), lane.is_suspect()), (Pool::Slow, false));
    assert_eq!(lane.overdue_after(Pool::Slow), Some(Duration::from_millis(4_100)));
}

#[test]
fn a_worker_is_given_more_at_once_the_faster_the_destination_and_the_longer_the_queue() {
    let job =
        |id| Job { delivery: DeliveryId(id), event: EventId(id), retry_step: Some(0), document: None, urgent: false };
    let mut lane = good();
    assert_eq!(lane.run_length(), 1);
    lane.queue.extend((0..12).map(job));
    assert_eq!(lane.run_length(), 3);
    lane.queue.extend((12..400).map(job));
    assert_eq!(lane.run_length(), 4, "of a millisecond each");
    (0..100).for_each(|_| lane.succeeded(at(2), Duration::from_micros(100)));
    assert_eq!(lane.run_length(), MAX_RUN);
    lane.overdue(at(3), at(53));
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
    lane.delayed_by_other();
    assert_eq!(successes(&mut lane), Some(1));
    lane.delayed_others();
    lane.delayed_by_other();
    assert_eq!(successes(&mut lane), Some(UNBUNDLED_SUCCESSES));
}

/// Lanes with endless work, and the pools that they share. Time goes by in steps of 10 ms.
struct Play {
    pools: Pools,
    lanes: Vec<Lane>,
    /// Lane, pool and beginning of each attempt that is not overdue yet.
    young: Vec<(usize, Pool, i64)>,
}

impl Play {
    fn threads(&self) -> usize {
        self.lanes.iter().map(|lane| lane.in_flight).sum()
    }

    /// Begins all attempts that may begin. Those of lanes for which `answers` is true succeed at once, all others hang.
    fn step(&mut self, now: i64, answers: impl Fn(usize, i64) -> bool) {
        for (lane, pool, began) in std::mem::take(&mut self.young) {
            if began + 50 > now {
                self.young.push((lane, pool, began));
                continue;
            }
            self.lanes[lane].overdue(at(began), at(now));
            if pool != Pool::Suspect {
                self.pools.give(pool);
            }
        }
        // One success in each step is enough.
        let mut answered = HashSet::new();
        loop {
            let mut entries = Vec::new();
            for (number, lane) in self.lanes.iter().enumerate() {
                if !answered.contains(&number) && lane.waits_until(at(now)).is_none() && lane.has_capacity(32, MAY_HANG)
                {
                    let entry = Entry { pool: lane.pool(), weight: lane.weight(), turn: lane.turn.unwrap_or(0) };
                    let key = DestinationKey(i64::try_from(number).unwrap());
                    self.pools.enter(key, entry);
                    entries.push((key, entry));
                }
            }
            let next = self.pools.next(self.threads(), 1_024, |_, _| true);
            entries.into_iter().for_each(|(key, entry)| self.pools.leave(key, entry));
            let Some((DestinationKey(number), pool)) = next else { return };
            let number = usize::try_from(number).unwrap();
            let lane = &mut self.lanes[number];
            lane.turn = lane.turn.or(Some(0)).map(|turn| turn + 1);
            if answers(number, now) {
                lane.succeeded(at(now), Duration::from_millis(1));
                answered.insert(number);
            } else {
                lane.in_flight += 1;
                self.pools.take(pool);
                self.young.push((number, pool, now));
            }
        }
    }
}

#[test]
fn six_hundred_lanes_that_hang_at_once_take_few_further_threads_and_leave_a_probe_to_one_that_answers() {
    let lanes = (0..601).map(|_| good()).collect();
    let mut play = Play { pools: Pools::default(), lanes, young: Vec::new() };
    // The last lane had one overdue attempt before. This lane answers all requests except one.
    hangs(&mut play.lanes[600], 10);
    play.lanes[600].succeeded(at(70), Duration::from_millis(1));
    let mut answered_at = None;
    for now in (100..6_000).step_by(10) {
        play.step(now, |lane, now| lane == 600 && now != 5_000);
        if now > 5_050 && !play.lanes[600].is_suspect() {
            answered_at = answered_at.or(Some(now));
        }
    }
    assert_eq!(answered_at, Some(5_060));
    let threads = play.threads();
    assert!((600..=602 + 128).contains(&threads), "{threads}");
}
