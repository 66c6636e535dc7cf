//! Keeps new reads back for a moment. The write-ahead log begins anew only where nobody reads it, and reads that overlap
//! leave no such moment: then the log would grow for as long as they come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The log's pages (4 KiB each) from which on reads are kept back: 64 MiB.
const MAX_LOG_PAGES: u32 = if cfg!(debug_assertions) { 2_000 } else { 16_384 };

/// Longest time that reads are kept back.
const MAX_CLOSED: Duration = Duration::from_millis(500);

/// Between two such times, where the log could not begin anew; far longer where it was nobody's read of ours.
const REST: Duration = Duration::from_secs(1);
const REST_FROM_OTHERS: Duration = Duration::from_secs(30);

/// Shared by all reads and the write thread.
#[derive(Debug, Default)]
pub struct ReadGate {
    reading: AtomicUsize,
    /// Whether `state` says that it is closed. While it is open nobody takes the lock: a reader of low priority that held it
    /// would stall the write thread.
    closed: AtomicBool,
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// While it is closed: until when at most.
    closed_until: Option<Instant>,
    /// It is not closed again before this.
    rests_until: Option<Instant>,
}

/// A read that goes on.
#[derive(Debug)]
pub struct Reading<'a>(&'a ReadGate);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ReadGate {
    /// Begins a read, once reads are no longer kept back. Blocks.
    pub fn enter(&self) -> Reading<'_> {
        // Counted first: who closes the gate then sees either this read, or that it waits.
        self.reading.fetch_add(1, Ordering::SeqCst);
        let reading = Reading(self);
        if !self.closed.load(Ordering::SeqCst) {
            return reading;
        }
        drop(reading);
        let mut state = self.state();
        while let Some(until) = state.closed_until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.opened.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.reading.fetch_add(1, Ordering::SeqCst);
        Reading(self)
    }

    /// To be told how many pages the log has. Closes the gate where they are too many, and opens it once the log has begun
    /// anew or its time is over. Gives whether it is closed and nobody reads: the moment to move all of the log.
    pub fn log_has(&self, pages: u32, now: Instant) -> bool {
        if pages < MAX_LOG_PAGES && !self.is_closed() {
            return false;
        }
        let mut state = self.state();
        let nobody = || self.reading.load(Ordering::SeqCst) == 0;
        match state.closed_until {
            Some(until) if pages >= MAX_LOG_PAGES && now < until => return nobody(),
            Some(_) => {
                // Before the next ones come.
                let nobody = nobody();
                state.closed_until = None;
                self.closed.store(false, Ordering::SeqCst);
                if pages >= MAX_LOG_PAGES {
                    state.rests_until = Some(now + if nobody { REST_FROM_OTHERS } else { REST });
                }
                drop(state);
                self.opened.notify_all();
            }
            None if pages >= MAX_LOG_PAGES && state.rests_until.is_none_or(|until| until <= now) => {
                state.closed_until = Some(now + MAX_CLOSED);
                self.closed.store(true, Ordering::SeqCst);
                return nobody();
            }
            None => {}
        }
        false
    }

    /// Whether reads are kept back.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: u32 = MAX_LOG_PAGES;

    #[test]
    fn reads_are_kept_back_until_the_log_has_begun_anew() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        let reading = gate.enter();
        assert!(!gate.log_has(LONG, now) && gate.is_closed(), "somebody reads still");
        drop(reading);
        assert!(gate.log_has(LONG + 1, now), "nobody does");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| drop(gate.enter()));
            assert!(!gate.log_has(1, now) && !gate.is_closed());
            waits.join().unwrap();
        });
    }

    #[test]
    fn a_log_that_others_keep_from_beginning_anew_keeps_reads_back_only_now_and_then() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        assert!(gate.log_has(LONG, now));
        let over = now + MAX_CLOSED;
        assert!(!gate.log_has(LONG, over) && !gate.is_closed());
        gate.log_has(LONG, over + REST);
        assert!(!gate.is_closed(), "it is another program's read");
        gate.log_has(LONG, over + REST_FROM_OTHERS);
        assert!(gate.is_closed());
    }

    #[test]
    fn nobody_waits_for_longer_than_the_bound() {
        let gate = ReadGate::default();
        gate.log_has(LONG, Instant::now());
        drop(gate.enter());
        assert_eq!(gate.reading.load(Ordering::Relaxed), 0);
    }
}
