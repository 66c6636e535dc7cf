//! Seeded runs of the scheduler in which file, workers, destinations and clock are simulated. After each step everything that
//! the scheduler counts by hand is counted again, and at the end every delivery has arrived.

mod promises;

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::*;
use crate::delivery::limits::{FLOOR, MAX_BUSY, SLOW};
use crate::delivery::sending::attempt::Client;
use crate::delivery::sending::tls::trust::Trust;
use crate::delivery::workers::batch::{AssignedRun, AttemptResult, CompletedAttempt, HealthSignal, Progress};
use crate::delivery::workers::job::Job;
use crate::delivery::workers::threads::Slot;
use crate::domain::delivery::{ErrorClass, Next, Outcome, transition};
use crate::domain::destination::{DeliveryOrder, OnExhausted, Pause, PausedReason};
use crate::domain::document::Document;
use crate::domain::ids::{AccountKey, DeliveryId, EventId};
use crate::domain::network::NetworkPolicy;
use crate::domain::rate::Rate;
use crate::domain::retry::{Jitter, RetrySchedule};
use crate::store::{Change, DueDeliveries, DueDelivery, FinishedAttempt, NewEvent};
use environment::Environment;
use lane::Health;
use message::Test;
use promises::Promises;

/// Seeds of the short form and of the long one.
const SEEDS: u64 = 8;
const MANY_SEEDS: u64 = 120;

/// Steps in which everything may happen to deliveries and destinations.
const STEPS: usize = 2_000;

/// After so many steps the server is killed, and started again over the same file.
const KILL_EVERY: usize = 700;

/// After those steps all must have arrived within so much simulated time.
const DRAINED_WITHIN: Duration = Duration::from_secs(3_600);

/// How a destination answers.
#[derive(Debug, Clone, Copy)]
enum Answers {
    AtOnce,
    Soon,
    Slowly,
    Fails,
    Hangs,
    Sometimes,
    /// At once but for one of 40, as where a destination collects garbage.
    MostlyAtOnce,
}

const ANSWERS: [Answers; 7] = [
    Answers::AtOnce,
    Answers::Soon,
    Answers::Slowly,
    Answers::Fails,
    Answers::Hangs,
    Answers::Sometimes,
    Answers::MostlyAtOnce,
];

/// Rates from one that is slower than anything that answers to one that holds nothing back.
const RATES: [&str; 5] = ["20/m", "3/s", "17/s", "200/s", "100000/s"];

/// A delivery in the file.
#[derive(Debug, Clone, Copy)]
struct Row {
    destination: DestinationKey,
    event: EventId,
    due: Timestamp,
    step: u32,
}

/// A worker with an assignment.
struct Worker {
    runs: Vec<AssignedRun>,
    at: usize,
    began: Timestamp,
    job: Option<(Job, Timestamp, Result<(), ()>)>,
}

enum Event {
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

struct World {
    now: Timestamp,
    random: fastrand::Rng,
    /// What is pending in the file, and what is not.
    rows: BTreeMap<DeliveryId, Row>,
    settled: BTreeMap<DeliveryId, Row>,
    destinations: BTreeMap<DestinationKey, Destination>,
    answers: HashMap<DestinationKey, Answers>,
    /// Destinations that have answered all requests at once so far.
    always_at_once: HashSet<DestinationKey>,
    /// Nearly all destinations answer at once.
    quick: bool,
    /// All destinations answer at once.
    calm: bool,
    /// Nearly all destinations ask for strict order.
    ordered: bool,
    workers: HashMap<u64, Worker>,
    /// Deliveries whose attempt is in progress, and those that succeeded and were not opened again.
    sending: HashSet<DeliveryId>,
    succeeded: HashSet<DeliveryId>,
    promises: Promises,
    queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    events: HashMap<u64, Event>,
    next: u64,
    clients: DestinationConnections,
}

impl World {
    fn later(&mut self, millis: u64, event: Event) {
        self.next += 1;
        self.queue.push(Reverse((self.now.plus(Duration::from_millis(millis)), self.next)));
        self.events.insert(self.next, event);
    }

    fn soon(&mut self, most: u64, event: Event) {
        let millis = self.random.u64(0..=most);
        self.later(millis, event);
    }

