//! A delivery as the engine has it in hand.

use crate::domain::document::Document;
use crate::domain::ids::{DeliveryId, EventId};

/// A delivery in hand.
#[derive(Debug, Clone)]
pub struct Job {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The event it carries.
    pub event: EventId,
    /// Failures of the schedule that are used up; `None` where the file has to be asked.
    pub step: Option<u32>,
    /// The document; `None` where the file has to be asked.
    pub document: Option<Document>,
    /// Asked for by hand: it passes holds and back-off.
    pub urgent: bool,
}

impl Job {
    /// Bytes of the document that it holds in memory.
    pub fn bytes(&self) -> usize {
        self.document.as_ref().map_or(0, |document| document.len())
    }
}
