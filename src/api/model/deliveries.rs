//! Objects about deliveries and their attempts.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use crate::domain;
use crate::domain::delivery::{DeliveryState, LoggedAttempt};
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId};
use crate::domain::page::{Cursor, Page};
use crate::domain::time::Timestamp;

/// A delivery: one event for one destination.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// The event that it carries, and the `webhook-id` of each attempt.
    pub event_id: EventId,
    /// Where it goes.
    pub destination_id: DestinationId,
    /// Whose event it is.
    pub account_id: AccountId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Requests made so far.
    pub attempt_count: u32,
    /// HTTP status of the last attempt; null if no answer came.
    #[oai(validator(minimum(value = "100"), maximum(value = "999")))]
    pub status_code: Option<u16>,
    /// Why the last attempt failed, in one word such as `timeout`, `connect`, `dns`, `tls`, `reset` or `status`.
    pub error: Option<String>,
    /// When it is tried next; only while pending. A paused or held destination may make it wait longer.
    pub next_attempt_at: Option<Timestamp>,
    /// When its event was received.
    pub created_at: Timestamp,
    /// When its last attempt began.
    pub last_attempt_at: Option<Timestamp>,
}

/// One HTTP request made for a delivery.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Attempt {
    /// 1 for the first of its delivery.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// HTTP status; null if no answer came.
    #[oai(validator(minimum(value = "100"), maximum(value = "999")))]
    pub status_code: Option<u16>,
    /// Why it failed, in one word; null for a success.
    pub error: Option<String>,
    /// Why it failed, for people, and what was wrong with the body of an answer that counts all the same.
    pub detail: Option<String>,
    /// The first 16 KiB of the answer's body, as text.
    pub response_body: String,
    /// Whether the answer's body was longer than that.
    pub response_body_truncated: bool,
}

/// A delivery with its attempts.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct DeliveryDetail {
    /// The delivery.
    #[oai(flatten)]
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct DeliveryPage {
    /// The deliveries.
    pub items: Vec<Delivery>,
    /// Leads to the next page; null at the end.
    pub next_cursor: Option<Cursor>,
}

/// How many deliveries are sent again.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct ReplayCount {
    /// Deliveries that were opened again, or with `dry_run` would be.
    pub count: u64,
}

impl From<domain::delivery::Delivery> for Delivery {
    fn from(delivery: domain::delivery::Delivery) -> Self {
        Self {
            delivery_id: delivery.id,
            event_id: delivery.event_id,
            destination_id: delivery.destination_id,
            account_id: delivery.account_id,
            state: delivery.state,
            attempt_count: delivery.attempt_count,
            status_code: delivery.status_code,
            error: delivery.error.map(|error| error.as_str().to_owned()),
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            last_attempt_at: delivery.last_attempt_at,
        }
    }
}

impl From<LoggedAttempt> for Attempt {
    fn from(attempt: LoggedAttempt) -> Self {
        Self {
            number: attempt.number,
            at: attempt.at,
            duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            status_code: attempt.status_code,
            error: attempt.error.map(|error| error.as_str().to_owned()),
            detail: attempt.detail,
            response_body: String::from_utf8_lossy(&attempt.body).into_owned(),
            response_body_truncated: attempt.body_truncated,
        }
    }
}

/// The attempt of a test, which no log keeps.
impl From<domain::delivery::Attempt> for Attempt {
    fn from(attempt: domain::delivery::Attempt) -> Self {
        LoggedAttempt {
            number: 1,
            at: attempt.at,
            duration: attempt.duration,
            status_code: attempt.outcome.status(),
            error: attempt.outcome.error(),
            detail: attempt.detail,
            body: attempt.body,
            body_truncated: attempt.body_truncated,
        }
        .into()
    }
}

impl From<(domain::delivery::Delivery, Vec<LoggedAttempt>)> for DeliveryDetail {
    fn from((delivery, attempts): (domain::delivery::Delivery, Vec<LoggedAttempt>)) -> Self {
        Self { delivery: delivery.into(), attempts: attempts.into_iter().map(Attempt::from).collect() }
    }
}

impl From<Page<domain::delivery::Delivery>> for DeliveryPage {
    fn from(page: Page<domain::delivery::Delivery>) -> Self {
        Self { items: page.items.into_iter().map(Delivery::from).collect(), next_cursor: page.next }
    }
}

impl Example for Delivery {
    fn example() -> Self {
        let received = Timestamp::from_millis(1_767_268_800_000);
        let number = domain::ids::sequence_id(received);
        Self {
            delivery_id: DeliveryId(number + 1),
            event_id: EventId(number),
            destination_id: DestinationId::from_stored("dst_kq3nB7vXcT0pL9sYw2RfE".to_owned()),
            account_id: AccountId::from_stored("acc_V1StGXR8_Z5jdHi6B-myT".to_owned()),
            state: DeliveryState::Succeeded,
            attempt_count: 1,
            status_code: Some(200),
            error: None,
            next_attempt_at: None,
            created_at: received,
            last_attempt_at: Some(Timestamp::from_millis(received.millis() + 4)),
        }
    }
}

impl Example for Attempt {
    fn example() -> Self {
        Self {
            number: 1,
            at: Timestamp::from_millis(1_767_268_800_004),
            duration_ms: 12,
            status_code: Some(200),
            error: None,
            detail: None,
            response_body: "ok".to_owned(),
            response_body_truncated: false,
        }
    }
}

impl Example for DeliveryDetail {
    fn example() -> Self {
        Self { delivery: Delivery::example(), attempts: vec![Attempt::example()] }
    }
}

impl Example for DeliveryPage {
    fn example() -> Self {
        Self { items: vec![Delivery::example()], next_cursor: None }
    }
}

impl Example for ReplayCount {
    fn example() -> Self {
        Self { count: 3 }
    }
}
