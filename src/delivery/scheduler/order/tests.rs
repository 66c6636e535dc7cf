//! Reads and changes that meet in an unlucky order. Here the test is the file, the worker and the clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::delivery::scheduler::Limits;
use crate::delivery::scheduler::environment::Environment;
use crate::delivery::scheduler::message::{Message, Test};
use crate::delivery::scheduler::refill::ReadRequest;
use crate::delivery::sending::attempt::Client;
use crate::delivery::sending::connections::DestinationConnections;
use crate::delivery::sending::resolver::GuardedResolver;
use crate::delivery::sending::tls::trust::Trust;
use crate::delivery::workers::batch::{AssignedRun, AttemptResult, CompletedAttempt, HealthSignal};
use crate::delivery::workers::threads::Slot;
use crate::domain::destination::{DeliveryOrder, Destination, Pause, PausedReason};
use crate::domain::document::Document;
use crate::domain::ids::EventId;
use crate::domain::network::NetworkPolicy;
use crate::domain::time::Timestamp;
use crate::store::{Change, DueDeliveries, DueDelivery, FinishedAttempt, NewEvent};

const KEY: DestinationKey = DestinationKey(1);

struct World {
    now: Timestamp,
    runs: Vec<AssignedRun>,
    refills: usize,
    clients: DestinationConnections,
}

#[derive(Clone)]
struct Played(Arc<Mutex<World>>);

impl Environment for Played {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    fn client(&self, destination: &Arc<Destination>) -> Client {
        Client::new(&self.0.lock().unwrap().clients, Arc::clone(destination), Duration::from_secs(15))
    }

    fn run(&mut self, assignment: Vec<AssignedRun>) {
        self.0.lock().unwrap().runs.extend(assignment);
    }

    fn test(&mut self, _: Test) {}

    fn returned(&mut self, _: Arc<Slot>) {}

    fn read(&mut self, request: ReadRequest, _: bool) {
        if let ReadRequest::Refill { order, .. } = request {
            assert_eq!(order, DeliveryOrder::Strict);
            self.0.lock().unwrap().refills += 1;
        }
    }

    fn record(&mut self, _: Vec<FinishedAttempt>, _: bool) {}

    fn sweep(&mut self) {}

    fn show(&self, _: usize, _: usize) {}

    fn show_standings(&self, _: [u64; crate::delivery::standing::STANDINGS.len()]) {}

    fn stop(&mut self) {}
}

/// A scheduler with one destination in strict order.
struct Case {
    scheduler: Scheduler,
    world: Played,
    destination: Destination,
}

impl Case {
    fn new() -> Self {
        let resolver = GuardedResolver::new(Arc::new(NetworkPolicy::dev(Vec::new())));
        let clients = DestinationConnections::new(resolver, Trust::default());
        let now = Timestamp::from_millis(1_000_000);
        let world = Played(Arc::new(Mutex::new(World { now, runs: Vec::new(), refills: 0, clients })));
        let mut destination = Destination::example(KEY, "http://h/");
        destination.fields.ordering = DeliveryOrder::Strict;
        let limits = Limits { workers: 24, destination_concurrency: 32 };
        let scheduler = Scheduler::with(Box::new(world.clone()), limits, 2, vec![destination.clone()]);
        Self { scheduler, world, destination }
    }

    fn tell(&mut self, message: Message) {
        self.scheduler.handle_message(message);
        self.scheduler.turn();
    }

    fn change(&mut self, change: Change) {
        self.tell(Message::Changes(vec![change]));
    }

    fn set_paused(&mut self, paused: bool) {
        let at = self.world.now();
        self.destination.pause = paused.then_some(Pause { reason: PausedReason::Manual, at });
        self.change(Change::DestinationChanged(Arc::new(self.destination.clone())));
    }

    /// An event with a delivery of this id is accepted.
    fn accept(&mut self, id: i64) {
        let payload = Document::from(b"{}".as_slice());
        let deliveries = vec![(DeliveryId(id), KEY)];
        self.change(Change::Accepted(NewEvent { id: EventId(id), payload, deliveries }));
    }

    /// The delivery failed, and is tried again after a second.
    fn failed(&mut self, id: i64) {
        let due = Some(self.world.now().plus(Duration::from_secs(1)));
        self.change(Change::OutcomeRecorded { destination: KEY, delivery: DeliveryId(id), due });
    }

    fn settled(&mut self, id: i64) {
        self.change(Change::OutcomeRecorded { destination: KEY, delivery: DeliveryId(id), due: None });
    }

    /// A refill is in progress, as one of the file's due times says.
    fn asks_for_more(&mut self) {
        let due = self.world.now();
        self.tell(Message::FirstDue(vec![(KEY, due)]));
        assert!(self.is_reading());
    }

    fn is_reading(&self) -> bool {
        self.scheduler.lanes[&KEY].refilling.is_some()
    }

    /// The refill in progress found these.
    fn read(&mut self, ids: &[i64], next_due: Option<Timestamp>) {
        assert!(self.is_reading());
        let document = || Some(Document::from(b"{}".as_slice()));
        let due = |id: &i64| DueDelivery {
            delivery: DeliveryId(*id),
            event: EventId(*id),
            retry_step: 0,
            document: document(),
        };
        let found = DueDeliveries { deliveries: ids.iter().map(due).collect(), next_due };
        self.tell(Message::Refilled { lane: KEY, found });
    }

