//! The engine: sends what is pending, each destination in a lane of its own, so that none delays another.

pub mod clock;

mod attempt;
mod buffers;
mod figures;
mod flight;
mod lane;
mod pools;
mod refill;
mod resolver;
mod run;
mod scheduler;
mod workers;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::domain::delivery::Attempt;
use crate::domain::destination::Destination;
use crate::domain::network::NetworkPolicy;
use crate::domain::ports::SendTest;
use crate::domain::retry::RetrySchedule;
use crate::error::{Error, Result};
use crate::store::{Change, Store};
use clock::Clock;
pub use figures::{BUCKETS, EngineFigures};
use scheduler::Message;

/// What the engine is told at start.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Attempts under way at once, over all destinations.
    pub workers: usize,
    /// Attempts under way at once to one destination.
    pub destination_concurrency: usize,
    /// For one attempt, from look-up to the end of the answer.
    pub timeout: Duration,
    /// Delays between attempts.
    pub retry_schedule: RetrySchedule,
    /// A destination with nothing but failures for this long is paused.
    pub pause_after: Duration,
    /// Where deliveries may go.
    pub network: Arc<NetworkPolicy>,
    /// The clock of due times.
    pub clock: Clock,
}

/// The engine's end of the channel that commits are told through; made before the store that tells.
pub struct Inbox(Receiver<Message>);

/// Tells the engine something. Clones tell the same engine.
#[derive(Clone)]
pub struct Outbox(Sender<Message>);

/// The channel between the store and the engine. It is not bounded itself: what is in it is bounded by the commits.
pub fn mailbox() -> (Outbox, Inbox) {
    let (sender, receiver) = channel();
    (Outbox(sender), Inbox(receiver))
}

impl Outbox {
    /// Tells of a commit's changes.
    pub fn changes(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // An engine that has stopped sends nothing more; the file keeps what is pending.
            let _ = self.0.send(Message::Changes(changes));
        }
    }
}

/// The running engine.
pub struct Engine {
    outbox: Outbox,
    thread: Option<JoinHandle<()>>,
    figures: Arc<figures::Figures>,
}

impl Engine {
    /// Starts the scheduler; it goes on with what is pending in the file.
    ///
    /// # Errors
    /// The file cannot be read, or the operating system gives no thread.
    pub fn start(options: EngineOptions, store: Store, outbox: Outbox, inbox: Inbox) -> Result<Self> {
        let figures = Arc::new(figures::Figures::default());
        let scheduler = scheduler::Scheduler::new(options, store, outbox.clone(), Arc::clone(&figures))?;
        let thread = std::thread::Builder::new()
            .name("scheduler".to_owned())
            .spawn(move || scheduler.run(&inbox.0))
            .map_err(|error| Error::internal(format!("cannot start the scheduler thread: {error}")))?;
        Ok(Self { outbox, thread: Some(thread), figures })
    }

    /// Begins no further attempt, waits up to `grace` for those under way, then cuts them; they are sent again at the
    /// next start. Blocks.
    pub fn stop(&mut self, grace: Duration) {
        let _ = self.outbox.0.send(Message::Stop(grace));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Figures for `/metrics`.
    pub fn figures(&self) -> Arc<figures::Figures> {
        Arc::clone(&self.figures)
    }

    /// Sends tests.
    pub fn tester(&self) -> Arc<dyn SendTest> {
        Arc::new(Tester(self.outbox.clone()))
    }
}

struct Tester(Outbox);

impl SendTest for Tester {
    fn send_test(&self, destination: Destination, payload: Arc<[u8]>, done: Box<dyn FnOnce(Attempt) + Send>) {
        let _ = self.0.0.send(Message::Test { destination: Box::new(destination), payload, done });
    }
}
