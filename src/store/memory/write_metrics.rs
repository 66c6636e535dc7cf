//! Metrics of the write thread. Their text form for `/metrics` is made in `app/metrics.rs`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Counters of the write thread.
#[derive(Default)]
pub struct WriteMetrics {
    pending: AtomicI64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    steps: AtomicU64,
    commit_micros: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy)]
pub struct WriteMetricsSnapshot {
    /// Deliveries that are pending.
    pub pending: i64,
    /// Commits that reached the disk.
    pub commits: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Write requests and outcomes in commits that reached the disk.
    pub steps: u64,
    /// Time spent in transactions, also in failed ones, without the time that they waited for their group.
    pub commit_time: Duration,
}

impl WriteMetrics {
    /// Counts one transaction with `steps` write requests and outcomes.
    pub fn commit(&self, took: Duration, steps: usize, committed: bool) {
        if committed {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.steps.fetch_add(steps as u64, Ordering::Relaxed);
        } else {
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
        }
        self.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Adds `by` to the number of pending deliveries.
    pub fn pending(&self, by: i64) {
        self.pending.fetch_add(by, Ordering::Relaxed);
    }

    /// Sets the number of pending deliveries, after they were counted in the file.
    pub fn set_pending(&self, count: i64) {
        self.pending.store(count, Ordering::Relaxed);
    }

    /// Reads all counters.
    pub fn read(&self) -> WriteMetricsSnapshot {
        WriteMetricsSnapshot {
            pending: self.pending.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            failed_commits: self.failed_commits.load(Ordering::Relaxed),
            steps: self.steps.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Ordering::Relaxed)),
        }
    }
}