    /// How long the next attempt to a destination takes, in milliseconds, and whether it succeeds.
    fn attempt(&mut self, destination: DestinationKey) -> (u64, Result<(), ()>) {
        let answers = if self.calm { Answers::AtOnce } else { self.answers[&destination] };
        let random = &mut self.random;
        match answers {
            Answers::AtOnce => (random.u64(0..=1), Ok(())),
            Answers::Soon => (random.u64(8..=30), Ok(())),
            Answers::Slowly => (random.u64(100..=400), Ok(())),
            Answers::Fails => (random.u64(0..=2), Err(())),
            Answers::Hangs => (10_000, Err(())),
            Answers::Sometimes if random.u8(0..10) == 0 => (3_000, Err(())),
            Answers::MostlyAtOnce if random.u8(0..40) == 0 => (random.u64(10..=200), Ok(())),
            Answers::MostlyAtOnce => (random.u64(0..=1), Ok(())),
            Answers::Sometimes => (random.u64(0..=3), if random.bool() { Ok(()) } else { Err(()) }),
        }
    }

    fn goes(&mut self, number: u64) {
        let now = self.now;
        let Some(mut worker) = self.workers.remove(&number) else { return };
        while let Some(assigned) = worker.runs.get(worker.at) {
            let late = worker.at > 0 && now.since(worker.began) > MAX_BUSY;
            if let Some(job) = (!late).then(|| assigned.run.next(now)).flatten() {
                let destination = assigned.client.session(true).destination().key;
                assert!(self.sending.insert(job.delivery), "{} is sent twice at once", job.delivery);
                assert!(!self.succeeded.contains(&job.delivery), "{} is sent again after its success", job.delivery);
                if let Some(destination) = self.destinations.get(&destination) {
                    self.promises.begins(destination, job.delivery, &self.rows, now);
                }
                let (millis, result) = self.attempt(destination);
                worker.job = Some((job, now, result));
                self.workers.insert(number, worker);
                return self.later(millis, Event::Ends(number));
            }
            assigned.run.done();
            worker.at += 1;
        }
        let runs = worker.runs.iter().map(|assigned| assigned.number).collect();
        self.soon(1, Event::Tells(Message::Completed { runs, slot: Slot::waiting() }));
    }

