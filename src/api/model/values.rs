//! How values of the domain look in JSON and in the OpenAPI document. Which values are valid is decided in `domain`,
//! not here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::access::Role;
use crate::domain::access_token::TokenName;
use crate::domain::account::{AccountName, Email, Website};
use crate::domain::conditions::SkipReason;
use crate::domain::delivery::DeliveryState;
use crate::domain::destination::{DeliveryOrder, HttpMethod, OnExhausted};
use crate::domain::duration;
use crate::domain::event::IdempotencyKey;
use crate::domain::event_type::{self, EventType};
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId, TokenId};
use crate::domain::manual_action::ManualActionKind;
use crate::domain::page::{Cursor, DEFAULT_LIMIT, MAX_LIMIT};
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;

/// Implements [`Type`] for a type that is a single value. `$schema_ref` refers to its schema, and `$register` registers
/// that schema.
macro_rules! value_type {
    ($type:ty, $name:literal, $schema_ref:expr, $register:expr) => {
        impl Type for $type {
            const IS_REQUIRED: bool = true;

            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                $schema_ref
            }

            fn register(registry: &mut Registry) {
                let register: fn(&mut Registry) = $register;
                register(registry);
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }
    };
}

/// A type whose schema is written out wherever the type is used.
macro_rules! inline_type {
    ($type:ty, $name:literal, $schema:expr) => {
        value_type!($type, $name, MetaSchemaRef::Inline(Box::new($schema)), |_| {});
    };
}

/// JSON for a type that is a string on the wire: `Display` writes the string, and `FromStr` reads it.
macro_rules! text_json {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                Some(Value::String(self.to_string()))
            }
        }

        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => text.parse().map_err(ParseError::<Self>::custom),
                    other => Err(ParseError::expected_type(other.unwrap_or_default())),
                }
            }
        }
    };
}

/// A string type and its schema.
macro_rules! text {
    ($type:ty, $name:literal, $schema:expr) => {
        inline_type!($type, $name, $schema);
        text_json!($type);
    };
}

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

/// A string type with a named schema that lists its words.
macro_rules! words {
    ($type:ty, $name:literal, $description:literal, $words:expr) => {
        words!($type, $name, $description, $words, Some($words[0].as_str().into()));
    };
    ($type:ty, $name:literal, $description:literal, $words:expr, $example:expr) => {
        value_type!($type, $name, MetaSchemaRef::Reference($name.to_owned()), |registry| {
            registry.create_schema::<Self, _>($name.to_owned(), |_| MetaSchema {
                description: Some($description),
                enum_items: $words.map(|word| word.as_str().into()).to_vec(),
                example: $example,
                ..MetaSchema::new("string")
            });
        });
        text_json!($type);
    };
}

words!(
    HttpMethod,
    "HttpMethod",
    "HTTP method of the requests to a destination. With GET, the JSON document is sent as query parameters. With \
     the other methods, the document is the body.",
    HttpMethod::ALL
);
words!(
    DeliveryOrder,
    "DeliveryOrder",
    "In which order a destination gets its deliveries. `none`: several at once, and later deliveries do not wait for the \
     retries of earlier ones. `strict`: by event id, one at a time; the next begins when the one before has succeeded, \
     or is cancelled or exhausted.",
    DeliveryOrder::ALL
);
words!(
    OnExhausted,
    "OnExhausted",
    "What follows for a destination when a delivery is exhausted. `continue`: its other deliveries go on. `pause`: the \
     destination is paused, and nothing is lost.",
    OnExhausted::ALL
);
words!(
    SkipReason,
    "SkipReason",
    "Why an event is not for a destination. `event_type`: its type matches none of the destination's `event_types`. \
     `filter`: the destination's `filter` is false for it.",
    SkipReason::ALL
);
words!(
    DeliveryState,
    "DeliveryState",
    "State of a delivery. `pending`: an attempt will follow. `succeeded`: the destination responded with 2xx. \
     `exhausted`: all attempts of the schedule failed, or the URL was too long. `cancelled`: cancelled manually.",
    DeliveryState::ALL,
    // Swagger UI would take it for the value of the optional filter, and hide every delivery that was sent.
    None
);
words!(
    Role,
    "Role",
    "What a token may do. `viewer`: read everything but secrets. `operator`: also pause, resume, test, preview, retry, \
     cancel and replay. `admin`: everything.",
    Role::ALL
);
words!(
    ManualActionKind,
    "ManualActionKind",
    "What was done with a delivery. `retry`: it was sent again. `cancel`: it was cancelled. `replay`: it was sent again \
     by a replay.",
    ManualActionKind::ALL
);
words!(
    DestinationState,
    "DestinationState",
    "State of a destination. `active`: deliveries are sent. `paused`: deliveries wait, and none is lost.",
    [DestinationState::Active, DestinationState::Paused]
);