    /// The delivery whose attempt a worker makes now, from beginning to end. Its outcome is not on disk yet.
    fn sent(&mut self) -> Option<i64> {
        let (runs, began) = {
            let mut world = self.world.0.lock().unwrap();
            (std::mem::take(&mut world.runs), world.now)
        };
        assert!(runs.len() <= 1, "one at a time");
        let assigned = runs.into_iter().next()?;
        let job = assigned.run.next(began);
        assert!(assigned.run.next(began).is_none(), "one at a time");
        if let Some(job) = &job {
            let result = AttemptResult { health: HealthSignal::Good(Duration::from_millis(1)), outcome: true };
            let (delivery, bytes) = (job.delivery, job.bytes());
            assigned.run.ended(CompletedAttempt { delivery, bytes, began, result });
        }
        assigned.run.done();
        self.tell(Message::Completed { runs: vec![assigned.number], slot: Slot::waiting() });
        job.map(|job| job.delivery.0)
    }

    fn goes_on(&mut self, by: Duration) {
        let mut world = self.world.0.lock().unwrap();
        world.now = world.now.plus(by);
        drop(world);
        self.scheduler.turn();
    }

    /// The file holds nothing but delivery 5, which a worker has sent.
    fn with_five_sent() -> Self {
        let mut case = Self::new();
        case.accept(5);
        assert_eq!(case.sent(), None, "the file may hold older ones");
        case.read(&[5], None);
        assert_eq!(case.sent(), Some(5));
        case
    }
}

#[test]
fn the_next_goes_when_the_outcome_is_on_disk_and_needs_no_read() {
    let mut case = Case::with_five_sent();
    case.accept(6);
    assert_eq!(case.sent(), None);
    case.settled(5);
    assert_eq!(case.sent(), Some(6));
    assert_eq!(case.world.0.lock().unwrap().refills, 1);
}

#[test]
fn a_read_from_before_a_failure_brings_nothing_and_new_events_wait_behind_the_retry() {
    let mut case = Case::with_five_sent();
    case.asks_for_more();
    case.failed(5);
    // The read looked at the file while 5 was in hand, and left it out.
    case.read(&[6], None);
    assert_eq!(case.sent(), None);
    case.accept(7);
    assert_eq!(case.sent(), None);
    let due = case.world.now().plus(Duration::from_secs(1));
    case.read(&[], Some(due));
    assert_eq!(case.sent(), None);
    case.goes_on(Duration::from_secs(1));
    case.read(&[5, 6, 7], None);
    assert_eq!(case.sent(), Some(5));
}

#[test]
fn a_read_from_before_a_pause_brings_nothing_after_it() {
    let mut case = Case::with_five_sent();
    case.accept(6);
    case.accept(7);
    case.asks_for_more();
    case.set_paused(true);
    case.settled(5);
    case.set_paused(false);
    // The read left out what was in hand.
    case.read(&[8], None);
    assert_eq!(case.sent(), None);
    case.read(&[6, 7, 8], None);
    assert_eq!(case.sent(), Some(6));
}

#[test]
fn what_a_replay_opens_goes_before_what_is_in_memory_or_was_just_read() {
    let mut case = Case::with_five_sent();
    case.accept(6);
    case.settled(5);
    // 6 was given to a worker that has not begun.
    case.asks_for_more();
    case.change(Change::Reopened(KEY));
    assert_eq!(case.sent(), None, "it is taken back");
    case.read(&[7], None);
    assert_eq!(case.sent(), None);
    case.read(&[2, 6, 7], None);
    assert_eq!(case.sent(), Some(2));
    case.settled(2);
    assert_eq!(case.sent(), Some(6));
}

#[test]
fn a_cancel_of_the_one_that_all_wait_for_lets_the_next_go() {
    let mut case = Case::with_five_sent();
    case.accept(6);
    case.failed(5);
    case.change(Change::Cancelled { destination: KEY, delivery: DeliveryId(5) });
    case.read(&[6], None);
    assert_eq!(case.sent(), Some(6));
}

#[test]
fn a_retry_by_hand_reads_in_spite_of_a_hold_and_takes_nothing_else_with_it() {
    let mut case = Case::with_five_sent();
    case.accept(6);
    case.destination.held_until = Some(case.world.now().plus(Duration::from_secs(3_600)));
    case.change(Change::DestinationChanged(Arc::new(case.destination.clone())));
    case.failed(5);
    case.goes_on(Duration::from_secs(1));
    assert!(!case.is_reading(), "a hold needs no read");
    case.change(Change::RetryNow { destination: KEY, delivery: DeliveryId(5), event: EventId(5) });
    case.read(&[5, 6], None);
    assert_eq!(case.sent(), Some(5));
    case.settled(5);
    assert_eq!(case.sent(), None, "the hold goes on");
    case.change(Change::RetryNow { destination: KEY, delivery: DeliveryId(7), event: EventId(7) });
    case.read(&[6, 7], None);
    assert_eq!(case.sent(), None, "it is not the next");
}
