//! Documents of events in memory. Each document is there once, however many deliveries carry it, and all of them share
//! one memory budget. Reading documents from the file is done elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::document::{Document, WeakDocument};
use crate::domain::event_type::EventType;
use crate::domain::ids::EventId;
use crate::domain::memory::{MemoryBudget, NoMemory, Reservation};

/// Minimum length of a document that is looked for, in bytes. A second copy of a shorter one costs less than the
/// search.
const MIN_LOOKUP_BYTES: usize = 4 * 1024;

/// Entries of dropped documents are removed when this many entries were added since the last removal.
const PRUNE_AFTER: usize = 1_024;

/// How long a delivery waits for memory for its document.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Time between two tries to get that memory.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

const _: () = assert!(RETRY_INTERVAL.as_millis() < MAX_WAIT.as_millis(), "there is more than one try");

/// Finds documents by event. An entry does not keep its document in memory.
pub struct Documents {
    memory: MemoryBudget,
    known: Mutex<Known>,
}

/// What there is for a delivery that needs a document.
pub enum Lookup {
    /// The document, which is in memory.
    Document(Document),
    /// Memory to read the document into.
    Memory(Reservation),
}

#[derive(Default)]
struct Known {
    by_event: HashMap<EventId, WeakDocument>,
    left: usize,
}

impl Default for Documents {
    fn default() -> Self {
        Self::new(MemoryBudget::default())
    }
}

impl Documents {
    /// No documents yet. All documents together use at most `memory`.
    pub fn new(memory: MemoryBudget) -> Self {
        Self { memory, known: Mutex::default() }
    }

    /// Remembers a document, so that other deliveries of the event find it.
    pub fn keep(&self, event: EventId, document: &Document) {
        if document.len() < MIN_LOOKUP_BYTES {
            return;
        }
        let mut known = self.known();
        if known.by_event.len() > known.left + PRUNE_AFTER {
            known.by_event.retain(|_, document| !document.is_gone());
            known.left = known.by_event.len();
        }
        known.by_event.insert(event, document.downgrade());
    }

    /// The document of `event`, which has this many bytes, if somebody has it in memory.
    pub fn find(&self, event: EventId, bytes: usize) -> Option<Document> {
        if bytes < MIN_LOOKUP_BYTES { None } else { self.known().by_event.get(&event)?.upgrade() }
    }

    /// Makes a document from what was read from the file, if there is memory for it now.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn read(&self, event: EventId, bytes: &[u8], event_type: Option<EventType>) -> Result<Document, NoMemory> {
        let document = Document::new(bytes, event_type, self.memory.reserve(bytes.len())?);
        self.keep(event, &document);
        Ok(document)
    }

    /// The document of `event`, which has this many bytes, if somebody has it in memory or gets it meanwhile. Otherwise
    /// waits for memory to read it into. Blocks the thread.
    ///
    /// # Errors
    /// There was no memory for one second ([`MAX_WAIT`]).
    pub fn wait_for(&self, event: EventId, bytes: usize) -> Result<Lookup, NoMemory> {
        let end = Instant::now() + MAX_WAIT;
        loop {
            if let Some(document) = self.find(event, bytes) {
                return Ok(Lookup::Document(document));
            }
            match self.memory.reserve(bytes) {
                Err(NoMemory) if Instant::now() < end => std::thread::sleep(RETRY_INTERVAL),
                reserved => return reserved.map(Lookup::Memory),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_found_for_as_long_as_somebody_has_it_and_takes_its_memory_once() {
        let documents = Documents::new(MemoryBudget::new(16 << 20, 1 << 20));
        let long = vec![b'x'; 5 << 20];
        let (one, two) =
            (documents.read(EventId(1), &long, None).unwrap(), documents.find(EventId(1), long.len()).unwrap());
        documents.read(EventId(2), &long, None).unwrap();
        let other = documents.read(EventId(3), &long, None).unwrap();
        assert!(
            documents.read(EventId(4), &long, None).is_err() && documents.wait_for(EventId(4), long.len()).is_err()
        );
        assert!(matches!(documents.wait_for(EventId(1), long.len()), Ok(Lookup::Document(_))), "somebody has it");
        drop(one);
        assert!(documents.find(EventId(1), long.len()).is_some());
        drop(two);
        assert!(documents.find(EventId(1), long.len()).is_none());
        assert!(documents.read(EventId(4), &long, None).is_ok());
        drop(other);
    }

    #[test]
    fn documents_that_are_gone_are_forgotten() {
        let documents = Documents::default();
        for event in 0..5 * i64::try_from(PRUNE_AFTER).unwrap() {
            documents.read(EventId(event), &[0; MIN_LOOKUP_BYTES], None).unwrap();
        }
        assert!(documents.known().by_event.len() <= PRUNE_AFTER + 2);
    }
}
