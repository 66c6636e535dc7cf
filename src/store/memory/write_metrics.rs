//! Metrics of the write thread. Their text form for `/metrics` is made in `app/metrics`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::histogram::{Histogram, HistogramSnapshot, SERVER_MICROS, WRITES};
use crate::error::{Error, Result};

/// Counters of the write thread.
pub struct WriteMetrics {
    pending: AtomicI64,
    accepted: AtomicU64,
    failed_commits: AtomicU64,
    commit_micros: Histogram,
    commit_writes: Histogram,
    state: Mutex<State>,
}

/// What the write thread does now, and how its last transaction ended.
#[derive(Default)]
struct State {
    began: Option<Instant>,
    failure: Option<Error>,
}

/// The metrics at one moment.
#[derive(Debug, Clone)]
pub struct WriteMetricsSnapshot {
    /// Deliveries that are pending.
    pub pending: i64,
    /// Events that are on disk, in whatever way they came.
    pub accepted: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Durations of the transactions that reached the disk, in microseconds, without the time that they waited for their
    /// group.
    pub commit_micros: HistogramSnapshot,
    /// Write requests and outcomes in each of these transactions.
    pub commit_writes: HistogramSnapshot,
    /// How long the transaction in progress has taken; zero without one.
    pub running: Duration,
    /// Code of the error with which the last transaction failed; `None` if it did not.
    pub failure: Option<&'static str>,
}

impl Default for WriteMetrics {
    fn default() -> Self {
        Self {
            pending: AtomicI64::default(),
            accepted: AtomicU64::default(),
            failed_commits: AtomicU64::default(),
            commit_micros: Histogram::new(&SERVER_MICROS),
            commit_writes: Histogram::new(&WRITES),
            state: Mutex::default(),
        }
    }
}

impl WriteMetrics {
    /// A transaction begins.
    pub fn begin(&self, now: Instant) {
        self.state().began = Some(now);
    }

    /// Counts one transaction with `writes` write requests and outcomes.
    pub fn end<T>(&self, took: Duration, writes: usize, result: &Result<T>) {
        let mut state = self.state();
        state.began = None;
        state.failure = result.as_ref().err().cloned();
        drop(state);
        if result.is_ok() {
            self.commit_micros.add_duration(took);
            self.commit_writes.add(writes as u64);
        } else {
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts events that are on disk.
    pub fn accepted(&self, events: u64) {
        self.accepted.fetch_add(events, Ordering::Relaxed);
    }

    /// Adds `by` to the number of pending deliveries.
    pub fn pending(&self, by: i64) {
        self.pending.fetch_add(by, Ordering::Relaxed);
    }

    /// Sets the number of pending deliveries, after they were counted in the file.
    pub fn set_pending(&self, count: i64) {
        self.pending.store(count, Ordering::Relaxed);
    }

    /// How long the transaction in progress has taken; zero without one.
    pub fn running(&self, now: Instant) -> Duration {
        self.state().began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
    }

    /// How many commits have failed.
    pub fn failed_commits(&self) -> u64 {
        self.failed_commits.load(Ordering::Relaxed)
    }

    /// Deliveries that are pending.
    pub fn pending_now(&self) -> i64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Reads all metrics.
    pub fn read(&self) -> WriteMetricsSnapshot {
        WriteMetricsSnapshot {
            pending: self.pending_now(),
            accepted: self.accepted.load(Ordering::Relaxed),
            failed_commits: self.failed_commits(),
            commit_micros: self.commit_micros.read(),
            commit_writes: self.commit_writes.read(),
            running: self.running(Instant::now()),
            failure: self.state().failure.as_ref().map(Error::code),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Unavailable;

    #[test]
    fn a_transaction_runs_from_its_begin_to_its_end_and_a_failure_lasts_until_one_succeeds() {
        let (metrics, now) = (WriteMetrics::default(), Instant::now());
        assert_eq!(metrics.running(now), Duration::ZERO);
        metrics.begin(now);
        assert_eq!(metrics.running(now + Duration::from_secs(3)), Duration::from_secs(3));
        metrics.end(Duration::ZERO, 1, &Err::<(), _>(Error::unavailable(Unavailable::DiskFull, "")));
        assert_eq!((metrics.read().failure, metrics.running(now)), (Some("storage_full"), Duration::ZERO));
        assert_eq!((metrics.read().failed_commits, metrics.read().commit_micros.count), (1, 0));
        metrics.end(Duration::ZERO, 5, &Ok(()));
        assert_eq!((metrics.read().failure, metrics.read().commit_writes.sum), (None, 5));
    }
}
