//! Events: one JSON document received, and the key under which it may be sent again without being taken twice.

use std::str::FromStr;
use std::time::Duration;

use super::delivery::Delivery;
use super::document::Document;
use super::ids::{AccountId, AccountKey, EventId};
use super::time::Timestamp;

/// An `Idempotency-Key` is remembered for this long, whatever the retention is.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The last time of receipt whose key is over `now`; those of events that were received later still hold.
pub fn keys_over(now: Timestamp) -> Timestamp {
    now.minus(IDEMPOTENCY_WINDOW)
}

/// A client's `Idempotency-Key`: 1 to 255 characters of visible ASCII and space.
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
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("an Idempotency-Key must have 1 to 255 visible ASCII characters".to_owned())
        }
    }
}

/// A checked document on its way in.
#[derive(Debug, Clone)]
pub struct IncomingEvent {
    /// Whose it is.
    pub account: AccountKey,
    /// The bytes as they came; one JSON document in UTF-8.
    pub payload: Document,
    /// Key under which a repeat is recognised.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// An event as it is read.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose it is.
    pub account_id: AccountId,
    /// When it was received.
    pub received_at: Timestamp,
    /// Bytes of its document.
    pub payload_bytes: u64,
    /// One for each destination that the account had, in the order in which they were made.
    pub deliveries: Vec<Delivery>,
}
