//! Opens and closes the database. Only this file knows all parts of the store; rules and SQL do not belong here.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::change::Observer;
use super::commit::queue;
use super::commit::writer::Writer;
use super::file::checkpoints::Checkpoints;
use super::file::readers::Readers;
use super::file::{opening, wal};
use super::handle::Store;
use super::memory::Memory;
use super::operations::{access_tokens, accounts, outcomes};
use super::write_thread;
use crate::domain::memory::MemoryBudget;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// What [`Store::open`] needs.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Path of the database file.
    pub path: PathBuf,
    /// Who copies the WAL into the file.
    pub checkpoints: Checkpoints,
    /// The engine clock at start. A due time further ahead than any schedule allows comes from a clock that was wrong,
    /// and is reset.
    pub now: Timestamp,
    /// Budget for the documents of events that are in memory.
    pub memory: MemoryBudget,
}

impl Store {
    /// Opens the file, creates or migrates its schema, and starts the write thread. That thread calls `observer` with
    /// the changes of every commit.
    ///
    /// # Errors
    /// Says in one line why the file cannot be used: another server holds the file, or it is foreign, damaged or not
    /// writable.
    pub fn open(options: &StoreOptions, observer: Observer) -> Result<Self> {
        let held = Arc::new(opening::hold_with(&options.path, options.checkpoints)?);
        let (connection, marker) = opening::open(&held, options.now)?;
        wal::install_hook(&connection);
        outcomes::reset_future_times(&connection, options.now)?;
        let memory = Arc::new(Memory::new(options.memory.clone()));
        memory.tokens.replace(accounts::tokens(&connection)?);
        memory.access_tokens.replace(access_tokens::all(&connection)?);
        let readers = Readers::new(&held, &memory.read_gate, &memory.read_throttle);
        let opened = write_thread::Opened { held: Arc::clone(&held), connection, marker };
        let (queue, receiver) = queue::queue();
        let thread = write_thread::start(opened, Arc::clone(&memory), observer, receiver)?;
        let writer = Writer::new(queue);
        Ok(Self { writer, readers, memory, thread: Arc::new(Mutex::new(Some(thread))), held })
    }

    /// Writes what is queued and closes the file. Later write requests are refused.
    pub async fn close(&self) {
        if let Err(error) = self.fold_all_recent().await {
            tracing::warn!(error = error.detail(), "recent counts are added to the tallies after the next start");
        }
        if let Err(error) = self.write_token_uses().await {
            tracing::warn!(
                error = error.detail(),
                "when tokens were used last is known less exactly after the next start"
            );
        }
        let readers = self.readers.clone();
        // A read that does not end in time is already in a log line.
        let _ = tokio::task::spawn_blocking(move || readers.close()).await;
        self.writer.stop().await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread has answered the stop and ends at once.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
