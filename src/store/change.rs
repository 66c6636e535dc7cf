//! What a commit changed, told to the engine after it is on disk and before anybody is answered.

use std::sync::Arc;

use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::{AccountKey, DeliveryId, DestinationKey, EventId};
use crate::domain::time::Timestamp;

/// An accepted event and the deliveries made for it.
#[derive(Debug)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// The bytes as they came.
    pub payload: Document,
    /// One for each destination of the account.
    pub deliveries: Vec<(DeliveryId, DestinationKey)>,
}

/// One thing that a commit changed.
#[derive(Debug)]
pub enum Change {
    /// A new event.
    Accepted(NewEvent),
    /// The outcome of an attempt is on disk; `due` is when the delivery is tried again, if it is.
    OutcomeRecorded {
        /// Its destination.
        destination: DestinationKey,
        /// The delivery.
        delivery: DeliveryId,
        /// On the engine's clock.
        due: Option<Timestamp>,
    },
    /// The connection was opened anew after a failure: these are all destinations, and what is pending for them is to be
    /// looked at again.
    Reloaded(Vec<Destination>),
    /// A destination was made or changed, paused or resumed.
    DestinationChanged(Arc<Destination>),
    /// A destination was deleted, by itself or with its account.
    DestinationDeleted(DestinationKey),
    /// An account was deleted; each of its destinations is told of by itself.
    AccountDeleted(AccountKey),
    /// A delivery is to be sent at once, past holds and back-off.
    RetryNow {
        /// Its destination.
        destination: DestinationKey,
        /// The delivery.
        delivery: DeliveryId,
        /// The event it carries.
        event: EventId,
    },
    /// Many deliveries of a destination were opened again; it is to go on past holds and back-off.
    Reopened(DestinationKey),
    /// A pending delivery was cancelled.
    Cancelled {
        /// Its destination.
        destination: DestinationKey,
        /// The delivery.
        delivery: DeliveryId,
    },
}

impl Change {
    /// How many deliveries it brought.
    pub fn deliveries_made(&self) -> usize {
        match self {
            Self::Accepted(event) => event.deliveries.len(),
            _ => 0,
        }
    }
}

/// Who is told of changes; called on the write thread, in commit order.
pub type Observer = Box<dyn Fn(Vec<Change>) + Send>;
