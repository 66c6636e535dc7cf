//! The rate of a lane, which the scheduler and its workers share without a lock. A token is taken where the attempt
//! begins, and not where the scheduler decides: a worker that begins late would otherwise begin beside the next one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::domain::pacer::Pacer;
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;

/// The token bucket of a lane, and how many of its tokens are promised to jobs that workers have not begun.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    bucket: Pacer,
    state: AtomicU64,
    promised: AtomicUsize,
}

impl Pace {
    /// An empty bucket.
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        let bucket = Pacer::empty(rate, now);
        Self { rate, bucket, state: AtomicU64::new(bucket.state()), promised: AtomicUsize::new(0) }
    }

    /// The rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    fn bucket(&self) -> Pacer {
        self.bucket.with_state(self.state.load(Ordering::Acquire))
    }

    /// Tokens that are there and promised to no job.
    pub fn free(&self, now: Timestamp) -> usize {
        let tokens = usize::try_from(self.bucket().tokens(now)).unwrap_or(usize::MAX);
        tokens.saturating_sub(self.promised())
    }

    /// When a token is free, if that is after `now`.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let promised = u64::try_from(self.promised()).unwrap_or(u64::MAX);
        (self.free(now) == 0).then(|| self.bucket().holds_more_than(promised, now))
    }

    /// Tokens that are promised.
    pub fn promised(&self) -> usize {
        self.promised.load(Ordering::Acquire)
    }

    /// Promises tokens to jobs that a worker is given.
    pub fn promise(&self, jobs: usize) {
        self.promised.fetch_add(jobs, Ordering::AcqRel);
    }

    /// Jobs that had a promise are not made by their worker.
    pub fn give_back(&self, jobs: usize) {
        self.promised.fetch_sub(jobs, Ordering::AcqRel);
    }

    /// An attempt with a promise begins, if its token is there. A test may have taken it.
    #[must_use]
    pub fn begin(&self, now: Timestamp) -> bool {
        let taken = self.change(|bucket| bucket.take(now));
        if taken {
            self.give_back(1);
        }
        taken
    }

    /// Takes a token that may not be there yet.
    pub fn owe(&self, now: Timestamp) {
        self.change(|bucket| {
            bucket.owe(now);
            true
        });
    }

    fn change(&self, change: impl Fn(&mut Pacer) -> bool) -> bool {
        let changed = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            let mut bucket = self.bucket.with_state(state);
            change(&mut bucket).then(|| bucket.state())
        });
        changed.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn pace(rate: &str) -> Pace {
        Pace::new(Rate::parse(rate).unwrap(), at(0))
    }

    #[test]
    fn a_promised_token_is_free_for_nobody_else_and_is_taken_when_its_attempt_begins() {
        let pace = pace("10/s");
        assert_eq!((pace.free(at(99)), pace.waits_until(at(99))), (0, Some(at(100))));
        assert_eq!((pace.free(at(100)), pace.waits_until(at(100))), (1, None));
        pace.promise(1);
        assert_eq!((pace.free(at(100)), pace.waits_until(at(100))), (0, Some(at(200))));
        // The worker begins late, and the next token comes as much later.
        assert!(pace.begin(at(130)));
        assert_eq!((pace.promised(), pace.waits_until(at(200))), (0, Some(at(230))));
    }

    #[test]
    fn what_is_given_back_is_free_again() {
        let pace = pace("100/s");
        pace.promise(7);
        assert_eq!(pace.free(at(200)), 3);
        pace.give_back(7);
        assert_eq!(pace.free(at(200)), 10);
    }

    #[test]
    fn a_test_takes_the_token_that_was_promised() {
        let pace = pace("10/s");
        pace.promise(1);
        pace.owe(at(100));
        assert!(!pace.begin(at(101)) && pace.promised() == 1);
        pace.give_back(1);
        assert_eq!(pace.waits_until(at(101)), Some(at(200)));
    }

    #[test]
    fn workers_that_begin_at_one_moment_take_no_token_twice() {
        let pace = pace("1000/s");
        let begun: usize = std::thread::scope(|scope| {
            let begins = || (0..1_000).filter(|_| pace.begin_promised(at(500))).count();
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(begins)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(begun, 100);
    }

    impl Pace {
        fn begin_promised(&self, now: Timestamp) -> bool {
            self.promise(1);
            let begins = self.begin(now);
            if !begins {
                self.give_back(1);
            }
            begins
        }
    }
}
