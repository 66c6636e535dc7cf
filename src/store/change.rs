//! What a commit changed. The write thread passes the changes to the engine after the commit is on disk, and before any
//! caller is answered.

use std::sync::Arc;

use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::{AccountKey, DeliveryId, DestinationKey, EventId};
use crate::domain::time::Timestamp;

/// An accepted event and the deliveries made for it.
#[derive(Debug)]
pub struct NewEvent {
    /// Id of the event.
    pub id: EventId,
    /// The bytes of the document, exactly as they were received.
    pub payload: Document,
    /// One delivery for each destination of the account.
    pub deliveries: Vec<(DeliveryId, DestinationKey)>,
}

/// One thing that a commit changed.
#[derive(Debug)]
pub enum Change {
    /// An event was accepted.
    Accepted(NewEvent),
    /// The outcome of an attempt is on disk, or the store has given up recording it; see `operations/outcomes.rs`.
    OutcomeRecorded {
        /// Destination of the delivery.
        destination: DestinationKey,
        /// The delivery.
        delivery: DeliveryId,
        /// When the delivery is tried again, on the engine clock. `None` if it is not.
        due: Option<Timestamp>,
    },
    /// The connection was opened again after a failure. These are all destinations; the engine reads again what is
    /// pending for them.
    Reloaded(Vec<Destination>),
    /// A destination was created, changed, paused or resumed.
    DestinationChanged(Arc<Destination>),
    /// A destination was deleted, alone or together with its account.
    DestinationDeleted(DestinationKey),
    /// An account was deleted. Each of its destinations has a [`Change::DestinationDeleted`] of its own.
    AccountDeleted(AccountKey),
    /// A delivery is to be sent at once, without waiting for holds or back-off.
    RetryNow {
        /// Destination of the delivery.
        destination: DestinationKey,
        /// The delivery.
        delivery: DeliveryId,
        /// The event that the delivery carries.
        event: EventId,
    },
    /// Many deliveries of a destination were opened again. They are sent without waiting for holds or back-off.
    Reopened(DestinationKey),
    /// A pending delivery was cancelled.
    Cancelled {
        /// Destination of the delivery.
        destination: DestinationKey,
        /// The delivery.
        delivery: DeliveryId,
    },
}

impl Change {
    /// How many deliveries this change created.
    pub fn deliveries_made(&self) -> usize {
        match self {
            Self::Accepted(event) => event.deliveries.len(),
            _ => 0,
        }
    }
}

/// Receives the changes of a commit. The write thread calls the observer in commit order.
pub type Observer = Box<dyn Fn(Vec<Change>) + Send>;
