//! Events: received JSON documents, and idempotency keys. A client that repeats an event with the same key does not
//! create a second event.

use std::str::FromStr;
use std::time::Duration;

use super::delivery::Delivery;
use super::document::Document;
use super::event_type::EventType;
use super::ids::{AccountId, AccountKey, EventId};
use super::time::Timestamp;

/// The sample document of examples, of test requests and of the first event.
pub const SAMPLE: &str = r#"{"order_id":1042,"status":"paid","total":"19.90"}"#;

/// How long an `Idempotency-Key` is remembered, whatever the retention is.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// Keys of events that were received at this time or before have expired at `now`. Keys of later events are still
/// valid.
pub fn keys_over(now: Timestamp) -> Timestamp {
    now.minus(IDEMPOTENCY_WINDOW)
}

/// A client's `Idempotency-Key`: 1 to 255 characters, visible ASCII and spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err("must have 1 to 255 visible ASCII characters".to_owned()) }
    }
}

/// A checked document that is to be accepted.
#[derive(Debug, Clone)]
pub struct IncomingEvent {
    /// Account that sent it.
    pub account: AccountKey,
    /// The bytes as they were received: one JSON document in UTF-8. With the type of the event.
    pub payload: Document,
    /// Key by which a repeated event is recognised.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Whether the event is accepted even if disk space is below the reserve: a notice that says so.
    pub may_use_reserve: bool,
}

/// An event as it is read.
#[derive(Debug, Clone)]
pub struct Event {
    /// Id of the event.
    pub id: EventId,
    /// Id of its account.
    pub account_id: AccountId,
    /// Type of the event, if its sender gave one.
    pub event_type: Option<EventType>,
    /// When the event was received.
    pub received_at: Timestamp,
    /// Length of its document, in bytes.
    pub payload_bytes: u64,
    /// One delivery for each destination that the event was for, in the order in which they were created.
    pub deliveries: Vec<Delivery>,
}