    fn ends(&mut self, number: u64) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&number) else { return };
        let Some((job, began, result)) = worker.job.take() else { return };
        let assigned = &worker.runs[worker.at];
        let run = Arc::clone(&assigned.run);
        let destination = assigned.client.session(true).destination().key;
        let (health, outcome) = match result {
            Ok(()) => (HealthSignal::Good(now.since(began)), Outcome::Answer { status: 200, retry_after: None }),
            Err(()) => (HealthSignal::Bad, Outcome::NoAnswer(ErrorClass::Timeout)),
        };
        self.sending.remove(&job.delivery);
        // As the file is asked for what is not in memory: cancelled meanwhile, or deleted.
        let row = self.rows.get(&job.delivery).copied();
        let there = row.is_some() && self.destinations.contains_key(&destination);
        if there {
            let step = job.retry_step.or(row.map(|row| row.step)).unwrap_or(0);
            let schedule = RetrySchedule::parse("1s,2s,4s,8s,16s,30s,30s,30s,30s,30s").unwrap();
            let verdict = transition(step, outcome, &schedule, now, Jitter::NONE);
            if outcome.is_success() {
                self.succeeded.insert(job.delivery);
            }
            run.finished(FinishedAttempt {
                delivery: job.delivery,
                destination,
                attempt: None,
                outcome,
                held: None,
                retry_step: step,
                transition: verdict,
                ended_at: now,
                ended_at_wall: now,
                pause_after: Duration::MAX,
                failed_before: false,
            });
        } else {
            self.promises.settles(job.delivery);
        }
        let health = if there { health } else { HealthSignal::Nothing };
        let result = AttemptResult { health, outcome: there };
        run.ended(CompletedAttempt { delivery: job.delivery, bytes: job.bytes(), began, result });
        let goes_on = matches!(health, HealthSignal::Good(_)) && !run.cancellation.is_set();
        let Some(worker) = self.workers.get_mut(&number) else { return };
        if !goes_on || now.since(worker.began) > MAX_BUSY {
            run.done();
            worker.at += 1;
        }
        self.later(0, Event::Goes(number));
    }

    /// Writes outcomes; gives what the commit changed.
    fn commit(&mut self, finished: Vec<FinishedAttempt>) -> Vec<Change> {
        let mut changes = Vec::new();
        for attempt in finished {
            let mut due = None;
            self.promises.settles(attempt.delivery);
            if let Some(row) = self.rows.get_mut(&attempt.delivery) {
                match attempt.transition.next {
                    Next::Retry { at, retry_step: step } => {
                        (row.due, row.step) = (at, step);
                        due = Some(at);
                    }
                    next @ (Next::Succeeded | Next::Exhausted | Next::PauseDestination) => {
                        self.settle(attempt.delivery);
                        changes
                            .extend((next == Next::Exhausted).then(|| self.exhausted(attempt.destination)).flatten());
                    }
                }
            }
            let (destination, delivery) = (attempt.destination, attempt.delivery);
            changes.push(Change::OutcomeRecorded { destination, delivery, due });
        }
        changes
    }

    /// A delivery is no longer pending.
    fn settle(&mut self, delivery: DeliveryId) {
        if let Some(row) = self.rows.remove(&delivery) {
            self.settled.insert(delivery, row);
        }
    }

    /// A delivery is pending again, due at once.
    fn open_again(&mut self, delivery: DeliveryId, row: Row) {
        self.settled.remove(&delivery);
        self.succeeded.remove(&delivery);
        self.rows.insert(delivery, Row { due: Timestamp::EPOCH, step: 0, ..row });
    }

    /// A delivery is exhausted, after which its destination may have to be paused.
    fn exhausted(&mut self, destination: DestinationKey) -> Option<Change> {
        let destination = self.destinations.get_mut(&destination)?;
        let pauses = destination.fields.on_exhausted == OnExhausted::Pause && destination.pause.is_none();
        pauses.then(|| {
            destination.pause = Some(Pause { reason: PausedReason::Exhausted, at: self.now });
            Change::DestinationChanged(Arc::new(destination.clone()))
        })
    }

    fn read(&self, request: ReadRequest) -> Message {
        let of = |lane: DestinationKey| {
            let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| row.destination == lane).collect();
            rows.sort_by_key(|(id, row)| (row.due, **id));
            rows
        };
        match request {
            ReadRequest::FirstDue(lanes) => {
                Message::FirstDue(lanes.iter().filter_map(|lane| Some((*lane, of(*lane).first()?.1.due))).collect())
            }
            ReadRequest::Refill { lane, order, now, limit, in_hand } => {
                let mut found = DueDeliveries { deliveries: Vec::new(), next_due: None };
                let mut rows = of(lane);
                if order == DeliveryOrder::Strict {
                    rows.sort_by_key(|(id, _)| **id);
                }
                for (delivery, row) in rows.into_iter().filter(|(delivery, _)| !in_hand.contains(*delivery)) {
                    if row.due > now || found.deliveries.len() >= limit {
                        found.next_due = Some(row.due);
                        break;
                    }
                    let document = (delivery.0 % 3 > 0).then(|| Document::from([b'x'; 100].as_slice()));
                    found.deliveries.push(DueDelivery {
                        delivery: *delivery,
                        event: row.event,
                        retry_step: row.step,
                        document,
                    });
                }
                Message::Refilled { lane, found }
            }
        }
    }

    fn new_destination(&mut self) -> Destination {
        self.next += 1;
        let key = DestinationKey(self.next as i64);
        let url = format!("http://h{}/", self.random.u8(0..8));
        let mut destination = Destination::example(key, &url);
        destination.account_key = AccountKey(self.random.i64(1..4));
        destination.fields.max_concurrency = self.random.bool().then(|| self.random.u16(1..8));
        self.set_order_and_rate(&mut destination);
        let answers = if self.quick && self.random.u8(0..10) > 0 {
            Answers::MostlyAtOnce
        } else {
            ANSWERS[self.random.usize(0..7)]
        };
        self.answers.insert(key, answers);
        if matches!(answers, Answers::AtOnce) {
            self.always_at_once.insert(key);
        }
        self.destinations.insert(key, destination.clone());
        destination
    }

    /// Gives a destination an order, a rate, and what follows when a delivery is exhausted.
    fn set_order_and_rate(&mut self, destination: &mut Destination) {
        let (random, fields) = (&mut self.random, &mut destination.fields);
        let strict = if self.ordered { 5 } else { 2 };
        fields.ordering = if random.u8(0..6) < strict { DeliveryOrder::Strict } else { DeliveryOrder::None };
        fields.on_exhausted = if random.bool() { OnExhausted::Pause } else { OnExhausted::Continue };
        let rate = RATES[random.usize(0..RATES.len())];
        fields.rate_limit = (random.u8(0..3) == 0).then(|| Rate::parse(rate).unwrap());
    }

    fn accept(&mut self) -> Change {
        self.next += 1;
        let id = EventId(self.next as i64);
        let payload = Document::from(vec![b'x'; self.random.usize(0..2_000)].as_slice());
        let all: Vec<_> = self.destinations.keys().copied().collect();
        let keys: Vec<_> = all.into_iter().filter(|_| self.random.u8(0..4) == 0).collect();
        let mut deliveries = Vec::new();
        for destination in keys {
            self.next += 1;
            let delivery = DeliveryId(self.next as i64);
            self.rows.insert(delivery, Row { destination, event: id, due: Timestamp::EPOCH, step: 0 });
            deliveries.push((delivery, destination));
        }
        Change::Accepted(NewEvent { id, payload, deliveries })
    }

    /// The server is killed: all that was not in the file is gone. Returns what the next server reads.
    fn killed(&mut self) -> Vec<Destination> {
        self.workers.clear();
        self.queue.clear();
        self.events.clear();
        self.sending.clear();
        self.promises.killed();
        self.succeeded.retain(|delivery| !self.rows.contains_key(delivery));
        self.destinations.values().cloned().collect()
    }

    /// Now and then somebody tests a destination.
    fn random_test(&mut self) -> Option<Test> {
        let key = *self.random.choice(&self.destinations.keys().copied().collect::<Vec<_>>())?;
        let destination = Box::new(self.destinations[&key].clone());
        let test = Test { destination, payload: Document::from(b"{}".as_slice()), done: Box::new(drop) };
        (self.random.u8(0..40) == 0).then_some(test)
    }

    /// Something that a client does.
    fn act(&mut self) -> Option<Change> {
        let key = *self.random.choice(&self.destinations.keys().copied().collect::<Vec<_>>())?;
        let row = self.random.choice(&self.rows.iter().map(|(id, row)| (*id, *row)).collect::<Vec<_>>()).copied();
        let changed = |world: &Self| Change::DestinationChanged(Arc::new(world.destinations[&key].clone()));
        match self.random.u8(0..100) {
            0..3 => Some(Change::DestinationChanged(Arc::new(self.new_destination()))),
            3..5 if self.destinations.len() > 4 => {
                self.destinations.remove(&key);
                self.rows.retain(|_, row| row.destination != key);
                self.settled.retain(|_, row| row.destination != key);
                Some(Change::DestinationDeleted(key))
            }
            5..9 => {
                let pause = Pause { reason: PausedReason::Manual, at: self.now };
                self.destinations.get_mut(&key)?.pause = Some(pause);
                Some(changed(self))
            }
            9..15 => {
                self.destinations.get_mut(&key)?.pause = None;
                Some(changed(self))
            }
            15..18 => {
                let until = self.now.plus(Duration::from_millis(self.random.u64(0..2_000)));
                self.destinations.get_mut(&key)?.held_until = Some(until);
                Some(changed(self))
            }
            18..21 => {
                self.answers.insert(key, *self.random.choice(&ANSWERS)?);
                self.always_at_once.remove(&key);
                None
            }
            21..24 => {
                let settled = self.settled.iter().filter(|(_, row)| row.destination == key);
                let settled: Vec<_> = settled.map(|(delivery, row)| (*delivery, *row)).collect();
                let again: Vec<_> = settled.into_iter().filter(|_| self.random.u8(0..4) == 0).collect();
                again.into_iter().for_each(|(delivery, row)| self.open_again(delivery, row));
                Some(Change::Reopened(key))
            }
            24..28 => {
                let (delivery, row) = row?;
                self.settle(delivery);
                Some(Change::Cancelled { destination: row.destination, delivery })
            }
            28..34 => {
                let settled: Vec<_> = self.settled.iter().map(|(id, row)| (*id, *row)).collect();
                let settled = self.random.choice(&settled).copied().filter(|_| self.random.u8(0..4) == 0);
                let (delivery, row) = settled.or(row)?;
                self.open_again(delivery, row);
                Some(Change::RetryNow { destination: row.destination, delivery, event: row.event })
            }
            35..38 => {
                let mut destination = self.destinations.get(&key)?.clone();
                self.set_order_and_rate(&mut destination);
                self.destinations.insert(key, destination);
                Some(changed(self))
            }
            34 => Some(Change::Reloaded(self.destinations.values().cloned().collect())),
            _ => Some(self.accept()),
        }
    }
}

