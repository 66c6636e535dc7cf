//! Threads that send. They are loops on a blocking pool of their own, so that database reads never wait for one; made
//! as needed, gone after a while without work. The one that became idle last is woken first: its caches are warm.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::process::critical::{EndsProcess, panic_point};
use crate::process::priority::{self, Rank};

/// A worker without work ends after this.
const IDLE: Duration = Duration::from_secs(20);

/// What a worker is given to do; it gets its own slot, to hand back.
type Work = Box<dyn FnOnce(Arc<Slot>) + Send>;

/// Work for which a thread was asked that has not begun.
type Starting = Arc<Mutex<VecDeque<Work>>>;

/// The workers that wait, and the pool that makes more.
pub struct Workers {
    idle: Vec<Arc<Slot>>,
    /// The operating system may refuse a thread; then the next worker that is free takes the work.
    starting: Starting,
    /// The pool; `None` once it was ended.
    runtime: Option<Runtime>,
}

/// Where a worker gets its next task.
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
    /// Room for `most` threads.
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

    /// Gives `work` to an idle worker or to a new one. `work` must see to it that its slot
    /// comes back through [`Workers::returned`].
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
                // Whatever it was given would never come back.
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
        // tokio panics where the operating system gives it no first thread.
        if catch_unwind(AssertUnwindSafe(start)).is_err() {
            tracing::error!("no thread to be had for an attempt; it waits for one");
        }
    }

    /// A worker waits again.
    pub fn returned(&mut self, slot: Arc<Slot>) {
        let waiting = locked(&self.starting).pop_front();
        match waiting.map(|work| slot.give(work)) {
            Some(Ok(())) => {}
            Some(Err(work)) => locked(&self.starting).push_front(work),
            None => self.idle.push(slot),
        }
    }

    /// Forgets workers that ended, and asks again for a thread where work waits for one.
    pub fn prune(&mut self) {
        if !locked(&self.starting).is_empty() {
            self.start_one();
        }
        self.idle.retain(|slot| !matches!(*locked(&slot.state), State::Ended));
    }

    /// Ends the pool without waiting for threads that still send.
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
    /// Gives work to a worker that waits; back where it has ended.
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
