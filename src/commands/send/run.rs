//! What the threads of a run share: documents that wait, when the next request may begin, and why the run ends early.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::documents::Place;
use super::patience::{Failure, Next, Patience};
use crate::domain::duration;
use crate::domain::rate::Rate;

/// Most bytes of documents in memory. One document may be longer.
const MAX_BYTES: usize = 32 << 20;

/// Documents that wait for each worker, at most.
const WAITING_PER_WORKER: usize = 4;

/// A document that is to be sent.
pub struct Pending {
    /// Where it was.
    pub place: Place,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its Idempotency-Key.
    pub key: String,
}

/// Why a run ends before all documents were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A signal asked for it.
    Interrupted,
    /// Nothing can be sent, or the input cannot be read: one line.
    Failed(String),
}

/// A run. All its threads share it.
pub struct Run {
    state: Mutex<State>,
    changed: Condvar,
    most_waiting: usize,
    /// Least time from the beginning of a request to the next one's.
    apart: Duration,
}

struct State {
    waiting: VecDeque<Pending>,
    /// Bytes of documents that wait or are being sent.
    bytes: usize,
    /// Nothing more will be read.
    read: bool,
    end: Option<End>,
    /// No request begins before this time, because of `--rate`.
    next: Instant,
    /// No request begins before this time, because the server cannot take any.
    held_until: Instant,
    patience: Patience,
}

impl Run {
    /// A run with `workers` threads that send.
    pub fn new(workers: usize, rate: Option<Rate>, give_up_after: Duration) -> Self {
        let now = Instant::now();
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            read: false,
            end: None,
            next: now,
            held_until: now,
            patience: Patience::new(give_up_after, now),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            most_waiting: workers * WAITING_PER_WORKER,
            apart: rate.map_or(Duration::ZERO, Rate::each_rounded_up),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a document, once there is room. Returns false if the run has ended.
    pub fn put(&self, document: Pending) -> bool {
        let (mut state, bytes) = (self.state(), document.body.len());
        while state.end.is_none()
            && (state.waiting.len() >= self.most_waiting || (state.bytes > 0 && state.bytes + bytes > MAX_BYTES))
        {
            state = self.wait(state);
        }
        if state.end.is_some() {
            return false;
        }
        state.bytes += bytes;
        state.waiting.push_back(document);
        self.changed.notify_all();
        true
    }

    /// No document will be added any more.
    pub fn end_of_input(&self) {
        self.state().read = true;
        self.changed.notify_all();
    }

    /// The next document, in the order of the input. `None` if there is none any more, or the run has ended.
    pub fn take(&self) -> Option<Pending> {
        let mut state = self.state();
        loop {
            if state.end.is_some() {
                return None;
            }
            if let Some(document) = state.waiting.pop_front() {
                self.changed.notify_all();
                return Some(document);
            }
            if state.read {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Must be called once for each document that was taken, when nothing more is done with it.
    pub fn release(&self, document: &Pending) {
        self.state().bytes -= document.body.len();
        self.changed.notify_all();
    }

    /// Waits until a request may begin. Returns false if the run has ended.
    pub fn begin(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.end.is_some() {
                return false;
            }
            let (now, at) = (Instant::now(), state.next.max(state.held_until));
            if at <= now {
                state.next = now.max(state.next) + self.apart;
                return true;
            }
            state = self.changed.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The server took or refused a document, so it is well. Returns whether a message should say so.
    pub fn well(&self) -> bool {
        self.state().patience.well(Instant::now())
    }

    /// The server did not answer a request, from which an answer could be expected since `began`, or it asked to come
    /// again, maybe after `asked`. All requests wait now, or the run ends. `why` is the one line for its end. Returns
    /// how long they wait, if a message should say so.
    pub fn trouble(&self, began: Instant, asked: Option<Duration>, why: &str) -> Option<Duration> {
        let (mut state, now) = (self.state(), Instant::now());
        let is_held = state.held_until > now;
        let reason = match state.patience.failed(Failure { began, asked, is_held }, now) {
            Next::Wait { pause, says } => {
                state.held_until = state.held_until.max(now + pause);
                self.changed.notify_all();
                return says.then_some(pause);
            }
            Next::GiveUp => String::new(),
            Next::GiveUpNow { asked } => {
                format!("; it asks to wait {}, and --give-up-after ends before", duration::format(asked))
            }
        };
        state.end.get_or_insert_with(|| End::Failed(format!("{why}{reason}; the rest was not sent")));
        self.changed.notify_all();
        None
    }

    /// Ends the run. The first reason counts.
    pub fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// Why the run ended early, if it did.
    pub fn ended(&self) -> Option<End> {
        self.state().end.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(line: u64, bytes: usize) -> Pending {
        Pending { place: Place { line, bytes: 0 }, body: vec![0; bytes], key: String::new() }
    }

    fn run(give_up_after: Duration) -> Run {
        Run::new(1, None, give_up_after)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn documents_come_in_order_and_the_end_comes_after_the_last() {
        let run = run(LONG);
        assert!(run.put(pending(1, 1)) && run.put(pending(2, 1)));
        run.end_of_input();
        assert_eq!(run.take().unwrap().place.line, 1);
        assert_eq!(run.take().unwrap().place.line, 2);
        assert!(run.take().is_none());
    }

    #[test]
    fn reading_waits_for_room_and_one_document_may_be_longer_than_the_room() {
        let run = run(LONG);
        assert!(run.put(pending(1, MAX_BYTES + 1)));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| run.put(pending(2, 1)));
            let first = run.take().unwrap();
            assert!(!second.is_finished());
            run.release(&first);
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn an_end_wakes_whoever_waits_and_the_first_reason_counts() {
        let run = run(LONG);
        run.trouble(Instant::now(), Some(LONG / 2), "gone");
        std::thread::scope(|scope| {
            let (taking, beginning) = (scope.spawn(|| run.take().is_none()), scope.spawn(|| run.begin()));
            run.end(End::Interrupted);
            run.end(End::Failed(String::new()));
            assert!(taking.join().unwrap() && !beginning.join().unwrap());
        });
        assert!(!run.put(pending(1, 1)));
        assert_eq!(run.ended(), Some(End::Interrupted));
    }

    #[test]
    fn a_wait_that_the_server_asks_for_holds_all_requests() {
        let (run, wait) = (run(LONG), Duration::from_millis(200));
        let began = Instant::now();
        assert_eq!(run.trouble(began, Some(wait), "busy"), Some(wait));
        assert!(run.begin() && began.elapsed() >= wait);
    }

    #[test]
    fn after_a_long_time_of_trouble_or_before_a_longer_wait_the_run_ends_with_its_reason() {
        for (give_up_after, asked, reason) in [
            (Duration::ZERO, None, "gone; the rest was not sent"),
            (
                Duration::from_secs(60),
                Some(LONG),
                "gone; it asks to wait 10m, and --give-up-after ends before; the rest was not sent",
            ),
        ] {
            let run = run(give_up_after);
            assert_eq!(run.trouble(Instant::now(), asked, "gone"), None);
            assert_eq!(run.ended(), Some(End::Failed(reason.to_owned())));
        }
    }

    #[test]
    fn requests_begin_no_faster_than_the_rate() {
        let run = Run::new(1, Some(Rate::parse("50/s").unwrap()), LONG);
        let began = Instant::now();
        assert!((0..4).all(|_| run.begin()));
        assert!(began.elapsed() >= Duration::from_millis(60));
    }
}
