//! The worker threads, in a pool of their own, so that database reads never wait for a worker. Threads are made as
//! needed and end after a time without work. The worker that became idle last is woken first, because its caches are
//! warm.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::process::critical::{EndsProcess, panic_point};
use crate::process::priority::{self, Rank};

/// A worker ends after this time without work.
const IDLE: Duration = Duration::from_secs(20);

/// Work for a worker, called with the worker's slot. The work has to give the slot back.
type Work = Box<dyn FnOnce(Arc<Slot>) + Send>;

/// Work that was queued for a new thread and has not begun.
type Starting = Arc<Mutex<VecDeque<Work>>>;

/// The idle workers, and the pool that makes new ones.
pub struct Workers {
    idle: Vec<Arc<Slot>>,
    /// The operating system may refuse a thread. Then the next idle worker takes the work from here.
    starting: Starting,
    /// The pool; `None` once it was stopped.
    runtime: Option<Runtime>,
}

/// Where a worker waits, and through which it gets its next work.
pub struct Slot {
    state: Mutex<State>,
    given: Condvar,
}

enum State {
    Waiting,
    Given(Work),
    Ended,
}

impl Workers {
    /// A pool of at most `most` threads.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn new(most: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(most)
            .thread_name("delivery")
            .thread_keep_alive(Duration::from_millis(100))
            .build()?;
        Ok(Self { idle: Vec::new(), starting: Starting::default(), runtime: Some(runtime) })
    }

    /// Gives `work` to an idle worker or to a new one. `work` must return its slot through [`Workers::returned`].
    pub fn give(&mut self, work: impl FnOnce(Arc<Slot>) + Send + 'static) {
        let mut work: Work = Box::new(work);
        while let Some(slot) = self.idle.pop() {
            match slot.give(work) {
                Ok(()) => return,
                Err(back) => work = back,
            }
        }
        locked(&self.starting).push_back(work);
        self.start_one();
    }

    fn start_one(&self) {
        let Some(runtime) = &self.runtime else { return };
        let starting = Arc::clone(&self.starting);
        let start = || {
            runtime.spawn_blocking(move || {
                // After a panic the slot and the work would be lost, so the process ends.
                let _ends = EndsProcess("delivery worker");
                priority::lower(Rank::Sending);
                let slot = Arc::new(Slot { state: Mutex::new(State::Waiting), given: Condvar::new() });
                let Some(first) = locked(&starting).pop_front() else { return };
                first(Arc::clone(&slot));
                while let Some(work) = slot.next() {
                    panic_point("worker");
                    work(Arc::clone(&slot));
                }
            })
        };
        // tokio panics if the operating system refuses the first thread of the pool.
        if catch_unwind(AssertUnwindSafe(start)).is_err() {
            tracing::error!("no thread to be had for an attempt; it waits for one");
        }
    }

    /// A worker is idle again: gives it work that waits for a thread, or keeps it.
    pub fn returned(&mut self, slot: Arc<Slot>) {
        let waiting = locked(&self.starting).pop_front();
        match waiting.map(|work| slot.give(work)) {
            Some(Ok(())) => {}
            Some(Err(work)) => locked(&self.starting).push_front(work),
            None => self.idle.push(slot),
        }
    }

    /// Forgets workers that have ended. Asks for a thread again if work waits for one.
    pub fn prune(&mut self) {
        if !locked(&self.starting).is_empty() {
            self.start_one();
        }
        self.idle.retain(|slot| !matches!(*locked(&slot.state), State::Ended));
    }

    /// Stops the pool and does not wait for threads that are still sending.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        for slot in self.idle.drain(..) {
            *locked(&slot.state) = State::Ended;
            slot.given.notify_one();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// A slot without a thread, for tests.
    #[cfg(test)]
    pub fn waiting() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Waiting), given: Condvar::new() })
    }

    /// Gives work to an idle worker.
    ///
    /// # Errors
    /// The worker has ended: the work comes back.
    fn give(&self, work: Work) -> Result<(), Work> {
        let mut state = locked(&self.state);
        if !matches!(*state, State::Waiting) {
            return Err(work);
        }
        *state = State::Given(work);
        drop(state);
        self.given.notify_one();
        Ok(())
    }

    fn next(&self) -> Option<Work> {
        let mut state = locked(&self.state);
        loop {
            match std::mem::replace(&mut *state, State::Waiting) {
                State::Given(work) => return Some(work),
                State::Ended => return None,
                State::Waiting => {}
            }
            let (next, waited) = self.given.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() && matches!(*state, State::Waiting) {
                *state = State::Ended;
                return None;
            }
        }
    }
}
