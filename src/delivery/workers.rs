//! Threads that send. They are loops on a blocking pool of their own, so that database reads never wait for one; made
//! as needed, gone after a while without work. The one that became idle last is woken first: its caches are warm.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};

/// A worker without work ends after this.
const IDLE: Duration = Duration::from_secs(20);

/// Below accepting: with a backlog and equal priority, a third of the events would be accepted (see README).
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// What a worker is given to do.
pub type Task = Box<dyn FnOnce() + Send>;

/// The workers that wait, and the pool that makes more.
pub struct Workers {
    pool: Handle,
    idle: Vec<Arc<Slot>>,
    /// Keeps the pool alive; `None` in clones of the handle.
    runtime: Option<Runtime>,
}

/// Where a worker gets its next task.
pub struct Slot {
    state: Mutex<State>,
    given: Condvar,
}

enum State {
    Waiting,
    Given(Task),
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
        Ok(Self { pool: runtime.handle().clone(), idle: Vec::new(), runtime: Some(runtime) })
    }

    /// Gives `work` to an idle worker or to a new one. `work` must see to it that its slot
    /// comes back through [`Workers::returned`].
    pub fn give(&mut self, work: impl FnOnce(Arc<Slot>) + Send + 'static) {
        while let Some(slot) = self.idle.pop() {
            let mut state = slot.state.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*state, State::Waiting) {
                let back = Arc::clone(&slot);
                *state = State::Given(Box::new(move || work(back)));
                drop(state);
                slot.given.notify_one();
                return;
            }
        }
        let slot = Arc::new(Slot { state: Mutex::new(State::Waiting), given: Condvar::new() });
        self.pool.spawn_blocking(move || {
            lower_priority();
            work(Arc::clone(&slot));
            while let Some(task) = slot.next() {
                task();
            }
        });
    }

    /// A worker waits again.
    pub fn returned(&mut self, slot: Arc<Slot>) {
        self.idle.push(slot);
    }

    /// Forgets workers that ended.
    pub fn prune(&mut self) {
        self.idle.retain(|slot| !matches!(*slot.state.lock().unwrap_or_else(PoisonError::into_inner), State::Ended));
    }

    /// Ends the pool without waiting for threads that still send.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        for slot in self.idle.drain(..) {
            *slot.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Ended;
            slot.given.notify_one();
        }
    }
}

impl Slot {
    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *state, State::Waiting) {
                State::Given(task) => return Some(task),
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

#[cfg(target_os = "linux")]
fn lower_priority() {
    // SAFETY: plain numbers; 0 is the calling thread. Where it is refused the thread stays at its priority.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}
