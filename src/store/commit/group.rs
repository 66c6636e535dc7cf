//! Those who come together, and so are served by one transaction.

use std::time::{Duration, Instant};

use super::limits::GROUP_CHUNKS;

/// What a transaction that has begun waits for before it is committed.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommitGroup {
    /// So many steps.
    pub target: usize,
    /// Steps taken so far.
    pub taken: usize,
    /// Outcomes that it may still take.
    pub outcomes: usize,
    /// And of those, outcomes of destinations that are behind.
    pub low_priority: usize,
    /// Steps are waited for no longer than this, once one has come or the transaction has begun.
    pub deadline: Option<Instant>,
    /// And no longer than this after the first of them.
    pub timeout: Duration,
    /// Whether there was a first.
    pub lingers: bool,
}

impl CommitGroup {
    /// `enough` steps, the first of which waits for the others for at most `patience`.
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

    /// So many more steps are worth running.
    pub fn chunk(&self) -> usize {
        self.target.div_ceil(GROUP_CHUNKS).min(self.target.saturating_sub(self.taken))
    }

    /// Sees that some wait.
    pub fn on_arrival(&mut self, queued: usize, now: Instant) {
        if queued > 0 && !self.lingers {
            self.lingers = true;
            let until = now + self.timeout;
            self.deadline = Some(self.deadline.map_or(until, |earlier| earlier.min(until)));
        }
    }

    /// So many queued steps wake the thread.
    pub fn wanted(&self) -> usize {
        if self.lingers { self.chunk() } else { 1 }
    }
}
