//! Those who come together, and so are served by one transaction.

use std::time::{Duration, Instant};

/// A crowd's steps run in so many parts, as they come: what waits for the whole of it lets one processor idle.
pub const PARTS: usize = 4;

/// What a transaction that has begun waits for before it is committed.
#[derive(Clone, Copy)]
pub struct Crowd {
    /// So many steps.
    pub enough: usize,
    /// Steps taken so far.
    pub taken: usize,
    /// Outcomes that it may still take.
    pub outcomes: usize,
    /// And of those, outcomes of destinations that are behind.
    pub behind: usize,
    /// Steps are waited for no longer than this, once one has come or the transaction has begun.
    pub until: Option<Instant>,
    /// And no longer than this after the first of them.
    pub patience: Duration,
    /// Whether there was a first.
    pub lingers: bool,
}

impl Crowd {
    /// `enough` steps, the first of which waits for the others for at most `patience`.
    pub fn of(enough: usize, patience: Duration) -> Self {
        Self { enough, taken: 0, outcomes: usize::MAX, behind: usize::MAX, until: None, patience, lingers: false }
    }

    /// So many more steps are worth running.
    pub fn part(&self) -> usize {
        self.enough.div_ceil(PARTS).min(self.enough.saturating_sub(self.taken))
    }

    /// Sees that some wait.
    pub fn see(&mut self, queued: usize, now: Instant) {
        if queued > 0 && !self.lingers {
            self.lingers = true;
            let until = now + self.patience;
            self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
        }
    }

    /// So many queued steps wake the thread.
    pub fn wanted(&self) -> usize {
        if self.lingers { self.part() } else { 1 }
    }
}
