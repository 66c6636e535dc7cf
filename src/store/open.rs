//! Opens and closes the database: the one place that knows all of its parts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::change::Observer;
use super::commit::queue;
use super::commit::writer::Writer;
use super::file::readers::Readers;
use super::file::{opening, wal};
use super::handle::Store;
use super::memory::Memory;
use super::operations::{accounts, outcomes};
use super::write_thread;
use crate::domain::memory::MemoryBudget;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// What the store is told at start.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The database file.
    pub path: PathBuf,
    /// The clock's time at start: due times beyond what it allows are of a clock that was wrong.
    pub now: Timestamp,
    /// For documents that deliveries carry.
    pub memory: MemoryBudget,
}

impl Store {
    /// Opens the file, makes or migrates its schema and starts the write thread. `observer` is told of every commit's
    /// changes on that thread.
    ///
    /// # Errors
    /// One line that says why the file cannot be used: held by another server, foreign, damaged, not writable.
    pub fn open(options: &StoreOptions, observer: Observer) -> Result<Self> {
        let held = Arc::new(opening::hold(&options.path)?);
        let (connection, marker) = opening::open(&held, options.now)?;
        wal::install_hook(&connection);
        outcomes::reset_future_times(&connection, options.now)?;
        let memory = Arc::new(Memory::new(options.memory.clone()));
        memory.tokens.replace(accounts::tokens(&connection)?);
        let readers = Readers::new(&held, &memory.read_gate, &memory.read_throttle);
        let opened = write_thread::Opened { held: Arc::clone(&held), connection, marker };
        let (queue, receiver) = queue::queue();
        let thread = write_thread::start(opened, Arc::clone(&memory), observer, receiver)?;
        let writer = Writer::new(queue);
        Ok(Self { writer, readers, memory, thread: Arc::new(Mutex::new(Some(thread))), held })
    }

    /// Writes what is queued and closes the file. Steps that come later are refused.
    pub async fn close(&self) {
        if let Err(error) = self.fold_all_recent().await {
            tracing::warn!(error = error.detail(), "recent counts are added to the tallies after the next start");
        }
        let readers = self.readers.clone();
        // What goes wrong there is in the log.
        let _ = tokio::task::spawn_blocking(move || readers.close()).await;
        self.writer.stop().await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread has said that it is done.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
