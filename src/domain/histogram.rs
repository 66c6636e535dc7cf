//! Counts of values by size, for `/metrics`. The bounds are fixed, so that a value costs two atomic additions, and no
//! lock. The text form is made in `app`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds for durations of the server itself, in microseconds: commits, and answers to events.
pub const SERVER_MICROS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
];

/// Upper bounds for durations of attempts, in microseconds. The last but one is the default timeout.
pub const ATTEMPT_MICROS: [u64; 12] =
    [1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 15_000_000, 60_000_000];

/// Upper bounds for the number of writes that one commit has.
pub const WRITES: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// Counts of values by size. The unit is that of the bounds.
pub struct Histogram {
    bounds: &'static [u64],
    /// Values up to each bound and above the one before, and last those above all bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Each bound, and how many values were at most that.
    pub up_to: Vec<(u64, u64)>,
    /// Number of all values.
    pub count: u64,
    /// Sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// Without any value. `bounds` must rise.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds, counts, sum: AtomicU64::default() }
    }

    /// Counts a value.
    pub fn add(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration, where the bounds are microseconds.
    pub fn add_duration(&self, took: Duration) {
        self.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Reads all counts. Each value is in all of its buckets or in none.
    pub fn read(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut below = |number: &AtomicU64| {
            count += number.load(Ordering::Relaxed);
            count
        };
        let sums: Vec<u64> = self.counts.iter().map(&mut below).collect();
        let up_to = self.bounds.iter().copied().zip(sums).collect();
        HistogramSnapshot { up_to, count, sum: self.sum.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_every_bucket_that_it_is_not_above() {
        let histogram = Histogram::new(&WRITES);
        for value in [0, 1, 2, 3, 1_024, 1_025, u64::MAX - 3_000] {
            histogram.add(value);
        }
        let read = histogram.read();
        assert_eq!((read.count, read.sum), (7, u64::MAX - 3_000 + 2_055));
        assert_eq!(&read.up_to[..3], [(1, 2), (2, 3), (4, 4)]);
        assert_eq!(read.up_to.last(), Some(&(1_024, 5)));
    }

    #[test]
    fn durations_count_as_microseconds_and_bounds_rise() {
        for bounds in [&SERVER_MICROS[..], &ATTEMPT_MICROS, &WRITES] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
        let histogram = Histogram::new(&SERVER_MICROS);
        histogram.add_duration(Duration::from_micros(500));
        histogram.add_duration(Duration::from_nanos(500_999));
        assert_eq!(histogram.read().up_to[1], (500, 2));
    }
}