/// The world as the scheduler sees it.
#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
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

/// Counts everything again that the scheduler counts by hand.
fn recount(scheduler: &Scheduler, world: &World) {
    let lanes = scheduler.lanes.values();
    assert_eq!(scheduler.in_hand, lanes.clone().map(|lane| lane.in_hand.len()).sum::<usize>(), "in hand");
    let above = |lane: &Lane| lane.in_hand.len().saturating_sub(lane.urgent.len() + FLOOR);
    assert_eq!(scheduler.above_floor, lanes.clone().map(|lane| lane.above_floor).sum::<usize>(), "above the floor");
    assert!(lanes.clone().all(|lane| lane.above_floor.abs_diff(above(lane)) <= 1), "above the floor of each");
    let queued = lanes.clone().flat_map(|lane| lane.queue.iter().chain(&lane.urgent)).map(Job::bytes).sum::<usize>();
    let sent = scheduler.in_flight.values().map(|run| run.run.held_bytes()).sum::<usize>();
    let attempts = world.workers.values().filter_map(|worker| {
        let number = worker.runs.get(worker.at)?.number;
        worker.job.as_ref().filter(|_| scheduler.in_flight.contains_key(&number)).map(|(job, ..)| job.bytes())
    });
    assert_eq!(scheduler.bytes, queued + sent + attempts.sum::<usize>(), "bytes of documents");
    let runs = scheduler.in_flight.values();
    for pool in pools::ORDER {
        assert_eq!(scheduler.pools.used(pool), runs.clone().filter(|run| run.pool == pool).count(), "{pool:?}");
    }
    let recent = runs.clone().filter(|run| run.recent_failing).count() + scheduler.recent_failures_until.len();
    assert_eq!(scheduler.pools.recent_failing, recent, "recently failed");
    assert_eq!(scheduler.hanging, runs.clone().filter(|run| run.overdue.is_some()).count(), "overdue");
    for slow in scheduler.slow_destinations(world.now).into_iter().filter(|slow| slow.is_stalled) {
        let began = runs.clone().filter(|run| run.lane == slow.destination).filter_map(|run| {
            let Progress::Began(began) = run.run.progress() else { return run.overdue };
            Some(began)
        });
        assert!(began.min().is_some_and(|began| world.now.since(began) >= SLOW), "an attempt takes long");
    }
    for (key, lane) in &scheduler.lanes {
        assert_eq!(lane.in_flight, runs.clone().filter(|run| run.lane == *key).count(), "runs of a lane");
        assert_eq!(scheduler.backlogged.contains(key), lane.is_backlogged(), "backlogged");
    }
    let slow = scheduler.slow_destinations(world.now);
    let slow: HashSet<_> = slow.into_iter().map(|slow| slow.destination).collect();
    for (key, lane) in &scheduler.lanes {
        if let Some(pace) = &lane.pace {
            let promised: usize = runs.clone().map(|run| run.run.promised(pace)).sum();
            assert_eq!(pace.promised(), promised, "tokens that are promised");
        }
        let is_held_by_rate = scheduler.may_send(lane, world.now) && lane.waits_for_rate(world.now).is_some();
        let next = scheduler.next_sends(&[*key], world.now)[0];
        assert_eq!(is_held_by_rate, next.is_some_and(|at| at > world.now), "the next send of a lane");
        assert!(!is_held_by_rate || lane.rate_wakes_at.is_some(), "a lane that waits for its rate is woken");
        assert!(next.is_none() || !scheduler.entered.contains_key(key), "a lane that waits for its rate is not ready");
        if world.always_at_once.contains(key) {
            assert!(
                !slow.contains(key) && lane.health != Health::Failing && !lane.is_suspect(),
                "its rate is no fault of a lane"
            );
        }
        if lane.is_strict() {
            let sorted = |jobs: &VecDeque<Job>| jobs.iter().map(|job| job.delivery).is_sorted();
            assert!(sorted(&lane.queue) && sorted(&lane.urgent), "strict order in memory");
        }
    }
    assert_eq!(scheduler.pools.ready(), scheduler.entered.len(), "lanes that are ready");
    assert!(scheduler.busy_workers <= scheduler.limits.workers, "busy workers");
}

