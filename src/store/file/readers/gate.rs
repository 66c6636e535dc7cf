//! Holds new reads back for a moment. The WAL starts again only if nobody reads it, and reads that overlap leave no
//! such moment. Without this gate, the WAL would grow for as long as they come. Which read goes first is not decided
//! here, see `throttle.rs`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Length of the WAL, in pages of 4 KiB, from which on reads are held back (64 MiB). Less in debug builds, for tests.
const MAX_LOG_PAGES: u32 = if cfg!(debug_assertions) { 2_000 } else { 16_384 };

/// Maximum time that reads are held back without a break.
const MAX_CLOSED: Duration = Duration::from_millis(500);

/// Minimum time between two closings, if reads of this process kept the WAL from starting again.
const REST: Duration = Duration::from_secs(1);
/// The same if none of our reads was in the way: another program's read may last long.
const REST_FROM_OTHERS: Duration = Duration::from_secs(30);

const _: () = assert!(MAX_CLOSED.as_millis() < REST.as_millis(), "the gate is open most of the time");
const _: () = assert!(REST.as_millis() < REST_FROM_OTHERS.as_millis(), "what does not help is done less often");

/// The gate that all reads pass and the write thread closes.
#[derive(Debug, Default)]
pub struct ReadGate {
    reading: AtomicUsize,
    /// Whether `state` says that the gate is closed. While the gate is open, no reader takes the lock: a reader of low
    /// priority that held it would stall the write thread.
    closed: AtomicBool,
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Until when the gate is closed at most; `None` while it is open.
    closed_until: Option<Instant>,
    /// The gate is not closed again before this time.
    rests_until: Option<Instant>,
}

/// A read in progress, which ends when this value is dropped.
#[derive(Debug)]
pub struct Reading<'a>(&'a ReadGate);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ReadGate {
    /// Begins a read, once reads are no longer held back. Blocks the thread.
    pub fn enter(&self) -> Reading<'_> {
        // Counted first: whoever closes the gate then sees this read, or this read sees the closed gate.
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

    /// Reports that the WAL has `pages` pages. Closes the gate if these are too many, and opens it once the WAL has
    /// started again or the time is over. Returns whether the gate is closed and nobody reads. Then the whole WAL can
    /// be copied.
    pub fn log_has(&self, pages: u32, now: Instant) -> bool {
        if pages < MAX_LOG_PAGES && !self.is_closed() {
            return false;
        }
        let mut state = self.state();
        let nobody = || self.reading.load(Ordering::SeqCst) == 0;
        match state.closed_until {
            Some(until) if pages >= MAX_LOG_PAGES && now < until => return nobody(),
            Some(_) => {
                // Asked before the gate opens and the next reads come.
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

    /// Whether reads are held back.
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
