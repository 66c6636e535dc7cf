//! Decides who sends next. One thread of normal priority owns all lanes. If workers of lower priority held a lock on
//! them, they could stall everything when processors are busy. Nothing here may wait for a disk or a network.

pub mod assignment;
pub mod changes;
pub mod dispatch;
pub mod environment;
pub mod lane;
pub mod message;
pub mod order;
pub mod places;
pub mod pools;
pub mod processors;
pub mod rate;
pub mod refill;
pub mod turns;
pub mod watch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::metrics::EngineMetrics;
use super::options::EngineOptions;
use super::sending::connections::DestinationConnections;
use super::sending::resolver::GuardedResolver;
use super::workers::batch::Run;
use super::workers::context::WorkerContext;
use super::workers::threads::Workers;
use crate::delivery::limits::{AFTER_CUT, MAX_TESTS, TICK};
use crate::domain::destination::Destination;
use crate::domain::ids::DestinationKey;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::Store;
use environment::{Environment, Outside};
use lane::Lane;
use message::{EngineHandle, Message};
use pools::{Entry, Pool, Pools};
use processors::Processors;
use refill::{ReadRequest, Refills};
use turns::AccountTurns;

/// Most attempts that the engine may have in progress.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Over all destinations.
    workers: usize,
    /// To one destination that sets no limit of its own.
    destination_concurrency: usize,
}

struct InFlightRun {
    lane: DestinationKey,
    run: Arc<Run>,
    /// The first run of the same assignment, which may be this one.
    first: Arc<Run>,
    /// The pool whose permit the run holds; `Free` once the permit was given back.
    pool: Pool,
    /// How long an attempt of this run may be in progress before it is overdue.
    overdue_after: Duration,
    recent_failing: bool,
    /// When the overdue attempt began, if there is one.
    overdue: Option<Timestamp>,
}

/// All state of the engine.
pub struct Scheduler {
    limits: Limits,
    environment: Box<dyn Environment>,
    lanes: HashMap<DestinationKey, Lane>,
    /// The entry of each lane that is in the ready set of a pool.
    entered: HashMap<DestinationKey, Entry>,
    pools: Pools,
    in_flight: BTreeMap<u64, InFlightRun>,
    /// Workers that have an assignment.
    busy_workers: usize,
    /// Workers among them that probably want a processor.
    processors: Processors,
    next_run: u64,
    /// When lanes must be looked at again: due deliveries, ends of holds and back-offs, tokens of rates. An entry counts
    /// only if it is at the lane's own `wakes_at` or `rate_wakes_at`.
    timers: BinaryHeap<Reverse<(Timestamp, DestinationKey)>>,
    /// When runs must be checked again.
    overdue_checks: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// Until when ended attempts of failing lanes count as recent.
    recent_failures_until: VecDeque<Timestamp>,
    /// Backlogged lanes, which share the window.
    backlogged: HashSet<DestinationKey>,
    /// Overdue attempts of all lanes.
    hanging: usize,
    in_hand: usize,
    /// Jobs in hand above each lane's floor, over all lanes. Bounded by the shared window.
    above_floor: usize,
    bytes: usize,
    account_turns: AccountTurns,
    tests: usize,
    stopping: Option<Instant>,
    last_sweep: Timestamp,
}

