//! Remembers for a short time that a write reached the disk. The write itself is in `operations/readiness.rs`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a write proves that the disk accepts writes, unless a commit fails. Anybody may ask for readiness, and must
/// not wear out the disk.
const VALID_FOR: Duration = Duration::from_secs(1);

/// The last write that was made only to find out.
#[derive(Default)]
pub struct LastProbe(Mutex<Option<Written>>);

#[derive(Clone, Copy)]
struct Written {
    at: Instant,
    /// How many commits had failed before the write.
    failed: u64,
}

impl LastProbe {
    /// Whether the last write still proves that the disk accepts writes, if `failed` commits have failed so far.
    pub fn is_valid(&self, now: Instant, failed: u64) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.failed == failed && now.duration_since(last.at) < VALID_FOR)
    }

    /// Notes that a write has reached the disk. Before the write, `failed` commits had failed.
    pub fn record(&self, now: Instant, failed: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Written { at: now, failed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_proves_it_for_a_moment_and_until_a_commit_fails() {
        let (proof, now) = (LastProbe::default(), Instant::now());
        assert!(!proof.is_valid(now, 0));
        proof.record(now, 3);
        assert!(proof.is_valid(now, 3) && !proof.is_valid(now, 4));
        assert!(!proof.is_valid(now + VALID_FOR, 3));
    }
}