/// Lets time go on to the next event; gives false where there is none before `until`.
fn step(scheduler: &mut Scheduler, shared: &Shared, until: Timestamp) -> bool {
    let wake = scheduler.now().plus(scheduler.wait().max(Duration::from_millis(1)));
    let event = {
        let mut world = shared.world();
        let first = world.queue.peek().map(|Reverse(first)| *first).filter(|(at, _)| *at <= wake);
        world.now = first.map_or(wake, |(at, _)| at);
        if world.now > until {
            return false;
        }
        first.and_then(|(_, number)| {
            world.queue.pop();
            world.events.remove(&number)
        })
    };
    let message = match event {
        None => None,
        Some(Event::Tells(message)) => Some(message),
        Some(Event::Goes(number)) => {
            shared.world().goes(number);
            None
        }
        Some(Event::Ends(number)) => {
            shared.world().ends(number);
            None
        }
        Some(Event::Commit(finished)) => Some(Message::Changes(shared.world().commit(finished))),
        Some(Event::Reads(request)) => {
            let mut world = shared.world();
            let message = world.read(request);
            world.soon(3, Event::Tells(message));
            None
        }
    };
    message.into_iter().for_each(|message| scheduler.handle_message(message));
    scheduler.turn();
    recount(scheduler, &shared.world());
    true
}

