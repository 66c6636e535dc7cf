//! What the engine counts for `/metrics`. The text form is made in `app`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::delivery::{ErrorClass, Outcome};

/// Upper bounds of the buckets for durations of attempts, in seconds. The last one is the default timeout.
pub const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// Counters and gauges. Workers count attempts, and the scheduler sets the gauges.
#[derive(Default)]
pub struct EngineMetrics {
    succeeded: AtomicU64,
    failed: [AtomicU64; ErrorClass::ALL.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    duration_micros: AtomicU64,
    flying: AtomicU64,
    lanes: AtomicU64,
    in_hand: AtomicU64,
}

/// The metrics at one moment.
#[derive(Debug, Clone)]
pub struct EngineMetricsSnapshot {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, by class.
    pub failed: Vec<(ErrorClass, u64)>,
    /// Attempts that took at most as long as each of [`BUCKETS`], cumulative.
    pub buckets: Vec<u64>,
    /// Sum of the durations of all attempts.
    pub duration: Duration,
    /// Workers that are busy. Each has at most one attempt in progress.
    pub flying: u64,
    /// Lanes, one for each destination.
    pub lanes: u64,
    /// Deliveries in hand.
    pub in_hand: u64,
}

impl EngineMetrics {
    /// Counts an attempt that has ended.
    pub fn attempt(&self, outcome: Outcome, took: Duration) {
        match outcome.error() {
            None => self.succeeded.fetch_add(1, Ordering::Relaxed),
            Some(class) => self.failed[class as usize].fetch_add(1, Ordering::Relaxed),
        };
        self.duration_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets the gauges.
    pub fn set_gauges(&self, flying: usize, lanes: usize, in_hand: usize) {
        self.flying.store(flying as u64, Ordering::Relaxed);
        self.lanes.store(lanes as u64, Ordering::Relaxed);
        self.in_hand.store(in_hand as u64, Ordering::Relaxed);
    }

    /// Reads all metrics.
    pub fn read(&self) -> EngineMetricsSnapshot {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let mut sum = 0;
        EngineMetricsSnapshot {
            succeeded: load(&self.succeeded),
            failed: ErrorClass::ALL.into_iter().map(|class| (class, load(&self.failed[class as usize]))).collect(),
            buckets: self
                .buckets
                .iter()
                .map(|bucket| {
                    sum += load(bucket);
                    sum
                })
                .collect(),
            duration: Duration::from_micros(load(&self.duration_micros)),
            flying: load(&self.flying),
            lanes: load(&self.lanes),
            in_hand: load(&self.in_hand),
        }
    }
}
