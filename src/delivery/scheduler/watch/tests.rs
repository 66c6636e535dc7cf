use std::collections::VecDeque;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::*;
use crate::delivery::scheduler::environment::Environment;
use crate::delivery::scheduler::lane::Health;
use crate::delivery::scheduler::message::{Message, Test};
use crate::delivery::scheduler::refill::ReadRequest;
use crate::delivery::scheduler::{InFlightRun, Limits};
use crate::delivery::sending::attempt::Client;
use crate::delivery::workers::batch::{AssignedRun, Run};
use crate::delivery::workers::job::Job;
use crate::delivery::workers::threads::Slot;
use crate::domain::destination::Destination;
use crate::domain::ids::{DeliveryId, EventId};
use crate::store::FinishedAttempt;

/// A world in which nothing happens, and in which the test says what time it is.
#[derive(Clone)]
struct Still(Arc<Mutex<Timestamp>>);

impl Environment for Still {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn client(&self, _: &Arc<Destination>) -> Client {
        unreachable!("nothing is sent")
    }

    fn run(&mut self, _: Vec<AssignedRun>) {}

    fn test(&mut self, _: Test) {}

    fn returned(&mut self, _: Arc<Slot>) {}

    fn read(&mut self, _: ReadRequest, _: bool) {}

    fn record(&mut self, _: Vec<FinishedAttempt>, _: bool) {}

    fn sweep(&mut self) {}

    fn show(&self, _: usize, _: usize) {}

    fn show_standings(&self, _: [u64; crate::delivery::standing::STANDINGS.len()]) {}

    fn stop(&mut self) {}
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A scheduler with lanes of these usual durations in milliseconds, numbered from 0. It is 10 s.
fn scheduler(usual: impl Iterator<Item = u64>) -> Scheduler {
    let limits = Limits { workers: 64, destination_concurrency: 32 };
    let usual: Vec<u64> = usual.collect();
    let destinations = (0..).zip(&usual).map(|(key, _)| Destination::example(DestinationKey(key), "http://h/"));
    let environment = Still(Arc::new(Mutex::new(at(10_000))));
    let mut scheduler = Scheduler::with(Box::new(environment), limits, 2, destinations.collect());
    for (key, usual) in (0..).zip(usual) {
        let lane = scheduler.lanes.get_mut(&DestinationKey(key)).unwrap();
        lane.succeeded(at(1), millis(usual));
    }
    scheduler
}

/// An attempt of a lane has been in progress since `began`, in this pool.
fn begins(scheduler: &mut Scheduler, key: i64, pool: Pool, began: Timestamp) {
    let job = Job { delivery: DeliveryId(1), event: EventId(1), retry_step: Some(0), document: None, urgent: false };
    let run = Arc::new(Run::new(VecDeque::from([job]), None));
    assert!(run.next(began).is_some());
    let lane = DestinationKey(key);
    let (first, overdue_after) = (Arc::clone(&run), SLOW);
    let run = InFlightRun { lane, run, first, pool, overdue_after, recent_failing: false, overdue: None };
    scheduler.in_flight.insert(scheduler.next_run, run);
    scheduler.next_run += 1;
    scheduler.lanes.get_mut(&lane).unwrap().in_flight += 1;
}

/// What the scheduler answers to the message, as numbers of destinations and what it says of each.
fn asked(scheduler: &mut Scheduler) -> Vec<(i64, u64, usize, bool)> {
    asked_by(scheduler, None)
}

/// The same for a caller that reaches one account.
fn asked_by(scheduler: &mut Scheduler, account: Option<AccountKey>) -> Vec<(i64, u64, usize, bool)> {
    let (sender, replies) = mpsc::channel();
    scheduler.handle_message(Message::SlowDestinations(account, Box::new(move |slow| sender.send(slow).unwrap())));
    let shown = |slow: &SlowDestination| {
        let usual = u64::try_from(slow.usual.as_millis()).unwrap();
        (slow.destination.0, usual, slow.in_progress, slow.is_stalled)
    };
    replies.try_recv().unwrap().iter().map(shown).collect()
}

#[test]
fn where_no_destination_is_slow_the_answer_is_empty() {
    assert_eq!(asked(&mut scheduler([].into_iter())), []);
    assert_eq!(asked(&mut scheduler([1, 20, 999].into_iter())), []);
}

#[test]
fn the_slowest_come_first_and_one_that_hangs_counts_with_the_time_that_it_hangs() {
    let mut scheduler = scheduler([1, 2_000, 1_500, 3, 4].into_iter());
    scheduler.lanes.get_mut(&DestinationKey(3)).unwrap().overdue(at(8_300), at(8_350));
    begins(&mut scheduler, 1, Pool::Slow, at(9_900));
    // This one fails, and its attempts take long.
    scheduler.lanes.get_mut(&DestinationKey(4)).unwrap().health = Health::Failing;
    begins(&mut scheduler, 4, Pool::Failing, at(9_500));
    begins(&mut scheduler, 4, Pool::Failing, at(2_000));
    let expected = [(4, 4, 2, true), (1, 2_000, 1, false), (3, 3, 0, true), (2, 1_500, 0, false)];
    assert_eq!(asked(&mut scheduler), expected);
}

#[test]
fn a_failing_destination_that_fails_at_once_is_not_slow() {
    let mut scheduler = scheduler([2_000].into_iter());
    scheduler.lanes.get_mut(&DestinationKey(0)).unwrap().health = Health::Failing;
    begins(&mut scheduler, 0, Pool::Failing, at(9_990));
    assert_eq!(asked(&mut scheduler), []);
}

#[test]
fn of_many_slow_ones_the_answer_has_the_slowest_and_among_equals_the_oldest() {
    let mut scheduler = scheduler((0..3_000).map(|lane| if lane % 100 == 0 { 5_000 } else { 1_000 + lane % 7 }));
    let answer = asked(&mut scheduler);
    let keys: Vec<i64> = answer.iter().map(|(key, ..)| *key).collect();
    let slowest = (0..3_000).step_by(100);
    let next = (0..3_000).filter(|lane| lane % 7 == 6 && lane % 100 != 0);
    assert_eq!(keys, slowest.chain(next).take(MAX_SLOW_DESTINATIONS).collect::<Vec<_>>());
}

#[test]
fn who_reaches_one_account_is_told_of_its_destinations_however_many_of_others_are_slower() {
    let mut scheduler = scheduler((0..100).map(|lane| if lane < 3 { 1_000 } else { 5_000 }));
    for key in 0..3 {
        let lane = scheduler.lanes.get_mut(&DestinationKey(key)).unwrap();
        Arc::make_mut(&mut lane.destination).account_key = AccountKey(2);
    }
    let keys = |found: Vec<(i64, u64, usize, bool)>| found.into_iter().map(|(key, ..)| key).collect::<Vec<_>>();
    assert!(keys(asked(&mut scheduler)).iter().all(|key| *key >= 3));
    assert_eq!(keys(asked_by(&mut scheduler, Some(AccountKey(2)))), [0, 1, 2]);
    assert!(asked_by(&mut scheduler, Some(AccountKey(3))).is_empty());
}
