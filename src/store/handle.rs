//! The handle that the rest of the program has of the database. What it does for others stands in `operations`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::OwnedSemaphorePermit;

use super::commit::writer::Writer;
use super::file::held::HeldFile;
use super::file::readers::Readers;
use super::memory::Memory;
use super::memory::write_metrics::WriteMetricsSnapshot;
use crate::error::Result;

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) memory: Arc<Memory>,
    pub(super) thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Held until the last connection is closed.
    pub(super) held: Arc<HeldFile>,
}

impl Store {
    /// A turn for a long read and its answer, which few have at a time. To be held until the answer is made.
    ///
    /// # Errors
    /// Never; it is the semaphore's that is never closed.
    pub async fn answer_permit(&self) -> Result<OwnedSemaphorePermit> {
        self.readers.answer_permit().await
    }

    /// Runs `work` that belongs to a long read, such as the making of its answer, on a thread that may block: in its turn,
    /// so that whoever sends events goes first.
    ///
    /// # Errors
    /// Internal where it panicked.
    pub async fn run_yielding<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.readers.run_yielding(work).await
    }

    /// The one true path of the file; its companions lie beside it.
    pub fn path(&self) -> &Path {
        self.held.path()
    }

    /// Looks whether the file is still where it was, and is still what this process has written; from then on, or until it
    /// is there again, all is refused. A log that another program has begun gets a mark. To be called now and then.
    pub async fn check_file(&self) {
        let held = Arc::clone(&self.held);
        let look = tokio::task::spawn_blocking(move || {
            // What is wrong is in the log, and in each answer.
            let _ = held.watch_content();
            held.wants_mark()
        });
        match look.await {
            // It goes before whatever is written next.
            Ok(true) => drop(self.writer.submit(|_| Ok(())).await),
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
    pub fn write_metrics(&self) -> WriteMetricsSnapshot {
        self.memory.metrics.read()
    }

    /// Notes how far the wall clock is before the engine's, in milliseconds: due times are kept on the engine's clock
    /// and shown on the wall's.
    pub fn set_clock_skew(&self, millis: i64) {
        self.memory.set_skew(millis);
    }

    /// Ends all waits for first attempts, since no attempt begins any more, and all that follow deliveries.
    pub fn end_waits(&self) {
        self.memory.first_attempts.end();
        self.memory.followers.end();
    }
}
