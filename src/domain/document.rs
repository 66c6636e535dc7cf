//! An event's document in memory: its bytes, and the reservation for them.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use super::memory::Reservation;

/// A document as it was received. Clones share the bytes, so a document is in memory once for all of its deliveries.
#[derive(Clone)]
pub struct Document(Arc<Held>);

struct Held {
    bytes: Box<[u8]>,
    /// Released with the last clone. `None` for small documents that the server makes itself.
    _memory: Option<Reservation>,
}

/// Finds a document while others still hold it, and does not keep the document in memory.
#[derive(Clone)]
pub struct WeakDocument(Weak<Held>);

impl Document {
    /// A document with a reservation of `memory`.
    pub fn new(bytes: impl Into<Box<[u8]>>, memory: Reservation) -> Self {
        Self(Arc::new(Held { bytes: bytes.into(), _memory: Some(memory) }))
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

impl Deref for Document {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// A document that the server makes itself, such as that of a test delivery. Such a document needs no reservation.
impl From<&[u8]> for Document {
    fn from(bytes: &[u8]) -> Self {
        Self(Arc::new(Held { bytes: bytes.into(), _memory: None }))
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.len())
    }
}
