//! What the store keeps in memory beside the file, moved only after a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::documents::Documents;
use super::follow::Followers;
use super::late::Late;
use super::probe::Proof;
use super::read_gate::ReadGate;
use super::read_throttle::ReadThrottle;
use super::tokens::Tokens;
use super::waits::Waits;
use crate::domain::memory::MemoryBudget;
use crate::domain::time::Timestamp;

/// Shared by the write thread and the handles of [`super::Store`].
#[derive(Default)]
pub struct Shared {
    /// Who a token belongs to.
    pub tokens: Tokens,
    /// Who waits for first attempts.
    pub waits: Waits,
    /// Who follows deliveries as they change.
    pub followers: Followers,
    /// What retention has to come back for.
    pub late: Late,
    /// Documents that deliveries carry.
    pub documents: Documents,
    /// Keeps reads back where the log grows too long.
    pub read_gate: ReadGate,
    /// Lets senders go before long reads.
    pub read_throttle: Arc<ReadThrottle>,
    /// Figures of the write thread.
    pub metrics: WriteMetrics,
    /// Whether the disk was seen to take writes.
    pub proof: Proof,
    /// Wall clock minus the engine's clock, in milliseconds; moves when somebody sets the clock.
    skew: AtomicI64,
}

impl Shared {
    /// Nothing known yet; documents are to take no more than `memory`.
    pub fn new(memory: MemoryBudget) -> Self {
        Self { documents: Documents::new(memory), ..Self::default() }
    }

    /// A time of the engine's clock as the wall clock has it.
    pub fn on_wall(&self, engine: Timestamp) -> Timestamp {
        Timestamp::from_millis(engine.millis().saturating_add(self.skew.load(Ordering::Relaxed)))
    }

    /// Notes how far the wall clock is before the engine's.
    pub fn set_skew(&self, millis: i64) {
        self.skew.store(millis, Ordering::Relaxed);
    }
}

/// Figures of the write thread, for `/metrics`.
#[derive(Default)]
pub struct WriteMetrics {
    pending: AtomicI64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    steps: AtomicU64,
    commit_micros: AtomicU64,
}

/// A reading of the write thread's figures.
#[derive(Debug, Clone, Copy)]
pub struct WriteFigures {
    /// Deliveries that are pending.
    pub pending: i64,
    /// Commits that reached the disk.
    pub commits: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Steps and outcomes in those that succeeded.
    pub steps: u64,
    /// Time spent in transactions.
    pub commit_time: Duration,
}

impl WriteMetrics {
    /// Counts a transaction.
    pub fn commit(&self, took: Duration, steps: usize, committed: bool) {
        if committed {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.steps.fetch_add(steps as u64, Ordering::Relaxed);
        } else {
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
        }
        self.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Moves the number of pending deliveries.
    pub fn pending(&self, by: i64) {
        self.pending.fetch_add(by, Ordering::Relaxed);
    }

    /// The number of pending deliveries was counted.
    pub fn set_pending(&self, count: i64) {
        self.pending.store(count, Ordering::Relaxed);
    }

    /// All figures.
    pub fn read(&self) -> WriteFigures {
        WriteFigures {
            pending: self.pending.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            failed_commits: self.failed_commits.load(Ordering::Relaxed),
            steps: self.steps.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Ordering::Relaxed)),
        }
    }
}