impl Scheduler {
    /// Makes a lane for every destination. Due deliveries are then read in the background.
    pub fn new(
        options: EngineOptions,
        store: Store,
        engine: EngineHandle,
        metrics: Arc<EngineMetrics>,
    ) -> Result<Self> {
        let destinations = store.all_destinations()?;
        let refills = Refills::start(&store, &engine)?;
        let workers = Workers::new(options.workers + MAX_TESTS)
            .map_err(|error| Error::internal(format!("cannot start the delivery pool: {error}")))?;
        let resolver = GuardedResolver::new(Arc::clone(&options.network));
        let context = WorkerContext {
            store,
            clock: options.clock,
            metrics,
            connections: DestinationConnections::new(resolver, options.trust.clone()),
            retry_schedule: options.retry_schedule.clone(),
            timeout: options.timeout,
            pause_after: options.pause_after,
            memory: options.memory.clone(),
            max_body: options.max_body,
        };
        let outside = Outside { context: Arc::new(context), workers, refills, engine, clock: options.clock };
        let limits = Limits { workers: options.workers, destination_concurrency: options.destination_concurrency };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self::with(Box::new(outside), limits, processors, destinations))
    }

    fn with(
        mut environment: Box<dyn Environment>,
        limits: Limits,
        processors: usize,
        destinations: Vec<Destination>,
    ) -> Self {
        let now = environment.now();
        let lanes: HashMap<_, _> =
            destinations.into_iter().map(|found| (found.key, Lane::new(Arc::new(found), now))).collect();
        if !lanes.is_empty() {
            environment.read(ReadRequest::FirstDue(lanes.keys().copied().collect()), true);
        }
        Self {
            limits,
            environment,
            lanes,
            entered: HashMap::new(),
            pools: Pools::default(),
            in_flight: BTreeMap::new(),
            busy_workers: 0,
            processors: Processors::new(processors),
            next_run: 0,
            timers: BinaryHeap::new(),
            overdue_checks: BinaryHeap::new(),
            recent_failures_until: VecDeque::new(),
            backlogged: HashSet::new(),
            hanging: 0,
            in_hand: 0,
            above_floor: 0,
            bytes: 0,
            account_turns: AccountTurns::default(),
            tests: 0,
            stopping: None,
            last_sweep: now,
        }
    }

    /// Runs until the engine is stopped.
    pub fn run(mut self, receiver: &Receiver<Message>) {
        // A local value is dropped before `self`. After a panic the process ends before it would wait for the workers'
        // pool.
        let _ends = EndsProcess("scheduler");
        loop {
            panic_point("scheduler");
            match receiver.recv_timeout(self.wait()) {
                Ok(message) => {
                    self.handle_message(message);
                    // Handles all waiting messages before it decides once who sends next.
                    while let Ok(message) = receiver.try_recv() {
                        self.handle_message(message);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.turn();
            if let Some(deadline) = self.stopping {
                if self.in_flight.is_empty() || Instant::now() > deadline + AFTER_CUT {
                    return self.end();
                }
                if Instant::now() > deadline {
                    self.cut_all();
                }
            }
        }
    }

    /// Does what is due now. To be called after all messages that have arrived were handled.
    fn turn(&mut self) {
        let now = self.now();
        self.fire_timers(now);
        self.check_overdue(now);
        self.expire_recent(now);
        if self.stopping.is_none() {
            self.dispatch(now);
            self.sweep(now);
        }
        self.environment.show(self.busy_workers, self.in_hand);
    }

    fn now(&self) -> Timestamp {
        self.environment.now()
    }

    fn wait(&self) -> Duration {
        let now = self.now();
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let patience = self.overdue_checks.peek().map(|Reverse((at, _))| *at);
        let pass = self.processors.next_pass();
        let next =
            timer.into_iter().chain(patience).chain(pass).chain(self.recent_failures_until.front().copied()).min();
        let wait = next.map_or(TICK, |at| at.since(now).min(TICK));
        let stop = self.stopping.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        stop.map_or(wait, |stop| wait.min(stop.max(Duration::from_millis(20))))
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Changes(changes) => changes.into_iter().for_each(|change| self.apply_change(change)),
            Message::Completed { runs, slot } => {
                self.environment.returned(slot);
                self.runs_completed(runs);
            }
            Message::Tested(slot) => {
                self.tests -= 1;
                self.environment.returned(slot);
            }
            Message::Refilled { lane, found } => self.refilled(lane, found),
            Message::FirstDue(due) => due.into_iter().for_each(|(lane, at)| self.due(lane, at)),
            Message::Test(test) => self.test(test),
            Message::SlowDestinations(account, reply) => reply(self.slow_destinations(account, self.now())),
            Message::NextSends(destinations, reply) => reply(self.next_sends(&destinations, self.now())),
            Message::Stop(grace) => {
                // Jobs that have not begun are still pending in the file.
                self.in_flight.values().for_each(|run| drop(run.run.recall()));
                self.stopping = Some(Instant::now() + grace);
            }
        }
    }

    /// A delivery in the file is due at `at`.
    fn due(&mut self, key: DestinationKey, at: Timestamp) {
        let now = self.now();
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if at <= now {
            lane.note_more();
            self.reschedule(key);
        } else {
            self.set_timer(key, at);
        }
    }

    /// Sets the lane's timer to `at`, unless it goes off earlier anyway. Later times need not be kept: each refill says
    /// when the next delivery is due.
    fn set_timer(&mut self, key: DestinationKey, at: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.wakes_at.is_none_or(|wakes_at| at < wakes_at) {
            lane.wakes_at = Some(at);
            self.timers.push(Reverse((at, key)));
        }
    }

    fn fire_timers(&mut self, now: Timestamp) {
        while let Some(Reverse((at, key))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let is_due = lane.wakes_at.take_if(|wakes_at| *wakes_at == at).is_some();
            let has_token = lane.rate_wakes_at.take_if(|wakes_at| *wakes_at == at).is_some();
            if is_due {
                lane.note_more();
            }
            if is_due || has_token {
                self.reschedule(key);
            }
        }
    }

    fn end(mut self) {
        if !self.in_flight.is_empty() {
            tracing::warn!(attempts = self.in_flight.len(), "attempts did not end in time; they are made again");
        }
        self.environment.stop();
    }
}

#[cfg(test)]
mod simulation;
