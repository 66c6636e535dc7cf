//! What the engine counts for `/metrics`. The text form is made in `app`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::delivery::standing::{STANDINGS, Standing};
use crate::domain::delivery::{ErrorClass, Outcome};
use crate::domain::histogram::{ATTEMPT_MICROS, Histogram, HistogramSnapshot};

/// Counters and gauges. Workers count attempts, and the scheduler sets the gauges.
pub struct EngineMetrics {
    succeeded: AtomicU64,
    failed: [AtomicU64; ErrorClass::ALL.len()],
    exhausted: AtomicU64,
    attempt_micros: Histogram,
    busy_workers: AtomicU64,
    destinations: [AtomicU64; STANDINGS.len()],
    in_hand: AtomicU64,
}

/// The metrics at one moment.
#[derive(Debug, Clone)]
pub struct EngineMetricsSnapshot {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, by class.
    pub failed: Vec<(ErrorClass, u64)>,
    /// Deliveries that became exhausted.
    pub exhausted: u64,
    /// Durations of all attempts that sent a request, in microseconds.
    pub attempt_micros: HistogramSnapshot,
    /// Workers that are busy. Each has at most one attempt in progress.
    pub busy_workers: u64,
    /// Destinations by standing, as of the last sweep.
    pub destinations: Vec<(Standing, u64)>,
    /// Deliveries in hand.
    pub in_hand: u64,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            succeeded: AtomicU64::default(),
            failed: Default::default(),
            exhausted: AtomicU64::default(),
            attempt_micros: Histogram::new(&ATTEMPT_MICROS),
            busy_workers: AtomicU64::default(),
            destinations: Default::default(),
            in_hand: AtomicU64::default(),
        }
    }
}

impl EngineMetrics {
    /// Counts an attempt that has ended.
    pub fn attempt(&self, outcome: Outcome, took: Duration) {
        self.not_sent(outcome);
        self.attempt_micros.add_duration(took);
    }

    /// Counts an attempt whose request could not be made.
    pub fn not_sent(&self, outcome: Outcome) {
        match outcome.error() {
            None => self.succeeded.fetch_add(1, Ordering::Relaxed),
            Some(class) => self.failed[class as usize].fetch_add(1, Ordering::Relaxed),
        };
    }

    /// Counts a delivery that became exhausted.
    pub fn exhausted(&self) {
        self.exhausted.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the numbers of the moment.
    pub fn set_gauges(&self, busy_workers: usize, in_hand: usize) {
        self.busy_workers.store(busy_workers as u64, Ordering::Relaxed);
        self.in_hand.store(in_hand as u64, Ordering::Relaxed);
    }

    /// Sets how many destinations have each standing, in the order of `Standing`.
    pub fn set_standings(&self, counts: [u64; STANDINGS.len()]) {
        for (gauge, count) in self.destinations.iter().zip(counts) {
            gauge.store(count, Ordering::Relaxed);
        }
    }

    /// Reads all metrics.
    pub fn read(&self) -> EngineMetricsSnapshot {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        EngineMetricsSnapshot {
            succeeded: load(&self.succeeded),
            failed: ErrorClass::ALL.into_iter().map(|class| (class, load(&self.failed[class as usize]))).collect(),
            exhausted: load(&self.exhausted),
            attempt_micros: self.attempt_micros.read(),
            busy_workers: load(&self.busy_workers),
            destinations: STANDINGS.into_iter().zip(self.destinations.iter().map(load)).collect(),
            in_hand: load(&self.in_hand),
        }
    }
}