fn simulate(seed: u64) {
    fastrand::seed(seed);
    let world = World {
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
    };
    let shared = Shared(Arc::new(Mutex::new(world)));
    // Only where many answer at once are runs of several lanes given to one worker.
    let many = if seed % 2 == 1 { 60 } else { 12 };
    let destinations: Vec<_> = (0..many).map(|_| shared.world().new_destination()).collect();
    let limits = Limits { workers: 24, destination_concurrency: 32 };
    let mut scheduler = Scheduler::with(Box::new(shared.clone()), limits, 2, destinations);
    for number in 1..=STEPS {
        if number % KILL_EVERY == 0 {
            let destinations = shared.world().killed();
            scheduler = Scheduler::with(Box::new(shared.clone()), limits, 2, destinations);
        }
        let test = shared.world().random_test();
        if let Some(test) = test {
            scheduler.handle_message(Message::Test(test));
        }
        let change = {
            let mut world = shared.world();
            if world.random.u8(0..3) == 0 { world.act() } else { None }
        };
        if let Some(change) = change {
            scheduler.handle_message(Message::Changes(vec![change]));
            scheduler.turn();
            recount(&scheduler, &shared.world());
        }
        step(&mut scheduler, &shared, Timestamp::LATEST);
    }
    // From now on everything answers, and nothing keeps anything back.
    let resumed: Vec<Change> = {
        let mut world = shared.world();
        world.calm = true;
        world
            .destinations
            .values_mut()
            .for_each(|destination| (destination.pause, destination.held_until) = (None, None));
        let changed = |destination: &Destination| Change::DestinationChanged(Arc::new(destination.clone()));
        world.destinations.values().map(changed).collect()
    };
    scheduler.handle_message(Message::Changes(resumed));
    let end = shared.world().now.plus(DRAINED_WITHIN);
    while !shared.world().rows.is_empty() || !scheduler.in_flight.is_empty() {
        assert!(step(&mut scheduler, &shared, end), "{} deliveries do not arrive", shared.world().rows.len());
    }
    // Refills that are still on their way may bring nothing.
    let end = shared.world().now.plus(Duration::from_secs(60));
    while step(&mut scheduler, &shared, end) {}
    let counts = [scheduler.in_hand, scheduler.above_floor, scheduler.bytes, scheduler.hanging, scheduler.busy_workers];
    assert_eq!(counts, [0; 5], "all that was in hand was given up");
}

fn simulate_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn whatever_happens_what_the_scheduler_counts_is_what_there_is_and_all_arrives() {
    simulate_all(0..SEEDS);
}

#[test]
#[ignore = "takes minutes; .ci/full runs it"]
fn the_same_over_many_seeds() {
    simulate_all(SEEDS..MANY_SEEDS);
}
