//! How values of the domain look in JSON and in the OpenAPI document. Which values are valid is decided in `domain`,
//! not here.

#[macro_use]
mod macros;
mod maps;
mod words;

use std::fmt;
use std::str::FromStr;

use poem_openapi::registry::MetaSchema;

pub use self::maps::{PairChanges, Pairs, RawJson};
pub use self::words::{DestinationState, ReplayState};
use crate::domain::access_token::TokenName;
use crate::domain::account::{AccountName, Email, Website};
use crate::domain::duration;
use crate::domain::event::IdempotencyKey;
use crate::domain::event_type::{self, EventType};
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId, TokenId};
use crate::domain::page::{Cursor, DEFAULT_LIMIT, MAX_LIMIT};
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;

fn string(example: &str) -> MetaSchema {
    MetaSchema { example: Some(example.into()), ..MetaSchema::new("string") }
}

fn string_of(format: &'static str, example: &str) -> MetaSchema {
    MetaSchema { format: Some(format), ..string(example) }
}

// No pattern: ids are opaque to clients, and generators create a separate type for each place with a pattern.
text!(AccountId, "account_id", string("acc_V1StGXR8_Z5jdHi6B-myT"));
text!(DestinationId, "destination_id", string("dst_kq3nB7vXcT0pL9sYw2RfE"));
text!(EventId, "event_id", string("evt_36vsdqb000000"));
text!(DeliveryId, "delivery_id", string("dlv_36vsdqb000001"));
text!(TokenId, "token_id", string("tok_9fK2mVxQ7bTzR4sLwN8pC"));
text!(Timestamp, "time", string_of("date-time", "2026-01-31T12:00:00.000Z"));
text!(Cursor, "cursor", string("c1-00000000000003e8"));
text!(Email, "email", MetaSchema { max_length: Some(254), ..string_of("email", "ada@example.com") });
text!(
    AccountName,
    "account_name",
    MetaSchema { min_length: Some(1), max_length: Some(200), ..string("Ada's workshop") }
);
text!(TokenName, "name", MetaSchema { min_length: Some(1), max_length: Some(100), ..string("Status page") });
// Not `format: uri`: Java's generated client would use `java.net.URI`. That class refuses what every browser accepts,
// such as `|` in a path, and the client could then not read the account at all.
text!(
    Website,
    "website",
    MetaSchema {
        max_length: Some(2_048),
        pattern: Some("^[Hh][Tt][Tt][Pp][Ss]?://".to_owned()),
        ..string("https://example.com")
    }
);

fn number(lowest: u16, highest: u16) -> MetaSchema {
    let bound = |bound: u16| Some(f64::from(bound));
    MetaSchema { minimum: bound(lowest), maximum: bound(highest), ..MetaSchema::new_with_format("integer", "int32") }
}

fn whole_between(text: &str, lowest: u16, highest: u16) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten().filter(|number| (lowest..=highest).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {lowest} to {highest}"))
}

/// Maximum number of items in a page, as the client asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub u16);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        whole_between(text, 1, MAX_LIMIT).map(Self)
    }
}

inline_type!(Limit, "limit", MetaSchema { default: Some(DEFAULT_LIMIT.into()), ..number(1, MAX_LIMIT) });

/// An HTTP status in a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusFilter(pub u16);

impl FromStr for StatusFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        whole_between(text, 100, 999).map(Self)
    }
}

inline_type!(StatusFilter, "status_code", number(100, 999));

/// A duration as people write it, such as `5s` or `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationText(pub std::time::Duration);

impl FromStr for DurationText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        duration::parse(text).map(Self)
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::format(self.0))
    }
}

text!(DurationText, "duration", MetaSchema { pattern: Some("^[0-9]+(ms|s|m|h|d)$".to_owned()), ..string("1h") });

// No pattern, as for ids; the first character is a letter or digit.
text!(
    EventType,
    "event_type",
    MetaSchema { min_length: Some(1), max_length: Some(event_type::MAX_LENGTH), ..string("order.paid") }
);

text!(Rate, "rate", MetaSchema { pattern: Some("^[1-9][0-9]{0,6}/[smh]$".to_owned()), ..string("10/s") });

// No space at the ends: there it belongs to the header, not to the key.
inline_type!(
    IdempotencyKey,
    "idempotency_key",
    MetaSchema {
        pattern: Some(r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$".to_owned()),
        ..MetaSchema::new("string")
    }
);
