//! Hands work to the write thread. Each caller's work is one write request in a transaction that is shared with others,
//! and the caller waits for the commit. How much goes together is decided in `pacing`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::queue::{CommitQueue, QueueError};
use super::transaction::Transaction;
use super::write_request::WriteRequest;
use crate::error::{Error, Result};
use crate::store::error::{full, stopping};
use crate::store::outcome::FinishedAttempt;

/// Maximum bytes of documents in the queue (64 MiB), so that events that wait cannot fill the memory. More are refused
/// with 503, except one longer document that waits alone.
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
        // The caller may be gone; what was asked for is done all the same.
        let _ = self.reply.send(result);
    }

    fn wants_savepoint(&self) -> bool {
        self.guarded
    }
}

/// Hands work to the write thread. Clones share one queue.
#[derive(Clone)]
pub struct Writer {
    queue: CommitQueue,
    /// Bytes of documents in the queue.
    bytes: Arc<AtomicUsize>,
}

impl Writer {
    /// Hands work on through `queue`.
    pub fn new(queue: CommitQueue) -> Self {
        Self { queue, bytes: Arc::default() }
    }

    /// Runs `work` in the next transaction, and answers once that is on disk. `work` must find its errors before it
    /// writes. Work is queued before this function returns, so that the future holds nothing but the answer.
    pub fn submit<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        answered(self.queue(work, false))
    }

    /// Like [`Writer::submit`], for work that may fail after it has written: such work runs in a savepoint.
    pub fn submit_with_savepoint<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        answered(self.queue(work, true))
    }

    /// Like [`Writer::submit`], for work that carries a document of this many bytes.
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

    /// Queues outcomes of attempts. They are written sooner or later, also if the disk is full for a while. Outcomes of
    /// a destination with a backlog have `low_priority` and let others go first.
    pub fn outcomes(&self, finished: impl IntoIterator<Item = FinishedAttempt>, low_priority: bool) {
        self.queue.push_outcomes(finished, low_priority);
    }

    /// Writes what is queued, copies the WAL into the file and ends the thread.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        self.queue.stop(done);
        // A thread that has ended already gives no answer.
        let _ = stopped.await;
    }
}

async fn answered<T>(queued: Result<oneshot::Receiver<Result<T>>>) -> Result<T> {
    queued?.await.map_err(|_| stopping())?
}

/// A document's share of the bytes in the queue. It is given back when its work has run, or is dropped.
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
