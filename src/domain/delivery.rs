//! Deliveries: one event for one destination, its states, and what an attempt's outcome makes of it.

use std::time::Duration;

use super::ids::{AccountId, DeliveryId, DestinationId, EventId};
use super::retry::{Jitter, RetrySchedule};
use super::string_enum::words;
use super::time::Timestamp;

/// Bytes of an answer's body that the log keeps.
pub const LOGGED_BODY_BYTES: usize = 16 * 1024;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Not yet delivered; it will be tried (again).
    Pending,
    /// Answered with 2xx.
    Succeeded,
    /// Failed until its schedule was used up. A retry by hand or a replay opens it again.
    Exhausted,
    /// Given up by hand.
    Cancelled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Succeeded, Self::Exhausted, Self::Cancelled];

    /// The word in API, log and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }

    /// The number in the database.
    pub fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Succeeded => 1,
            Self::Exhausted => 2,
            Self::Cancelled => 3,
        }
    }

    /// From the number in the database.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// An answer other than 2xx.
    Status,
    /// No answer within the time.
    Timeout,
    /// No TCP connection.
    Connect,
    /// The name does not resolve.
    Dns,
    /// The TLS handshake failed, or what came later is not valid TLS.
    Tls,
    /// The name leads to an address that deliveries must not reach.
    RefusedAddress,
    /// The connection broke before the head of an answer was whole.
    Reset,
    /// What came is not HTTP, or over the limits of a header.
    InvalidResponse,
    /// The request cannot be built as configured.
    InvalidRequest,
    /// The GET query makes the URL longer than 8,000 bytes; it is not sent.
    UrlTooLong,
    /// Cut short by the server to make room for other destinations, or not made for want of open files or ports; it does
    /// not use up the schedule.
    Cut,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 11] = [
        Self::Status,
        Self::Timeout,
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::RefusedAddress,
        Self::Reset,
        Self::InvalidResponse,
        Self::InvalidRequest,
        Self::UrlTooLong,
        Self::Cut,
    ];

    /// The word in API, database, log and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::RefusedAddress => "refused_address",
            Self::Reset => "reset",
            Self::InvalidResponse => "invalid_response",
            Self::InvalidRequest => "invalid_request",
            Self::UrlTooLong => "url_too_long",
            Self::Cut => "cut",
        }
    }
}

words!(DeliveryState, ErrorClass);

/// What came of one HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came, whatever its body was like. `retry_after` is what 429 and 503 asked for, already bounded.
    Answer {
        /// HTTP status.
        status: u16,
        /// Wait that the destination asks for.
        retry_after: Option<Duration>,
    },
    /// No answer, or none was asked for.
    NoAnswer(ErrorClass),
}

impl Outcome {
    /// Success is 200 to 299 and nothing else.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }

    /// HTTP status, where an answer came.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(status),
            Self::NoAnswer(_) => None,
        }
    }

    /// Why it failed; `None` for a success.
    pub fn error(self) -> Option<ErrorClass> {
        match self {
            Self::Answer { .. } if self.is_success() => None,
            Self::Answer { .. } => Some(ErrorClass::Status),
            Self::NoAnswer(class) => Some(class),
        }
    }
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Succeeded,
    /// Pending, due again at this time; `step` is its place in the schedule from then on.
    Retry {
        /// When it is due.
        at: Timestamp,
        /// Failures of the schedule that are used up.
        step: u32,
    },
    /// The schedule is used up.
    Exhausted,
    /// 410: the destination is paused; this delivery stays pending and goes first on resume.
    PauseDestination,
}

/// What an attempt's outcome makes of its delivery and its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The delivery's next state.
    pub next: Next,
    /// The whole destination is held back until then (`Retry-After`).
    pub hold_until: Option<Timestamp>,
}

/// What follows when a delivery that has used up `step` failures of `schedule` ends an attempt with `outcome` at `now`.
pub fn transition(step: u32, outcome: Outcome, schedule: &RetrySchedule, now: Timestamp, jitter: Jitter) -> Transition {
    let asked = match outcome {
        Outcome::Answer { status: 429 | 503, retry_after } => retry_after,
        _ => None,
    };
    let hold_until = asked.map(|wait| now.plus(wait));
    // The hold is the destination's, so that it can be lifted; this delivery keeps to the schedule.
    let retry = |delay: Duration, step| Next::Retry { at: now.plus(delay), step };
    let next = match outcome {
        _ if outcome.is_success() => Next::Succeeded,
        Outcome::Answer { status: 410, .. } => Next::PauseDestination,
        Outcome::NoAnswer(ErrorClass::UrlTooLong) => Next::Exhausted,
        Outcome::NoAnswer(ErrorClass::Cut) => {
            retry(schedule.delay(step, jitter).unwrap_or(CUT_DELAY).min(CUT_DELAY), step)
        }
        _ => schedule.delay(step, jitter).map_or(Next::Exhausted, |delay| retry(delay, step + 1)),
    };
    Transition { next, hold_until }
}

