//! The state of one connection: what the connection does now, since when, and until when it may. Which connections are
//! open belongs in `connections`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::web::limits::STOP_GRACE;

/// How long a kept-alive connection may wait for its next request. Proxies usually keep theirs for 60 s. A longer time
/// here lets the proxy close first, so that it never sends a request into a connection that is being closed.
const IDLE: Duration = Duration::from_secs(75);

/// How long the rest of a refused request is read, so that the client can read the response.
const LINGER: Duration = Duration::from_secs(2);

/// Longest request line and headers together, in bytes. hyper alone would buffer 400 KiB for each connection.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// One connection. Its stream, its request and the sweeper share this state.
#[derive(Debug)]
pub struct Connection(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Bytes of the current request's headers that have come.
    head: usize,
    /// Since when the peer reads nothing of what is to be written.
    blocked: Option<Instant>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// New, or has begun to send the headers of a request.
    Head,
    /// The headers of a request have come, and the response is not complete.
    Request,
    /// The response to the request is a stream of events.
    Stream,
    /// Every request on the connection has its response.
    Idle,
    /// The request was refused by its headers. The response is being sent, and the rest of the request is dropped.
    Refused,
}

/// What a stream may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoPermission {
    /// Read or write.
    Proceed,
    /// Nothing: the connection was closed.
    End,
    /// Refuse the request. For a read: the headers are too long. For a write: the bytes belong to no request.
    Refuse,
}

impl Connection {
    /// A connection that was accepted at `now`.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            phase: Phase::Head,
            since: now,
            head: 0,
            blocked: None,
            closed: false,
            reader: None,
            writer: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called before each read. [`close`](Self::close) wakes the task of the last call.
    pub fn may_read(&self, context: &Context<'_>) -> IoPermission {
        let mut state = self.state();
        wake_later(&mut state.reader, context);
        match state.phase {
            _ if state.closed => IoPermission::End,
            // hyper has seen all of these bytes and asks for more.
            Phase::Head if state.head >= MAX_HEAD_BYTES => IoPermission::Refuse,
            _ => IoPermission::Proceed,
        }
    }

    /// Called before each write. [`close`](Self::close) wakes the task of the last call.
    pub fn may_write(&self, context: &Context<'_>) -> IoPermission {
        let mut state = self.state();
        wake_later(&mut state.writer, context);
        match state.phase {
            _ if state.closed => IoPermission::End,
            Phase::Head => IoPermission::Refuse,
            _ => IoPermission::Proceed,
        }
    }

    /// Notes that `bytes` bytes have come.
    pub fn read(&self, bytes: usize, now: Instant) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            (state.phase, state.since, state.head) = (Phase::Head, now, 0);
        }
        if state.phase == Phase::Head {
            state.head = state.head.saturating_add(bytes);
        }
    }

    /// Notes that the peer accepted some bytes.
    pub fn wrote(&self, now: Instant) {
        let mut state = self.state();
        state.blocked = None;
        if state.phase == Phase::Idle {
            state.since = now;
        }
    }

    /// Notes that the peer accepts no more bytes now.
    pub fn blocked(&self, now: Instant) {
        self.state().blocked.get_or_insert(now);
    }

    /// Notes that the request is refused by its headers.
    pub fn refused(&self, now: Instant) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::Refused, now);
    }

    /// Notes that the headers of a request are complete.
    pub fn begin(&self) {
        self.state().phase = Phase::Request;
    }

    /// Notes that the response is a stream of events.
    pub fn stream(&self) {
        self.state().phase = Phase::Stream;
    }

    /// Notes that the request has its response, or that its client has gone.
    pub fn end(&self, now: Instant) {
        let mut state = self.state();
        (state.phase, state.since, state.head) = (Phase::Idle, now, 0);
    }

    /// When the connection's current wait began. `None` while a request or its stream is in progress.
    pub fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        (!matches!(state.phase, Phase::Request | Phase::Stream)).then_some(state.since)
    }

    /// Whether the connection's time has passed. The headers of a request, and each write that the peer blocks, may
    /// take `timeout`. Once the server stops, `STOP_GRACE` holds for all but requests in progress and blocked writes.
    pub fn is_overdue(&self, now: Instant, timeout: Duration, stopping: Option<Instant>) -> bool {
        let state = self.state();
        let passed = |since: Instant, allowed: Duration| now.saturating_duration_since(since) >= allowed;
        let last_call = stopping.is_some_and(|at| passed(state.since.max(at), STOP_GRACE));
        if let Some(blocked) = state.blocked {
            return passed(blocked, timeout);
        }
        let allowed = match state.phase {
            Phase::Request => return false,
            Phase::Stream => return last_call,
            Phase::Head => timeout,
            Phase::Idle => IDLE,
            Phase::Refused => LINGER,
        };
        last_call || passed(state.since, allowed)
    }

    /// Closes the connection: its next read and write fail, and tasks that wait for one are woken.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

