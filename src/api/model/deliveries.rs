//! Responses about deliveries and their attempts. What follows an attempt is decided in `domain/delivery.rs`.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use crate::api::request::body::FromBody;
use crate::api::request::fields::{Fields, boolean};
use crate::domain;
use crate::domain::delivery::{DeliveryState, LoggedAttempt};
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId};
use crate::domain::manual_action::ManualActionKind;
use crate::domain::network::NetworkPolicy;
use crate::domain::page::{Cursor, Page};
use crate::domain::time::Timestamp;

/// A delivery: one event for one destination.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Delivery {
    /// Id of the delivery.
    pub delivery_id: DeliveryId,
    /// Id of the event, which is also the `webhook-id` of each request.
    pub event_id: EventId,
    /// Id of the destination that gets the delivery.
    pub destination_id: DestinationId,
    /// Id of the account that owns the event.
    pub account_id: AccountId,
    /// Type of the event; null if the event has none.
    pub event_type: Option<EventType>,
    /// State of the delivery.
    pub state: DeliveryState,
    /// Number of HTTP requests made so far for the delivery.
    pub attempt_count: u32,
    /// HTTP status of the last attempt; null if no response came.
    #[oai(validator(minimum(value = "100"), maximum(value = "999")))]
    pub status_code: Option<u16>,
    /// Why the last attempt failed, as one word; null if it succeeded or none was made. The words are `status` (a
    /// response other than 2xx), `timeout`, `connect`, `dns`, `tls`, `refused_address`, `reset`, `invalid_response`,
    /// `invalid_request`, `url_too_long`, `template_failed` and `cut` (the server itself stopped the attempt).
    pub error: Option<String>,
    /// Time of the next attempt; null unless the delivery is pending. The attempt comes later if the destination is
    /// paused or delayed.
    pub next_attempt_at: Option<Timestamp>,
    /// Time when the event was received.
    pub created_at: Timestamp,
    /// Time when the last attempt began; null before the first attempt.
    pub last_attempt_at: Option<Timestamp>,
}

/// How to send a delivery again.
#[derive(Debug, Object)]
#[oai(example)]
pub struct DeliveryRetry {
    /// If true, the delivery is sent again although later ones of a destination in strict order were sent before it.
    #[oai(nullable)]
    pub out_of_order: Option<bool>,
}

/// One HTTP request made for a delivery.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Attempt {
    /// Number of the attempt: 1 for the first attempt of a delivery.
    pub number: u32,
    /// Time when the attempt began.
    pub at: Timestamp,
    /// Duration of the attempt in milliseconds.
    pub duration_ms: u64,
    /// HTTP status of the response; null if no response came.
    #[oai(validator(minimum(value = "100"), maximum(value = "999")))]
    pub status_code: Option<u16>,
    /// Why the attempt failed, as one word such as `timeout`; null if the attempt succeeded.
    pub error: Option<String>,
    /// Why the attempt failed, explained for people. Also present if only the body of a response was faulty, and its
    /// status still counts.
    pub detail: Option<String>,
    /// First 16 KiB of the response body, as text.
    pub response_body: String,
    /// True if the response body was longer than 16 KiB.
    pub response_body_truncated: bool,
    /// First 16 KiB of the body that was sent, as text, if `body_template` made it. Otherwise null: the event's document
    /// was sent as it came.
    pub request_body: Option<String>,
    /// True if the body that was sent was longer than 16 KiB. Null if `request_body` is null.
    pub request_body_truncated: Option<bool>,
}

/// Something that was done manually with a delivery.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct ManualAction {
    /// Time when it was done.
    pub at: Timestamp,
    /// What was done.
    pub action: ManualActionKind,
}

/// A delivery with its attempts and with all that was done with it manually.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct DeliveryDetail {
    /// The delivery.
    #[oai(flatten)]
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Attempts of the delivery, oldest first.
    pub attempts: Vec<Attempt>,
    /// What was done with the delivery manually, oldest first.
    pub manual_actions: Vec<ManualAction>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct DeliveryPage {
    /// Deliveries of this page.
    pub items: Vec<Delivery>,
    /// `cursor` for the next page; null on the last page.
    pub next_cursor: Option<Cursor>,
}

/// Result of a replay: how many deliveries are sent again.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct ReplayCount {
    /// Number of deliveries that are sent again, or would be with `dry_run`.
    pub count: u64,
}

impl FromBody for DeliveryRetry {
    /// Whether the order of a destination may be broken.
    type Parsed = bool;

    const MAY_BE_MISSING: bool = true;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<bool> {
        Some(fields.optional("out_of_order", boolean)?.unwrap_or(false))
    }
}

impl From<domain::delivery::Delivery> for Delivery {
    fn from(delivery: domain::delivery::Delivery) -> Self {
        Self {
            delivery_id: delivery.id,
            event_id: delivery.event_id,
            destination_id: delivery.destination_id,
            account_id: delivery.account_id,
            state: delivery.state,
            event_type: delivery.event_type,
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
            request_body_truncated: attempt.made_body.as_ref().map(|body| body.truncated),
            request_body: attempt.made_body.map(|body| String::from_utf8_lossy(&body.bytes).into_owned()),
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
            made_body: attempt.made_body,
        }
        .into()
    }
}

impl From<domain::manual_action::ManualAction> for ManualAction {
    fn from(done: domain::manual_action::ManualAction) -> Self {
        Self { at: done.at, action: done.action }
    }
}

impl From<domain::delivery::DeliveryDetail> for DeliveryDetail {
    fn from(detail: domain::delivery::DeliveryDetail) -> Self {
        Self {
            delivery: detail.delivery.into(),
            attempts: detail.attempts.into_iter().map(Attempt::from).collect(),
            manual_actions: detail.manual_actions.into_iter().map(ManualAction::from).collect(),
        }
    }
}

impl From<Page<domain::delivery::Delivery>> for DeliveryPage {
    fn from(page: Page<domain::delivery::Delivery>) -> Self {
        Self { items: page.items.into_iter().map(Delivery::from).collect(), next_cursor: page.next }
    }
}

impl Example for DeliveryRetry {
    fn example() -> Self {
        Self { out_of_order: Some(false) }
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
            event_type: Some(EventType::from_stored("order.paid")),
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
            request_body: None,
            request_body_truncated: None,
        }
    }
}

impl Example for ManualAction {
    fn example() -> Self {
        Self { at: Timestamp::from_millis(1_767_268_800_000), action: ManualActionKind::Retry }
    }
}

impl Example for DeliveryDetail {
    fn example() -> Self {
        let (attempts, manual_actions) = (vec![Attempt::example()], vec![ManualAction::example()]);
        Self { delivery: Delivery::example(), attempts, manual_actions }
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
