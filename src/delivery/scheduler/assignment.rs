//! An assignment: runs of several lanes that one worker makes one after the other. Many immediate lanes may have little
//! to send each. Waking a worker for each of them would cost more than sending.

use std::time::Duration;

use crate::delivery::limits::{ASSIGNMENT_SHARE, ASSIGNMENT_TIME, MAX_JOBS, MAX_RUNS};
use crate::delivery::workers::batch::AssignedRun;

/// The assignment that is being put together for the next worker.
pub struct Assignment<R = AssignedRun> {
    most: usize,
    runs: Vec<R>,
    jobs: usize,
    typical_duration: Duration,
}

impl<R> Assignment<R> {
    /// An empty assignment, where `lanes` immediate lanes are ready. The more are ready, the more runs one assignment
    /// takes.
    pub fn among(lanes: usize) -> Self {
        Self {
            most: (lanes / ASSIGNMENT_SHARE).clamp(1, MAX_RUNS),
            runs: Vec::new(),
            jobs: 0,
            typical_duration: Duration::ZERO,
        }
    }

    /// Adds a run of `jobs` jobs whose typical duration is `typical` each.
    pub fn add(&mut self, run: R, jobs: usize, typical: Duration) {
        self.runs.push(run);
        self.jobs += jobs;
        self.typical_duration += typical.saturating_mul(u32::try_from(jobs).unwrap_or(u32::MAX));
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether the assignment must be given to a worker before another run is added.
    pub fn is_full(&self) -> bool {
        self.runs.len() >= self.most || self.jobs >= MAX_JOBS || self.typical_duration >= ASSIGNMENT_TIME
    }

    /// Takes the runs out and leaves the assignment empty.
    pub fn take(&mut self) -> Vec<R> {
        (self.jobs, self.typical_duration) = (0, Duration::ZERO);
        std::mem::take(&mut self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(100);

    /// How many runs an assignment takes where `lanes` lanes have `jobs` jobs each.
    fn together(lanes: usize, jobs: usize, typical: Duration) -> usize {
        let mut assignment = Assignment::among(lanes);
        while !assignment.is_full() {
            assignment.add((), jobs, typical);
        }
        assignment.take().len()
    }

    #[test]
    fn the_more_lanes_wait_the_more_go_together_but_never_for_long() {
        assert_eq!(together(1, 1, QUICK), 1);
        assert_eq!(together(7, 1, QUICK), 1, "there are workers enough");
        assert_eq!(together(32, 1, QUICK), 8);
        assert_eq!(together(1_000, 1, QUICK), MAX_RUNS);
        assert_eq!(together(1_000, 8, QUICK), 2, "of 16 deliveries");
        assert_eq!(together(1_000, 1, Duration::from_millis(1)), 2, "of 1 ms each");
        assert_eq!(together(1_000, 1, Duration::from_millis(40)), 1);
    }

    #[test]
    fn the_next_assignment_begins_empty() {
        let mut assignment = Assignment::among(1_000);
        (0..MAX_RUNS).for_each(|_| assignment.add((), 1, QUICK));
        assert!(assignment.is_full());
        assignment.take();
        assert!(!assignment.is_full() && assignment.take().is_empty());
    }
}
