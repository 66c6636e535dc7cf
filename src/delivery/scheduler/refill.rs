//! Threads that read the backlog: due deliveries of a lane, and at start which lanes have any. They are apart from the
//! scheduler, which must not wait for a disk. Lanes that are not failing are read first.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::message::{EngineHandle, Message};
use crate::domain::destination::DeliveryOrder;
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::Store;

/// Number of threads. Each uses one connection of the engine's pool.
const THREADS: usize = 2;

/// Most destinations of one read of first due times.
const FIRST_DUE_BATCH: usize = 500;

/// Time until the file is read again after a failure.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What to read.
pub enum ReadRequest {
    /// Due deliveries of a lane.
    Refill {
        /// The lane.
        lane: DestinationKey,
        /// The order in which its deliveries go.
        order: DeliveryOrder,
        /// Deliveries due until this time.
        now: Timestamp,
        /// Most deliveries to read.
        limit: usize,
        /// Deliveries to skip.
        in_hand: HashSet<DeliveryId>,
    },
    /// When the first pending delivery of each lane is due.
    FirstDue(Vec<DestinationKey>),
}

/// Where read requests are queued.
pub struct Refills {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    requested: Condvar,
}

#[derive(Default)]
struct State {
    high_priority: VecDeque<ReadRequest>,
    other: VecDeque<ReadRequest>,
    ended: bool,
}

impl Refills {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(store: &Store, engine: &EngineHandle) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        for _ in 0..THREADS {
            let (store, engine, queue) = (store.clone(), engine.clone(), Arc::clone(&queue));
            std::thread::Builder::new()
                .name("refill".to_owned())
                .spawn(move || {
                    let _ends = EndsProcess("refill thread");
                    while let Some(request) = queue.next() {
                        panic_point("refill");
                        serve(&store, &engine, &queue, request);
                    }
                })
                .map_err(|error| Error::internal(format!("cannot start a refill thread: {error}")))?;
        }
        Ok(Self { queue })
    }

    /// Queues a read request; `pressing` ones go first.
    pub fn request(&self, request: ReadRequest, high_priority: bool) {
        let mut state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        if high_priority {
            state.high_priority.push_back(request)
        } else {
            state.other.push_back(request)
        }
        drop(state);
        self.queue.requested.notify_one();
    }
}

impl Drop for Refills {
    fn drop(&mut self) {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.queue.requested.notify_all();
    }
}

impl Queue {
    /// Waits for the next read request; `None` once the engine has stopped.
    fn next(&self) -> Option<ReadRequest> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.ended {
                return None;
            }
            if let Some(request) = state.high_priority.pop_front().or_else(|| state.other.pop_front()) {
                return Some(request);
            }
            state = self.requested.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Waits, then puts a failed read request at the end of the queue. One damaged page must not keep all other lanes
/// waiting.
fn put_off(queue: &Queue, request: ReadRequest, error: &Error) {
    tracing::error!(error = error.detail(), "cannot read the backlog");
    std::thread::sleep(RETRY_INTERVAL);
    queue.state.lock().unwrap_or_else(PoisonError::into_inner).other.push_back(request);
    queue.requested.notify_one();
}

fn serve(store: &Store, engine: &EngineHandle, queue: &Queue, request: ReadRequest) {
    match request {
        ReadRequest::Refill { lane, order, now, limit, in_hand } => {
            match store.due_deliveries(lane, order, now, limit, &|delivery| in_hand.contains(&delivery)) {
                Ok(found) => {
                    engine.send(Message::Refilled { lane, found });
                }
                Err(error) => put_off(queue, ReadRequest::Refill { lane, order, now, limit, in_hand }, &error),
            }
        }
        ReadRequest::FirstDue(lanes) => {
            for some in lanes.chunks(FIRST_DUE_BATCH) {
                match store.first_due(some) {
                    Ok(due) => {
                        engine.send(Message::FirstDue(due));
                    }
                    Err(error) => put_off(queue, ReadRequest::FirstDue(some.to_vec()), &error),
                }
            }
        }
    }
}
