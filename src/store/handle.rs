//! The handle by which the rest of the program uses the database. Business steps are in `operations`, not here.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::OwnedSemaphorePermit;

use super::commit::writer::Writer;
use super::file::held::HeldFile;
use super::file::readers::Readers;
use super::memory::Memory;
use super::memory::write_metrics::WriteMetricsSnapshot;
use crate::domain::access::Scope;
use crate::domain::ports::FindTokens;
use crate::domain::sealing::key::SecretsKeys;
use crate::error::Result;

/// The database. Clones share one write thread and the same connections.
#[derive(Clone)]
pub struct Store {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) memory: Arc<Memory>,
    pub(super) thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// The locked file. Every clone keeps it, since the lock must outlive the last connection.
    pub(super) held: Arc<HeldFile>,
}

/// The database as far as a caller reaches it. Whatever is read or changed for a caller by an id, or listed, is a
/// function of this type and not of [`Store`], so no handler can leave out the scope. What lies outside of the scope
/// does not exist here: the error is the same as for an id that nothing has.
#[derive(Clone)]
pub struct ScopedStore {
    store: Store,
    pub(super) scope: Scope,
}

// What needs no scope is reached through it too.
impl Deref for ScopedStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl ScopedStore {
    /// What is reached.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Store {
    /// The database for a caller that reaches `scope`.
    pub fn within(&self, scope: &Scope) -> ScopedStore {
        ScopedStore { store: self.clone(), scope: scope.clone() }
    }

    /// The table of tokens with a role.
    pub fn tokens_with_roles(&self) -> Arc<dyn FindTokens> {
        Arc::clone(&self.memory.access_tokens) as Arc<dyn FindTokens>
    }

    /// Waits for the right to make one long answer. Few callers have that right at a time, since no budget counts what
    /// they hold. The caller keeps the permit until the answer is made.
    ///
    /// # Errors
    /// Internal if the semaphore were closed, which never happens.
    pub async fn answer_permit(&self) -> Result<OwnedSemaphorePermit> {
        self.readers.answer_permit().await
    }

    /// Runs `work` that belongs to a long read, such as making its answer, on a thread that may block. While events
    /// come in, one such work runs at a time, so that senders of events go first.
    ///
    /// # Errors
    /// Internal if `work` panicked.
    pub async fn run_yielding<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.readers.run_yielding(work).await
    }

    /// Runs `work` that reads nothing but may be slow, such as templates, on a thread that may block. It takes no
    /// connection from reads; like a long read it lets senders of events go first. Long work is given in small pieces, so
    /// that others have their turns between them.
    ///
    /// # Errors
    /// Internal if `work` panicked.
    pub async fn run_apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.readers.run_apart(work).await
    }

    /// The keys that seal secrets in the file.
    pub fn secrets_keys(&self) -> &SecretsKeys {
        self.held.keys()
    }

    /// The canonical path of the file. Companion files lie beside that path.
    pub fn path(&self) -> &Path {
        self.held.path()
    }

    /// Whether the file was created when the store was opened.
    pub fn is_new(&self) -> bool {
        self.held.is_made()
    }

    /// Removes the file if it was created when the store was opened. The store must be closed, and no other clone be
    /// used.
    pub fn remove_if_new(&self) {
        self.held.remove_made();
    }

    /// Checks that the file is still at its path and still holds what this process wrote. If not, every read and write
    /// is refused: until the file is back, or for good if its content was replaced. A WAL that another program has
    /// started gets a mark. The caller repeats this check at intervals.
    pub async fn check_file(&self) {
        let held = Arc::clone(&self.held);
        let look = tokio::task::spawn_blocking(move || {
            // The problem is in a log line, and every later answer reports it.
            let _ = held.watch_content();
            held.wants_mark()
        });
        match look.await {
            // An empty write request: the write thread commits a mark before it.
            Ok(true) => drop(self.writer.submit(|_| Ok(())).await),
            Ok(false) => {}
            // The task was cancelled, or it panicked.
            Err(error) => {
                if error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }

    /// Metrics of the write thread.
    pub fn write_metrics(&self) -> WriteMetricsSnapshot {
        self.memory.metrics.read()
    }

    /// Sets how far the wall clock is ahead of the engine clock, in milliseconds. Due times are kept on the engine
    /// clock and shown on the wall clock.
    pub fn set_clock_skew(&self, millis: i64) {
        self.memory.set_skew(millis);
    }

    /// Ends all waits for first attempts and all subscriptions to deliveries. The server stops, and no attempt begins
    /// any more.
    pub fn end_waits(&self) {
        self.memory.first_attempts.end();
        self.memory.subscribers.end();
        self.memory.count_subscribers.end();
    }
}
