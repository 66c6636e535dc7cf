//! Deliveries: one event for one destination. Here are the states of a delivery, and the rules for what follows an
//! attempt.

use std::time::Duration;

use super::event_type::EventType;
use super::ids::{AccountId, DeliveryId, DestinationId, EventId};
use super::manual_action::ManualAction;
use super::retry::{Jitter, RetrySchedule};
use super::string_enum::words;
use super::time::Timestamp;

/// Most bytes of a response's body that are stored with an attempt.
pub const LOGGED_BODY_BYTES: usize = 16 * 1024;

/// State of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Not delivered yet; will be tried, or tried again.
    Pending,
    /// The destination responded with 2xx.
    Succeeded,
    /// Every attempt of the schedule failed. A manual retry or a replay makes the delivery pending again.
    Exhausted,
    /// Cancelled manually.
    Cancelled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Succeeded, Self::Exhausted, Self::Cancelled];

    /// The word for this state in the API, the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }

    /// The number for this state in the database.
    pub fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Succeeded => 1,
            Self::Exhausted => 2,
            Self::Cancelled => 3,
        }
    }

    /// The state with this number in the database.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A response with a status other than 2xx.
    Status,
    /// No response before the timeout.
    Timeout,
    /// No TCP connection could be made.
    Connect,
    /// The host name does not resolve.
    Dns,
    /// The TLS handshake failed, or later data was not valid TLS.
    Tls,
    /// The host name resolves to an address that deliveries must not reach.
    RefusedAddress,
    /// The connection broke before the headers of a response were complete.
    Reset,
    /// The response is not valid HTTP, or its headers are over a limit.
    InvalidResponse,
    /// The request cannot be built from the destination's configuration.
    InvalidRequest,
    /// With the query of a GET the URL is longer than 8,000 bytes. The request is not sent.
    UrlTooLong,
    /// A template of the destination failed for this event. The request is not sent.
    TemplateFailed,
    /// The server stopped the attempt to free a place for other destinations, or could not start it. The latter happens
    /// where no open files, ports or memory are left. A cut attempt does not use up the schedule.
    Cut,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 12] = [
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
        Self::TemplateFailed,
        Self::Cut,
    ];

    /// The word for this class in the API, the database, the log and the metrics.
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
            Self::TemplateFailed => "template_failed",
            Self::Cut => "cut",
        }
    }
}

words!(DeliveryState, ErrorClass);

/// The result of one HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response came, whatever its body was like.
    Answer {
        /// HTTP status.
        status: u16,
        /// How long the destination asks to wait, already bounded. Counts only with 429 and 503.
        retry_after: Option<Duration>,
    },
    /// No response came, or no request was sent.
    NoAnswer(ErrorClass),
}

impl Outcome {
    /// Whether the status is 200 to 299. Nothing else is a success.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }

    /// HTTP status, if a response came.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(status),
            Self::NoAnswer(_) => None,
        }
    }

    /// Why the attempt failed. `None` for a success.
    pub fn error(self) -> Option<ErrorClass> {
        match self {
            Self::Answer { .. } if self.is_success() => None,
            Self::Answer { .. } => Some(ErrorClass::Status),
            Self::NoAnswer(class) => Some(class),
        }
    }
}

/// What happens to a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The delivery succeeded.
    Succeeded,
    /// The delivery stays pending and is tried again.
    Retry {
        /// When the delivery is due again.
        at: Timestamp,
        /// Failures of the schedule that are used up from then on.
        retry_step: u32,
    },
    /// The schedule is used up.
    Exhausted,
    /// 410: the destination is paused. The delivery stays pending and is sent first after a resume.
    PauseDestination,
}

/// What follows an attempt, for its delivery and its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The delivery's next state.
    pub next: Next,
    /// Time until which the whole destination is held back, because of `Retry-After`.
    pub hold_until: Option<Timestamp>,
}

