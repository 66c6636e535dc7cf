//! The bytes of an event's document, and the memory that they take.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use super::memory::Reservation;

/// A document, as it came. However many deliveries carry it, it is in memory once: clones share it.
#[derive(Clone)]
pub struct Document(Arc<Held>);

struct Held {
    bytes: Box<[u8]>,
    /// Given back with the last clone; none for what is small and of our own making.
    _memory: Option<Reservation>,
}

/// Finds a document for as long as somebody has it.
#[derive(Clone)]
pub struct WeakDocument(Weak<Held>);

impl Document {
    /// A document for which `memory` was reserved.
    pub fn new(bytes: impl Into<Box<[u8]>>, memory: Reservation) -> Self {
        Self(Arc::new(Held { bytes: bytes.into(), _memory: Some(memory) }))
    }

    /// Does not keep it in memory.
    pub fn downgrade(&self) -> WeakDocument {
        WeakDocument(Arc::downgrade(&self.0))
    }
}

impl WeakDocument {
    /// The document, if somebody has it still.
    pub fn upgrade(&self) -> Option<Document> {
        self.0.upgrade().map(Document)
    }

    /// Whether nobody has it any more.
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

/// Of our own making, such as that of a test delivery: it counts for nothing.
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