words!(
    ReplayState,
    "ReplayState",
    "State of the deliveries to send again: succeeded, cancelled, or exhausted (all attempts of the schedule \
     failed). Pending deliveries are sent anyway.",
    [ReplayState::Exhausted, ReplayState::Succeeded, ReplayState::Cancelled]
);

/// A state from which deliveries can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// The destination responded with 2xx.
    Succeeded,
    /// All attempts of the schedule failed.
    Exhausted,
    /// Cancelled manually.
    Cancelled,
}

impl From<ReplayState> for DeliveryState {
    fn from(state: ReplayState) -> Self {
        match state {
            ReplayState::Succeeded => Self::Succeeded,
            ReplayState::Exhausted => Self::Exhausted,
            ReplayState::Cancelled => Self::Cancelled,
        }
    }
}

impl ReplayState {
    fn as_str(self) -> &'static str {
        DeliveryState::from(self).as_str()
    }
}

impl fmt::Display for ReplayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReplayState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Succeeded, Self::Exhausted, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| "must be one of succeeded, exhausted, cancelled".to_owned())
    }
}

/// Whether deliveries to a destination are sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationState {
    /// Deliveries are sent.
    Active,
    /// Deliveries wait as pending.
    Paused,
}

impl DestinationState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for DestinationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DestinationState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Active, Self::Paused].into_iter().find(|state| state.as_str() == text).ok_or("no such state".to_owned())
    }
}

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

/// Schema of header values: visible ASCII, and spaces and tabs only inside.
fn header_value() -> MetaSchema {
    MetaSchema {
        pattern: Some(r"^([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?$".to_owned()),
        ..MetaSchema::new("string")
    }
}

/// A JSON object of strings, in the given order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

inline_type!(Pairs, "pairs", {
    let values = MetaSchemaRef::Inline(Box::new(header_value()));
    MetaSchema { additional_properties: Some(Box::new(values)), max_properties: Some(100), ..MetaSchema::new("object") }
});

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl ToJSON for Pairs {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

impl ParseFromJSON for Pairs {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let map = BTreeMap::<String, String>::parse_from_json(value).map_err(ParseError::propagate)?;
        Ok(Self(map.into_iter().collect()))
    }
}

/// Changes to a [`Pairs`]: a string sets a member, and null removes a member.
#[derive(Debug, Clone)]
pub struct PairChanges(pub BTreeMap<String, Option<String>>);

inline_type!(PairChanges, "pair_changes", {
    let values = MetaSchemaRef::Inline(Box::new(MetaSchema { nullable: true, ..header_value() }));
    MetaSchema { additional_properties: Some(Box::new(values)), ..MetaSchema::new("object") }
});

impl ToJSON for PairChanges {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(&self.0).ok()
    }
}

impl ParseFromJSON for PairChanges {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map(Self).map_err(ParseError::custom)
    }
}

/// Any JSON value, kept byte for byte.
#[derive(Debug, Clone)]
pub struct RawJson(pub Box<RawValue>);

inline_type!(RawJson, "json", MetaSchema::ANY);

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl ToJSON for RawJson {
    fn to_json(&self) -> Option<Value> {
        serde_json::from_str(self.0.get()).ok()
    }
}

impl ParseFromJSON for RawJson {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::value::to_raw_value(&value).map(Self).map_err(ParseError::custom)
    }
}