/// What follows an attempt that ended with `outcome` at `now`. Before the attempt, `step` failures of `schedule` were
/// used up.
pub fn transition(step: u32, outcome: Outcome, schedule: &RetrySchedule, now: Timestamp, jitter: Jitter) -> Transition {
    let asked = match outcome {
        Outcome::Answer { status: 429 | 503, retry_after } => retry_after,
        _ => None,
    };
    let hold_until = asked.map(|wait| now.plus(wait));
    // The hold belongs to the destination, so that it can be removed. The delivery itself keeps to its schedule.
    let retry = |delay: Duration, step| Next::Retry { at: now.plus(delay), retry_step: step };
    let next = match outcome {
        _ if outcome.is_success() => Next::Succeeded,
        Outcome::Answer { status: 410, .. } => Next::PauseDestination,
        Outcome::NoAnswer(ErrorClass::UrlTooLong | ErrorClass::TemplateFailed) => Next::Exhausted,
        Outcome::NoAnswer(ErrorClass::Cut) => {
            retry(schedule.delay(step, jitter).unwrap_or(CUT_DELAY).min(CUT_DELAY), step)
        }
        _ => schedule.delay(step, jitter).map_or(Next::Exhausted, |delay| retry(delay, step + 1)),
    };
    Transition { next, hold_until }
}

/// Longest delay after an attempt that was cut. Such an attempt says little about its destination, so the next one is
/// soon.
const CUT_DELAY: Duration = Duration::from_secs(5);

/// One HTTP request for a delivery, as it is stored.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When the attempt began.
    pub at: Timestamp,
    /// Time from the beginning of the attempt to the end of the response, or to the failure.
    pub duration: Duration,
    /// The result.
    pub outcome: Outcome,
    /// What went wrong, for people. A response that counts has a detail too if its body was wrong. Never holds a
    /// secret.
    pub detail: Option<String>,
    /// At most the first [`LOGGED_BODY_BYTES`] bytes of the response's body.
    pub body: Vec<u8>,
    /// Whether the response's body was longer than `body`.
    pub body_truncated: bool,
    /// What was sent, where a template made it.
    pub made_body: Option<LoggedBody>,
}

/// The beginning of a body, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedBody {
    /// At most the first [`LOGGED_BODY_BYTES`] bytes.
    pub bytes: Vec<u8>,
    /// Whether the body was longer.
    pub truncated: bool,
}

impl LoggedBody {
    /// The beginning of `body`.
    pub fn of(body: &[u8]) -> Self {
        Self { bytes: body[..body.len().min(LOGGED_BODY_BYTES)].to_vec(), truncated: body.len() > LOGGED_BODY_BYTES }
    }
}

/// An attempt as it is read from the database.
#[derive(Debug, Clone)]
pub struct LoggedAttempt {
    /// Number of the attempt within its delivery. The first is 1.
    pub number: u32,
    /// When the attempt began.
    pub at: Timestamp,
    /// How long the attempt took.
    pub duration: Duration,
    /// HTTP status, if a response came.
    pub status_code: Option<u16>,
    /// Why the attempt failed. `None` for a success.
    pub error: Option<ErrorClass>,
    /// What went wrong, for people.
    pub detail: Option<String>,
    /// First bytes of the response's body.
    pub body: Vec<u8>,
    /// Whether the response's body was longer than `body`.
    pub body_truncated: bool,
    /// What was sent, where a template made it.
    pub made_body: Option<LoggedBody>,
}

/// A delivery as it is read.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Id of its event.
    pub event_id: EventId,
    /// Id of its destination.
    pub destination_id: DestinationId,
    /// Id of the account that owns the event.
    pub account_id: AccountId,
    /// Type of the event, if its sender gave one.
    pub event_type: Option<EventType>,
    /// State of the delivery.
    pub state: DeliveryState,
    /// Attempts made so far.
    pub attempt_count: u32,
    /// Status of the last attempt, if a response came.
    pub status_code: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<ErrorClass>,
    /// When the delivery is due; set only while pending. The delivery may wait longer if its destination is paused or
    /// held back.
    pub next_attempt_at: Option<Timestamp>,
    /// When the event was received.
    pub created_at: Timestamp,
    /// When the last attempt began.
    pub last_attempt_at: Option<Timestamp>,
}

/// A delivery with all that happened to it.
#[derive(Debug, Clone)]
pub struct DeliveryDetail {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, oldest first.
    pub attempts: Vec<LoggedAttempt>,
    /// What was done with it manually, oldest first.
    pub manual_actions: Vec<ManualAction>,
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
        Next::Retry { at: NOW.plus(Duration::from_secs(seconds)), retry_step: step }
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
    fn what_cannot_be_sent_is_never_tried_again() {
        for class in [ErrorClass::UrlTooLong, ErrorClass::TemplateFailed] {
            assert_eq!(verdict(0, Outcome::NoAnswer(class)).next, Next::Exhausted);
        }
    }
}
