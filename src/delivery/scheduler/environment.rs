//! What the scheduler needs of the rest of the engine: time, threads, reads, and where outcomes go. A trait, so that a
//! simulation can take the place of all of it; see `simulation`. No decision belongs here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::message::{EngineHandle, Message, Test};
use super::refill::{ReadRequest, Refills};
use crate::delivery::clock::Clock;
use crate::delivery::sending::attempt::Client;
use crate::delivery::standing::STANDINGS;
use crate::delivery::workers::batch::AssignedRun;
use crate::delivery::workers::context::WorkerContext;
use crate::delivery::workers::deliver;
use crate::delivery::workers::threads::{Slot, Workers};
use crate::domain::destination::Destination;
use crate::domain::time::Timestamp;
use crate::store::FinishedAttempt;

/// Everything outside the scheduler.
pub trait Environment: Send {
    /// The time on the engine clock.
    fn now(&self) -> Timestamp;

    /// A client for a destination, which opens no connection yet.
    fn client(&self, destination: &Arc<Destination>) -> Client;

    /// Gives an assignment to one worker. [`Message::Completed`] says when the worker is done with it.
    fn run(&mut self, assignment: Vec<AssignedRun>);

    /// Gives a test to a worker. [`Message::Tested`] says when the worker is done.
    fn test(&mut self, test: Test);

    /// A worker is done, and waits again.
    fn returned(&mut self, worker: Arc<Slot>);

    /// Asks for a read; a later message has the result.
    fn read(&mut self, request: ReadRequest, high_priority: bool);

    /// Hands outcomes to the write thread.
    fn record(&mut self, finished: Vec<FinishedAttempt>, low_priority: bool);

    /// Closes what has been idle for long.
    fn sweep(&mut self);

    /// Shows numbers of the moment in the metrics.
    fn show(&self, busy_workers: usize, in_hand: usize);

    /// Shows in the metrics how many destinations have each standing.
    fn show_standings(&self, counts: [u64; STANDINGS.len()]);

    /// Ends without waiting for workers that still send.
    fn stop(&mut self);
}

/// The real one.
pub struct Outside {
    /// What the workers share.
    pub context: Arc<WorkerContext>,
    /// Threads that send.
    pub workers: Workers,
    /// Threads that read.
    pub refills: Refills,
    /// Where messages for the scheduler go.
    pub engine: EngineHandle,
    /// The clock of due times.
    pub clock: Clock,
}

impl Environment for Outside {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn client(&self, destination: &Arc<Destination>) -> Client {
        let timeout = destination.fields.timeout.unwrap_or(self.context.timeout);
        Client::new(&self.context.connections, Arc::clone(destination), timeout)
    }

    fn run(&mut self, assignment: Vec<AssignedRun>) {
        let (context, engine) = (Arc::clone(&self.context), self.engine.clone());
        self.workers.give(move |slot| {
            deliver::run_assignment(&context, &assignment);
            let runs: Vec<u64> = assignment.iter().map(|assigned| assigned.number).collect();
            // The connections are free again before the scheduler hears of it.
            drop(assignment);
            engine.send(Message::Completed { runs, slot });
        });
    }

    fn test(&mut self, test: Test) {
        let (context, engine) = (Arc::clone(&self.context), self.engine.clone());
        self.workers.give(move |slot| {
            let Test { destination, payload, done } = test;
            let id = destination.id.clone();
            let send = || done(deliver::test(&context, *destination, &payload));
            if catch_unwind(AssertUnwindSafe(send)).is_err() {
                tracing::error!(destination.id = %id, "a test panicked");
            }
            engine.send(Message::Tested(slot));
        });
    }

    fn returned(&mut self, worker: Arc<Slot>) {
        self.workers.returned(worker);
    }

    fn read(&mut self, request: ReadRequest, high_priority: bool) {
        self.refills.request(request, high_priority);
    }

    fn record(&mut self, finished: Vec<FinishedAttempt>, low_priority: bool) {
        self.context.store.finish_attempts(finished, low_priority);
    }

    fn sweep(&mut self) {
        self.workers.prune();
        self.context.connections.sweep(Instant::now());
    }

    fn show(&self, busy_workers: usize, in_hand: usize) {
        self.context.metrics.set_gauges(busy_workers, in_hand);
    }

    fn show_standings(&self, counts: [u64; STANDINGS.len()]) {
        self.context.metrics.set_standings(counts);
    }

    fn stop(&mut self) {
        self.workers.stop();
    }
}
