//! The simulated world: what the file, the workers and the destinations hold, and when what comes next happens. How
//! workers, the file and clients behave is in the files beside it.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::*;
use super::clients::Answers;
use super::promises::Promises;
use crate::delivery::sending::attempt::Client;
use crate::delivery::sending::tls::trust::Trust;
use crate::delivery::workers::batch::AssignedRun;
use crate::delivery::workers::job::Job;
use crate::delivery::workers::threads::Slot;
use crate::domain::ids::{DeliveryId, EventId};
use crate::domain::network::NetworkPolicy;
use crate::store::FinishedAttempt;
use environment::Environment;
use message::Test;

/// A delivery in the file.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub destination: DestinationKey,
    pub event: EventId,
    pub due: Timestamp,
    pub step: u32,
}

/// A worker with an assignment.
pub(super) struct Worker {
    pub(super) runs: Vec<AssignedRun>,
    pub(super) at: usize,
    pub(super) began: Timestamp,
    pub(super) job: Option<(Job, Timestamp, Result<(), ()>)>,
}

/// Something that happens at its time.
pub(super) enum Event {
    /// The worker begins the next job, or ends.
    Goes(u64),
    /// The attempt of the worker ends.
    Ends(u64),
    /// A commit writes outcomes.
    Commit(Vec<FinishedAttempt>),
    /// A read looks at the file.
    Reads(ReadRequest),
    /// The scheduler gets a message.
    Tells(Message),
}

/// Everything but the scheduler.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) random: fastrand::Rng,
    /// What is pending in the file, and what is not.
    pub(super) rows: BTreeMap<DeliveryId, Row>,
    pub(super) settled: BTreeMap<DeliveryId, Row>,
    pub(super) destinations: BTreeMap<DestinationKey, Destination>,
    pub(super) answers: HashMap<DestinationKey, Answers>,
    /// Destinations that have answered all requests at once so far.
    pub(super) always_at_once: HashSet<DestinationKey>,
    /// Nearly all destinations answer at once.
    pub(super) quick: bool,
    /// All destinations answer at once.
    pub(super) calm: bool,
    /// Nearly all destinations ask for strict order.
    pub(super) ordered: bool,
    pub(super) workers: HashMap<u64, Worker>,
    /// Deliveries whose attempt is in progress, and those that succeeded and were not opened again.
    pub(super) sending: HashSet<DeliveryId>,
    pub(super) succeeded: HashSet<DeliveryId>,
    pub(super) promises: Promises,
    pub(super) queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    pub(super) events: HashMap<u64, Event>,
    pub(super) next: u64,
    pub(super) clients: DestinationConnections,
}

impl World {
    /// An empty world. Its seed decides what happens, and what kind of world it is.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::from_millis(1_000_000),
            random: fastrand::Rng::with_seed(seed),
            rows: BTreeMap::new(),
            settled: BTreeMap::new(),
            destinations: BTreeMap::new(),
            answers: HashMap::new(),
            always_at_once: HashSet::new(),
            quick: seed % 2 == 1,
            calm: false,
            ordered: seed % 4 > 1,
            workers: HashMap::new(),
            sending: HashSet::new(),
            succeeded: HashSet::new(),
            promises: Promises::default(),
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            next: 0,
            clients: DestinationConnections::new(
                GuardedResolver::new(Arc::new(NetworkPolicy::dev(Vec::new()))),
                Trust::default(),
            ),
        }
    }

    pub(super) fn later(&mut self, millis: u64, event: Event) {
        self.next += 1;
        self.queue.push(Reverse((self.now.plus(Duration::from_millis(millis)), self.next)));
        self.events.insert(self.next, event);
    }

    pub(super) fn soon(&mut self, most: u64, event: Event) {
        let millis = self.random.u64(0..=most);
        self.later(millis, event);
    }

    /// The server is killed: all that was not in the file is gone. Returns what the next server reads.
    pub(super) fn killed(&mut self) -> Vec<Destination> {
        self.workers.clear();
        self.queue.clear();
        self.events.clear();
        self.sending.clear();
        self.promises.killed();
        self.succeeded.retain(|delivery| !self.rows.contains_key(delivery));
        self.destinations.values().cloned().collect()
    }
}

/// The world as the scheduler sees it.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<Mutex<World>>);

impl Shared {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Environment for Shared {
    fn now(&self) -> Timestamp {
        self.world().now
    }

    fn client(&self, destination: &Arc<Destination>) -> Client {
        Client::new(&self.world().clients, Arc::clone(destination), Duration::from_secs(15))
    }

    fn run(&mut self, assignment: Vec<AssignedRun>) {
        let mut world = self.world();
        world.next += 1;
        let (number, began) = (world.next, world.now);
        world.workers.insert(number, Worker { runs: assignment, at: 0, began, job: None });
        // Now and then the operating system is late.
        let most = if world.random.u8(0..20) == 0 { 40 } else { 1 };
        world.soon(most, Event::Goes(number));
    }

    fn test(&mut self, _: Test) {
        self.world().soon(20, Event::Tells(Message::Tested(Slot::waiting())));
    }

    fn returned(&mut self, _: Arc<Slot>) {}

    fn read(&mut self, request: ReadRequest, _: bool) {
        self.world().soon(5, Event::Reads(request));
    }

    fn record(&mut self, finished: Vec<FinishedAttempt>, _: bool) {
        self.world().soon(5, Event::Commit(finished));
    }

    fn sweep(&mut self) {}

    fn show(&self, _: usize, _: usize) {}

    fn show_standings(&self, _: [u64; crate::delivery::standing::STANDINGS.len()]) {}

    fn stop(&mut self) {}
}
