//! Who sends next. One thread of normal priority owns all lanes: workers below it that held a lock could stall
//! everything when the processor is short.

pub mod bundle;
pub mod changes;
pub mod dispatch;
pub mod lane;
pub mod message;
pub mod places;
pub mod pools;
pub mod processors;
pub mod refill;
pub mod turns;

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
use super::workers::deliver::WorkerContext;
use super::workers::threads::Workers;
use crate::delivery::limits::{AFTER_CUT, MAX_TESTS, TICK};
use crate::domain::ids::DestinationKey;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::Store;
use lane::Lane;
use message::{EngineHandle, Message};
use pools::{Entry, Pool, Pools};
use processors::Processors;
use refill::{ReadRequest, Refills};
use turns::AccountTurns;

struct InFlightRun {
    lane: DestinationKey,
    run: Arc<Run>,
    /// The first one that its worker was given, which may be this.
    first: Arc<Run>,
    /// The pool whose permit it holds; `Free` once it gave it back.
    pool: Pool,
    /// How old its attempt must be to give the permit back.
    overdue_after: Duration,
    recent_failing: bool,
    /// When its attempt began that was found overdue.
    overdue: Option<Timestamp>,
}

/// All state of the engine.
pub struct Scheduler {
    options: EngineOptions,
    context: Arc<WorkerContext>,
    engine: EngineHandle,
    refills: Refills,
    workers: Workers,
    lanes: HashMap<DestinationKey, Lane>,
    /// The entry under which a lane stands among the ready ones.
    entered: HashMap<DestinationKey, Entry>,
    pools: Pools,
    in_flight: BTreeMap<u64, InFlightRun>,
    /// Workers that are busy with them.
    busy_workers: usize,
    /// Those of them that probably want a processor.
    processors: Processors,
    next_run: u64,
    /// When a lane is to be looked at again: due deliveries, ends of holds and back-offs. Only the entry that the lane
    /// itself names counts.
    timers: BinaryHeap<Reverse<(Timestamp, DestinationKey)>>,
    /// When an attempt is to be looked at again.
    overdue_checks: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// Until when attempts of failing lanes that ended count as young.
    recent_failures_until: VecDeque<Timestamp>,
    /// Lanes that could take more in hand from the file.
    backlogged: HashSet<DestinationKey>,
    /// Attempts that are overdue.
    hanging: usize,
    in_hand: usize,
    /// Those of them that lanes have in hand beyond what each may have in any case.
    above_floor: usize,
    bytes: usize,
    account_turns: AccountTurns,
    tests: usize,
    stopping: Option<Instant>,
    last_sweep: Timestamp,
}

impl Scheduler {
    /// Knows every destination from the start; what they have to send is read in the background.
    pub fn new(
        options: EngineOptions,
        store: Store,
        engine: EngineHandle,
        metrics: Arc<EngineMetrics>,
    ) -> Result<Self> {
        let now = options.clock.now();
        let destinations = store.all_destinations()?;
        let refills = Refills::start(&store, &engine)?;
        let workers = Workers::new(options.workers + MAX_TESTS)
            .map_err(|error| Error::internal(format!("cannot start the delivery pool: {error}")))?;
        let context = WorkerContext {
            store,
            clock: options.clock,
            metrics,
            connections: DestinationConnections::new(
                GuardedResolver::new(Arc::clone(&options.network)),
                options.trust.clone(),
            ),
            retry_schedule: options.retry_schedule.clone(),
            timeout: options.timeout,
            pause_after: options.pause_after,
        };
        let lanes: HashMap<_, _> =
            destinations.into_iter().map(|found| (found.key, Lane::new(Arc::new(found), now))).collect();
        if !lanes.is_empty() {
            refills.request(ReadRequest::FirstDue(lanes.keys().copied().collect()), true);
        }
        Ok(Self {
            options,
            context: Arc::new(context),
            engine,
            refills,
            workers,
            lanes,
            entered: HashMap::new(),
            pools: Pools::default(),
            in_flight: BTreeMap::new(),
            busy_workers: 0,
            processors: Processors::new(std::thread::available_parallelism().map_or(1, usize::from)),
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
        })
    }

    /// Runs until stopped.
    pub fn run(mut self, receiver: &Receiver<Message>) {
        // A local of this function: the process ends before the workers' pool is waited for.
        let _ends = EndsProcess("scheduler");
        loop {
            panic_point("scheduler");
            match receiver.recv_timeout(self.wait()) {
                Ok(message) => {
                    self.handle_message(message);
                    // All that came meanwhile first, then one look at who sends next.
                    while let Ok(message) = receiver.try_recv() {
                        self.handle_message(message);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = self.now();
            self.fire_timers(now);
            self.check_overdue(now);
            self.expire_recent(now);
            if let Some(deadline) = self.stopping {
                if self.in_flight.is_empty() || Instant::now() > deadline + AFTER_CUT {
                    return self.end();
                }
                if Instant::now() > deadline {
                    self.cut_all();
                }
            } else {
                self.dispatch(now);
                self.sweep(now);
            }
            self.context.metrics.set_gauges(self.busy_workers, self.lanes.len(), self.in_hand);
        }
    }

    fn now(&self) -> Timestamp {
        self.options.clock.now()
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
                self.workers.returned(slot);
                self.runs_completed(runs);
            }
            Message::Tested(slot) => {
                self.tests -= 1;
                self.workers.returned(slot);
            }
            Message::Refilled { lane, claimed } => self.refilled(lane, claimed),
            Message::FirstDue(due) => due.into_iter().for_each(|(lane, at)| self.due(lane, at)),
            Message::Test { destination, payload, done } => self.test(destination, payload, done),
            Message::Stop(grace) => {
                // What has not begun is still in the file.
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

    /// Looks at a lane at `at`, or before. What lies after is found again then: each look reads when the next is due.
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
            let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.wakes_at == Some(at)) else { continue };
            lane.wakes_at = None;
            lane.note_more();
            self.reschedule(key);
        }
    }

    fn end(mut self) {
        if !self.in_flight.is_empty() {
            tracing::warn!(attempts = self.in_flight.len(), "attempts did not end in time; they are made again");
        }
        self.workers.stop();
    }
}
