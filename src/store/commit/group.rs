//! The callers whose write requests arrive together, and so share one transaction. Pure: time is an argument. How large
//! a group is expected to be is decided in `pacing`.

use std::time::{Duration, Instant};

use super::limits::GROUP_CHUNKS;

/// What a transaction waits for before it is committed, and what it may still take.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommitGroup {
    /// How many write requests the transaction waits for.
    pub target: usize,
    /// Write requests that the transaction has so far.
    pub taken: usize,
    /// How many outcomes the transaction may still take.
    pub outcomes: usize,
    /// How many of these may have low priority.
    pub low_priority: usize,
    /// End of the wait for further write requests; `None` until the first one has arrived or the transaction has begun.
    pub deadline: Option<Instant>,
    /// Longest wait for further write requests after the first one.
    pub timeout: Duration,
    /// Whether the first write request has arrived.
    pub lingers: bool,
}

impl CommitGroup {
    /// A group of `target` write requests. The first one waits for the others for at most `timeout`.
    pub fn of(target: usize, timeout: Duration) -> Self {
        Self {
            target,
            taken: 0,
            outcomes: usize::MAX,
            low_priority: usize::MAX,
            deadline: None,
            timeout,
            lingers: false,
        }
    }

    /// How many more write requests are worth running at once; 0 when the transaction has the whole group.
    pub fn chunk(&self) -> usize {
        self.target.div_ceil(GROUP_CHUNKS).min(self.target.saturating_sub(self.taken))
    }

    /// Notes that `queued` write requests wait. The first one limits the wait for the others.
    pub fn on_arrival(&mut self, queued: usize, now: Instant) {
        if queued > 0 && !self.lingers {
            self.lingers = true;
            let until = now + self.timeout;
            self.deadline = Some(self.deadline.map_or(until, |earlier| earlier.min(until)));
        }
    }

    /// How many queued write requests wake the thread.
    pub fn wanted(&self) -> usize {
        if self.lingers { self.chunk() } else { 1 }
    }
}
