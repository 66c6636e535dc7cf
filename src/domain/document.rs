//! An event's document in memory: its bytes, the type of the event, and the reservation for the memory.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use super::event_type::EventType;
use super::memory::Reservation;

/// A document as it was received. Clones share the bytes, so a document is in memory once for all of its deliveries.
#[derive(Clone)]
pub struct Document(Arc<Held>);

struct Held {
    bytes: Box<[u8]>,
    event_type: Option<EventType>,
    /// Released with the last clone. `None` for small documents that the server makes itself.
    _memory: Option<Reservation>,
}

/// Finds a document while others still hold it, and does not keep the document in memory.
#[derive(Clone)]
pub struct WeakDocument(Weak<Held>);

impl Document {
    /// The document of an event with this type, with a reservation of `memory`.
    pub fn new(bytes: impl Into<Box<[u8]>>, event_type: Option<EventType>, memory: Reservation) -> Self {
        Self(Arc::new(Held { bytes: bytes.into(), event_type, _memory: Some(memory) }))
    }

    /// A document that the server makes itself, such as that of a test delivery. Such a document needs no reservation.
    pub fn made(bytes: &[u8], event_type: Option<EventType>) -> Self {
        Self(Arc::new(Held { bytes: bytes.into(), event_type, _memory: None }))
    }

    /// The type of the event.
    pub fn event_type(&self) -> Option<&EventType> {
        self.0.event_type.as_ref()
    }

    /// A weak reference, which does not keep the document in memory.
    pub fn downgrade(&self) -> WeakDocument {
        WeakDocument(Arc::downgrade(&self.0))
    }
}

impl WeakDocument {
    /// The document, if it is still in memory.
    pub fn upgrade(&self) -> Option<Document> {
        self.0.upgrade().map(Document)
    }

    /// Whether the document is not in memory any more.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl AsRef<[u8]> for Document {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Document {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// See [`Document::made`].
impl From<&[u8]> for Document {
    fn from(bytes: &[u8]) -> Self {
        Self::made(bytes, None)
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.len())
    }
}
