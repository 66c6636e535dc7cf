//! Remembers whether the disk was seen to take writes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A write proves so much time that the disk takes writes, unless a commit fails: anybody may ask, and must not wear it
/// out.
const VALID_FOR: Duration = Duration::from_secs(1);

/// The last write that was made to find out.
#[derive(Default)]
pub struct LastProbe(Mutex<Option<Written>>);

#[derive(Clone, Copy)]
struct Written {
    at: Instant,
    /// Commits that had failed by then.
    failed: u64,
}

impl LastProbe {
    /// Whether the last write still proves it, where so many commits have failed by `now`.
    pub fn is_valid(&self, now: Instant, failed: u64) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.failed == failed && now.duration_since(last.at) < VALID_FOR)
    }

    /// A write that began after so many failed commits reached the disk.
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
