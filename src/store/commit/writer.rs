//! Hands work to the write thread: each caller's as one step of a transaction that it shares with others, and whose
//! commit it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::queue::{CommitQueue, QueueError};
use super::transaction::Transaction;
use super::write_request::WriteRequest;
use crate::error::{Error, Result};
use crate::store::error::{full, stopping};
use crate::store::outcome::FinishedAttempt;

/// Bytes of documents that may wait; further ones are refused with 503.
const QUEUED_BYTES: usize = 64 * 1024 * 1024;

struct Call<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    guarded: bool,
}

impl<T: Send, F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send> WriteRequest for Call<T, F> {
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<()> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let result = work(tx);
        let error = result.as_ref().err().cloned();
        self.result = Some(result);
        error.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, failure: Option<&Error>) {
        let result = match (self.result, failure) {
            (Some(Ok(_)) | None, Some(error)) => Err(error.clone()),
            (Some(result), _) => result,
            (None, None) => Err(Error::internal("a write step did not run")),
        };
        // The caller may have gone away; what it asked for holds all the same.
        let _ = self.reply.send(result);
    }

    fn wants_savepoint(&self) -> bool {
        self.guarded
    }
}

/// Hands work to the write thread.
#[derive(Clone)]
pub struct Writer {
    queue: CommitQueue,
    /// Bytes of documents that wait.
    bytes: Arc<AtomicUsize>,
}

impl Writer {
    /// Hands it on through `inbox`.
    pub fn new(queue: CommitQueue) -> Self {
        Self { queue, bytes: Arc::default() }
    }

    /// Runs `work` in the next transaction and answers once that is on disk. `work` must find its faults before it
    /// writes. It is queued at once, so that the future holds nothing but the answer.
    pub fn submit<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        answered(self.queue(work, false))
    }

    /// Like [`Writer::step`], for work that may fail halfway: it runs in a savepoint.
    pub fn submit_with_savepoint<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        answered(self.queue(work, true))
    }

    /// Like [`Writer::step`], for work that carries a document of `bytes`.
    pub fn submit_payload<T, F>(&self, bytes: usize, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let queued = PayloadPermit::new(&self.bytes, bytes);
        answered(if queued.total > QUEUED_BYTES.max(bytes) {
            Err(full())
        } else {
            self.queue(
                move |tx| {
                    let _queued = queued;
                    work(tx)
                },
                false,
            )
        })
    }

    fn queue<T, F>(&self, work: F, guarded: bool) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call { work: Some(work), result: None, reply, guarded };
        self.queue.push(Box::new(call)).map_err(|refused| match refused {
            QueueError::Full => full(),
            QueueError::Closed => stopping(),
        })?;
        Ok(answer)
    }

    /// Queues the outcomes of attempts; they are written sooner or later, also when the disk is full for a while. Those of a
    /// destination that is `behind` let others go first.
    pub fn outcomes(&self, finished: impl IntoIterator<Item = FinishedAttempt>, low_priority: bool) {
        self.queue.push_outcomes(finished, low_priority);
    }

    /// Writes what is queued, empties the write-ahead log into the file and ends the thread.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        self.queue.stop(done);
        // A thread that has ended already says nothing.
        let _ = stopped.await;
    }
}

async fn answered<T>(queued: Result<oneshot::Receiver<Result<T>>>) -> Result<T> {
    queued?.await.map_err(|_| stopping())?
}

/// A document's share of what waits, for as long as it does.
struct PayloadPermit {
    bytes: usize,
    total: usize,
    of: Arc<AtomicUsize>,
}

impl PayloadPermit {
    fn new(of: &Arc<AtomicUsize>, bytes: usize) -> Self {
        Self { bytes, total: of.fetch_add(bytes, Ordering::Relaxed) + bytes, of: Arc::clone(of) }
    }
}

impl Drop for PayloadPermit {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
