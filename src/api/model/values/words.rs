//! Values that are one of a few words, with a schema that lists them. The words of `domain` are its own; those that only
//! the API has are here.

use std::fmt;
use std::str::FromStr;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};

use crate::domain::access::Role;
use crate::domain::conditions::SkipReason;
use crate::domain::delivery::DeliveryState;
use crate::domain::destination::{DeliveryOrder, HttpMethod, OnExhausted};
use crate::domain::manual_action::ManualActionKind;

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
