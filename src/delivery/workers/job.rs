//! A delivery as a lane has it in memory.

use crate::domain::document::Document;
use crate::domain::ids::{DeliveryId, EventId};

/// A delivery in hand.
#[derive(Debug, Clone)]
pub struct Job {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The event that is sent.
    pub event: EventId,
    /// Failures of the retry schedule that are used up; `None` where the file must be read.
    pub retry_step: Option<u32>,
    /// The document; `None` where the file must be read.
    pub document: Option<Document>,
    /// A manual retry: the job ignores holds and back-off.
    pub urgent: bool,
}

impl Job {
    /// Bytes of the document that the job holds in memory.
    pub fn bytes(&self) -> usize {
        self.document.as_ref().map_or(0, |document| document.len())
    }
}
