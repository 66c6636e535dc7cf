//! What the scheduler is told, and the channel that it comes through.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::delivery::workers::threads::Slot;
use crate::domain::delivery::Attempt;
use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::DestinationKey;
use crate::domain::time::Timestamp;
use crate::store::{Change, DueDeliveries};

/// What the scheduler is told.
pub enum Message {
    /// What a commit changed.
    Changes(Vec<Change>),
    /// A worker is done.
    Completed {
        /// Numbers of the flights that it was given.
        runs: Vec<u64>,
        /// The worker.
        slot: Arc<Slot>,
    },
    /// A worker is done with a test.
    Tested(Arc<Slot>),
    /// The file was read for a lane.
    Refilled {
        /// The lane.
        lane: DestinationKey,
        /// What was found.
        claimed: DueDeliveries,
    },
    /// First due times, at start.
    FirstDue(Vec<(DestinationKey, Timestamp)>),
    /// A test is to be sent.
    Test {
        /// Where to.
        destination: Box<Destination>,
        /// What.
        payload: Document,
        /// Told of the attempt.
        done: Box<dyn FnOnce(Attempt) + Send>,
    },
    /// No further attempts; those under way have this long.
    Stop(Duration),
}

/// The engine's end of the channel that commits are told through; made before the store that tells.
pub struct EngineReceiver(Receiver<Message>);

/// Tells the engine something. Clones tell the same engine.
#[derive(Clone)]
pub struct EngineHandle(Sender<Message>);

/// The channel between the store and the engine. It is not bounded itself: what is in it is bounded by the commits.
pub fn channel() -> (EngineHandle, EngineReceiver) {
    let (sender, receiver) = mpsc::channel();
    (EngineHandle(sender), EngineReceiver(receiver))
}

impl EngineReceiver {
    /// What comes through it.
    pub fn receiver(&self) -> &Receiver<Message> {
        &self.0
    }
}

impl EngineHandle {
    /// Tells it anything. An engine that has stopped hears nothing more.
    pub fn send(&self, message: Message) {
        let _ = self.0.send(message);
    }

    /// Tells of a commit's changes.
    pub fn changes(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // The file keeps what is pending.
            self.send(Message::Changes(changes));
        }
    }
}