/// A cut attempt says little about its destination, so it is tried again soon.
const CUT_DELAY: Duration = Duration::from_secs(5);

/// One HTTP request made for a delivery, as the log keeps it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// From its beginning to the end of the answer or the failure.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// What went wrong, for people, also with the body of an answer that counts; never holds a secret.
    pub detail: Option<String>,
    /// At most the first [`LOGGED_BODY_BYTES`] of the answer's body.
    pub body: Vec<u8>,
    /// Whether the answer's body was longer than what is kept.
    pub body_truncated: bool,
}

/// An attempt as it is read back.
#[derive(Debug, Clone)]
pub struct LoggedAttempt {
    /// 1 for the first of its delivery.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// HTTP status, where an answer came.
    pub status_code: Option<u16>,
    /// Why it failed; `None` for a success.
    pub error: Option<ErrorClass>,
    /// What went wrong, for people.
    pub detail: Option<String>,
    /// First bytes of the answer's body.
    pub body: Vec<u8>,
    /// Whether the answer's body was longer than that.
    pub body_truncated: bool,
}

/// A delivery as it is read.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event it carries.
    pub event_id: EventId,
    /// Where it goes.
    pub destination_id: DestinationId,
    /// Whose event it is.
    pub account_id: AccountId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Requests made so far.
    pub attempt_count: u32,
    /// Status of the last attempt, where an answer came.
    pub status_code: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<ErrorClass>,
    /// When it is due; only while pending. A paused or held destination may make it wait longer.
    pub next_attempt_at: Option<Timestamp>,
    /// When its event was received.
    pub created_at: Timestamp,
    /// When its last attempt began.
    pub last_attempt_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn answer(status: u16) -> Outcome {
        Outcome::Answer { status, retry_after: None }
    }

    fn verdict(step: u32, outcome: Outcome) -> Transition {
        transition(step, outcome, &RetrySchedule::parse("5s,5m").unwrap(), NOW, Jitter::NONE)
    }

    fn due(seconds: u64, step: u32) -> Next {
        Next::Retry { at: NOW.plus(Duration::from_secs(seconds)), step }
    }

    #[test]
    fn success_is_2xx_and_nothing_else() {
        for status in [200, 201, 204, 299] {
            assert_eq!(verdict(0, answer(status)).next, Next::Succeeded, "{status}");
        }
        for status in [100, 101, 199, 300, 301, 304, 400, 404, 500, 600, 999] {
            assert_eq!(verdict(0, answer(status)).next, due(5, 1), "{status}");
        }
    }

    #[test]
    fn failures_walk_the_schedule_and_then_exhaust() {
        assert_eq!(verdict(0, Outcome::NoAnswer(ErrorClass::Timeout)).next, due(5, 1));
        assert_eq!(verdict(1, answer(500)).next, due(300, 2));
        assert_eq!(verdict(2, answer(500)).next, Next::Exhausted);
    }

    #[test]
    fn a_410_pauses_the_destination() {
        assert_eq!(verdict(2, answer(410)), Transition { next: Next::PauseDestination, hold_until: None });
    }

    #[test]
    fn retry_after_holds_the_destination_and_never_shortens_the_schedule() {
        let asks = |status, seconds| Outcome::Answer { status, retry_after: Some(Duration::from_secs(seconds)) };
        let long = verdict(0, asks(429, 60));
        assert_eq!((long.next, long.hold_until), (due(5, 1), Some(NOW.plus(Duration::from_secs(60)))));
        assert_eq!(verdict(1, asks(503, 60)).next, due(300, 2));
        assert_eq!(verdict(2, asks(503, 60)).hold_until, Some(NOW.plus(Duration::from_secs(60))));
        assert_eq!(verdict(0, asks(500, 60)), Transition { next: due(5, 1), hold_until: None });
    }

    #[test]
    fn a_cut_attempt_does_not_use_up_the_schedule() {
        assert_eq!(verdict(1, Outcome::NoAnswer(ErrorClass::Cut)).next, due(5, 1));
        assert_eq!(verdict(2, Outcome::NoAnswer(ErrorClass::Cut)).next, due(5, 2));
    }

    #[test]
    fn a_url_too_long_is_never_tried_again() {
        assert_eq!(verdict(0, Outcome::NoAnswer(ErrorClass::UrlTooLong)).next, Next::Exhausted);
    }
}