fn wake_later(waker: &mut Option<Waker>, context: &Context<'_>) {
    if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
        *waker = Some(context.waker().clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_head_that_drips_has_no_more_time_than_one_that_does_not_come() {
        let start = Instant::now();
        let (silent, dripping) = (Connection::new(start), Connection::new(start));
        for second in 0..15 {
            dripping.read(1, at(start, second));
            assert!(!dripping.is_overdue(at(start, second), PATIENCE, None));
        }
        for connection in [silent, dripping] {
            assert!(connection.is_overdue(at(start, 15), PATIENCE, None));
        }
    }

    #[test]
    fn a_request_under_way_has_all_the_time_that_it_needs() {
        let start = Instant::now();
        let connection = Connection::new(start);
        connection.read(100, start);
        connection.begin();
        assert!(!connection.is_overdue(at(start, 3_600), PATIENCE, None));
        assert_eq!(connection.waiting_since(), None);
        connection.end(at(start, 3_600));
        assert!(!connection.is_overdue(at(start, 3_674), PATIENCE, None));
        assert!(connection.is_overdue(at(start, 3_675), PATIENCE, None), "it idles");
    }

    #[test]
    fn the_next_head_on_a_kept_connection_has_a_deadline_of_its_own() {
        let start = Instant::now();
        let connection = Connection::new(start);
        connection.begin();
        connection.end(start);
        connection.read(1, at(start, 60));
        assert!(!connection.is_overdue(at(start, 74), PATIENCE, None));
        assert!(connection.is_overdue(at(start, 75), PATIENCE, None));
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up_even_while_its_request_is_under_way() {
        let start = Instant::now();
        let connection = Connection::new(start);
        connection.begin();
        connection.blocked(at(start, 10));
        connection.blocked(at(start, 20));
        assert!(connection.is_overdue(at(start, 25), PATIENCE, None));
        connection.wrote(at(start, 25));
        assert!(!connection.is_overdue(at(start, 60), PATIENCE, None));
    }

    #[test]
    fn a_stop_leaves_requests_alone_and_gives_the_others_a_moment() {
        let start = Instant::now();
        let [half, asked, streaming, slow] = [(); 4].map(|()| Connection::new(start));
        asked.begin();
        streaming.begin();
        streaming.stream();
        slow.begin();
        slow.end(start);
        slow.blocked(start);
        let stop = Some(at(start, 5));
        let overdue =
            |seconds| [&half, &asked, &streaming, &slow].map(|c| c.is_overdue(at(start, seconds), PATIENCE, stop));
        assert_eq!(overdue(5), [false; 4]);
        assert_eq!(overdue(6), [true, false, true, false], "an answer is still being read");
        asked.end(at(start, 7));
        assert_eq!(overdue(7), [true, false, true, false], "its answer is just going out");
        assert_eq!(overdue(8), [true, true, true, false]);
    }

    #[test]
    fn a_head_is_too_long_only_once_more_of_it_is_asked_for() {
        let start = Instant::now();
        let context = Context::from_waker(Waker::noop());
        let connection = Connection::new(start);
        connection.read(MAX_HEAD_BYTES - 1, start);
        assert_eq!(connection.may_read(&context), IoPermission::Proceed);
        connection.read(1, start);
        assert_eq!(connection.may_read(&context), IoPermission::Refuse);
        connection.begin();
        assert_eq!(connection.may_read(&context), IoPermission::Proceed, "the rest was body");
    }

    #[test]
    fn only_what_answers_no_request_is_taken_for_a_refusal() {
        let start = Instant::now();
        let context = Context::from_waker(Waker::noop());
        let connection = Connection::new(start);
        assert_eq!(connection.may_write(&context), IoPermission::Refuse);
        connection.begin();
        assert_eq!(connection.may_write(&context), IoPermission::Proceed);
        connection.end(start);
        assert_eq!(connection.may_write(&context), IoPermission::Proceed, "the answer goes out");
        connection.read(1, start);
        assert_eq!(connection.may_write(&context), IoPermission::Refuse);
        connection.close();
        assert_eq!([connection.may_read(&context), connection.may_write(&context)], [IoPermission::End; 2]);
    }
}
