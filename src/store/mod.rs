//! All of SQL: one write thread with group commit, a pool of read-only connections, and the business steps that run on
//! them. Every function that changes something gives its answer after the commit's fsync.

mod accounts;
mod afresh;
mod attempts;
mod batch;
mod beside;
mod change;
mod checkpointer;
mod claims;
mod deliveries;
mod destinations;
mod documents;
mod events;
mod file;
#[cfg(test)]
mod fixture;
mod follow;
mod inbox;
mod late;
mod log;
mod mark;
mod outcomes;
mod probe;
mod read_gate;
mod read_throttle;
mod readers;
mod replay;
mod rows;
mod shared;
mod space;
mod stats;
mod tally;
mod targets;
mod tokens;
mod upkeep;
mod waits;
mod write_thread;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::ErrorCode;

pub use change::{Change, NewEvent, Observer};
pub use claims::{Claim, Claimed, NO_MEMORY};
pub use deliveries::DeliveryFilter;
pub use events::{Accepted, MadeDeliveries};
pub use file::SCHEMA;
pub use file::companions::{companion, write_whole};
pub use file::start::end as end_start;
pub use follow::{Follow, FollowFilter, Followed};
pub use outcomes::FinishedAttempt;
pub use replay::ReplayFilter;
pub use shared::WriteFigures;
pub use upkeep::{Removal, Retention, Space, Tallies};

use tokio::sync::OwnedSemaphorePermit;

use crate::domain::memory::MemoryBudget;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};

/// Code of a failure after which the connection is opened anew.
const IO_FAILURE: &str = "storage_unavailable";

/// Code of a failure to get the file's lock: another program holds it.
const LOCKED: &str = "storage_locked";

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

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store {
    writer: writer::Writer,
    readers: readers::Readers,
    shared: Arc<shared::Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Held until the last connection is closed.
    held: Arc<file::HeldFile>,
}

impl Store {
    /// Opens the file, makes or migrates its schema and starts the write thread. `observer` is told of every commit's
    /// changes on that thread.
    ///
    /// # Errors
    /// One line that says why the file cannot be used: held by another server, foreign, damaged, not writable.
    pub fn open(options: &StoreOptions, observer: Observer) -> Result<Self> {
        let held = Arc::new(file::hold(&options.path)?);
        let (connection, marker) = file::open(&held, options.now)?;
        log::watch(&connection);
        outcomes::mend_due_times(&connection, options.now)?;
        let shared = Arc::new(shared::Shared::new(options.memory.clone()));
        shared.tokens.replace(accounts::tokens(&connection)?);
        let readers = readers::Readers::new(&held, &shared);
        let opened = write_thread::Opened { held: Arc::clone(&held), connection, marker };
        let (writer, thread) = writer::Writer::start(opened, Arc::clone(&shared), observer)?;
        Ok(Self { writer, readers, shared, thread: Arc::new(Mutex::new(Some(thread))), held })
    }

    /// A turn for a long read and its answer, which few have at a time. To be held until the answer is made.
    ///
    /// # Errors
    /// Never; it is the semaphore's that is never closed.
    pub async fn answer_turn(&self) -> Result<OwnedSemaphorePermit> {
        self.readers.answer_turn().await
    }

    /// Runs `work` that belongs to a long read, such as the making of its answer, on a thread that may block: in its turn,
    /// so that whoever sends events goes first.
    ///
    /// # Errors
    /// Internal where it panicked.
    pub async fn beside_senders<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.readers.aside(work).await
    }

    /// The one true path of the file; its companions lie beside it.
    pub fn path(&self) -> &Path {
        self.held.path()
    }

    /// Looks whether the file is still where it was, and is still what this process has written; from then on, or until it
    /// is there again, all is refused. A log that another program has begun gets a mark. To be called now and then.
    pub async fn look_at_file(&self) {
        let held = Arc::clone(&self.held);
        let look = tokio::task::spawn_blocking(move || {
            // What is wrong is in the log, and in each answer.
            let _ = held.watch_content();
            held.wants_mark()
        });
        match look.await {
            // It goes before whatever is written next.
            Ok(true) => drop(self.writer.step(|_| Ok(())).await),
            Ok(false) => {}
            // Not waited for any longer, or it panicked.
            Err(error) => {
                if error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }

    /// Figures of the write thread.
    pub fn figures(&self) -> WriteFigures {
        self.shared.metrics.read()
    }

    /// Notes how far the wall clock is before the engine's, in milliseconds: due times are kept on the engine's clock
    /// and shown on the wall's.
    pub fn set_clock_skew(&self, millis: i64) {
        self.shared.set_skew(millis);
    }

    /// Ends all waits for first attempts, since no attempt begins any more, and all that follow deliveries.
    pub fn end_waits(&self) {
        self.shared.waits.end();
        self.shared.followers.end();
    }

    /// Writes what is queued and closes the file. Steps that come later are refused.
    pub async fn close(&self) {
        if let Err(error) = self.settle_all_recent().await {
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

/// What a failure of SQLite means to a caller.
fn sql(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::unavailable(space::STORAGE_FULL, "The disk is full; send it again when there is room.")
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => Error::unavailable(IO_FAILURE, format!("The database cannot be written now: {error}.")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::unavailable(LOCKED, "Another program has locked the database; send it again later.")
        }
        _ => Error::new(Kind::Internal, "database_error", error.to_string()),
    }
}
