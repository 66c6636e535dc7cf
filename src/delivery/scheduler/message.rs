//! Messages to the scheduler, and the channel that they come through.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::delivery::workers::threads::Slot;
use crate::domain::delivery::Attempt;
use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::{AccountKey, DestinationKey};
use crate::domain::ports::{NextSendsReply, SlowDestinationsReply};
use crate::domain::time::Timestamp;
use crate::store::{Change, DueDeliveries};

/// A message to the scheduler.
pub enum Message {
    /// Changes of a commit.
    Changes(Vec<Change>),
    /// A worker is done with its assignment.
    Completed {
        /// Numbers of the runs in the assignment.
        runs: Vec<u64>,
        /// The worker.
        slot: Arc<Slot>,
    },
    /// A worker is done with a test.
    Tested(Arc<Slot>),
    /// A refill has read the file for a lane.
    Refilled {
        /// The lane.
        lane: DestinationKey,
        /// The due deliveries that were found.
        found: DueDeliveries,
    },
    /// First due times of lanes, at start.
    FirstDue(Vec<(DestinationKey, Timestamp)>),
    /// A test is to be sent.
    Test(Test),
    /// The slowest destinations are asked for, of all or of one account.
    SlowDestinations(Option<AccountKey>, SlowDestinationsReply),
    /// It is asked when these destinations may send next, where they wait for their rate.
    NextSends(Vec<DestinationKey>, NextSendsReply),
    /// No further attempt begins. Those in progress have this long to end.
    Stop(Duration),
}

/// A test to send.
pub struct Test {
    /// The destination.
    pub destination: Box<Destination>,
    /// The document.
    pub payload: Document,
    /// Called with the attempt, unless the test is dropped.
    pub done: Box<dyn FnOnce(Attempt) + Send>,
}

/// The engine's end of the channel. The channel is made before the store, because the store's observer needs the other
/// end.
pub struct EngineReceiver(Receiver<Message>);

/// Sends messages to the engine. Clones send to the same engine.
#[derive(Clone)]
pub struct EngineHandle(Sender<Message>);

/// The channel between the store and the engine. The channel itself has no limit; the number of messages is bounded by
/// the commits, and by the callers that wait for a reply.
pub fn channel() -> (EngineHandle, EngineReceiver) {
    let (sender, receiver) = mpsc::channel();
    (EngineHandle(sender), EngineReceiver(receiver))
}

impl EngineReceiver {
    /// The messages.
    pub fn receiver(&self) -> &Receiver<Message> {
        &self.0
    }
}

impl EngineHandle {
    /// Sends a message. An engine that has stopped gets nothing.
    pub fn send(&self, message: Message) {
        let _ = self.0.send(message);
    }

    /// Sends the changes of a commit, if there are any.
    pub fn changes(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // Nothing is lost without a receiver: the file keeps what is pending.
            self.send(Message::Changes(changes));
        }
    }
}
