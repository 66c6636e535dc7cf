//! Remembers whether the disk was seen to take writes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A write proves so much time that the disk takes writes, unless a commit fails: anybody may ask, and must not wear it
/// out.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The last write that was made to find out.
#[derive(Default)]
pub struct Proof(Mutex<Option<Written>>);

#[derive(Clone, Copy)]
struct Written {
    at: Instant,
    /// Commits that had failed by then.
    failed: u64,
}

impl Proof {
    /// Whether the last write still proves it, where so many commits have failed by `now`.
    pub fn holds(&self, now: Instant, failed: u64) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.failed == failed && now.duration_since(last.at) < GOOD_FOR)
    }

    /// A write that began after so many failed commits reached the disk.
    pub fn written(&self, now: Instant, failed: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Written { at: now, failed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_proves_it_for_a_moment_and_until_a_commit_fails() {
        let (proof, now) = (Proof::default(), Instant::now());
        assert!(!proof.holds(now, 0));
        proof.written(now, 3);
        assert!(proof.holds(now, 3) && !proof.holds(now, 4));
        assert!(!proof.holds(now + GOOD_FOR, 3));
    }
}
