//! Answers about destinations.

use std::time::Duration;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use super::values::{DestinationState, DurationText, Pairs};
use crate::domain;
use crate::domain::destination::HttpMethod;
use crate::domain::ids::{AccountId, DestinationId};
use crate::domain::page::{Cursor, Page};
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::SigningSecret;
use crate::domain::time::Timestamp;

/// A destination: where an account's events go, and how.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Destination {
    /// Its id.
    pub destination_id: DestinationId,
    /// Whose events it gets.
    pub account_id: AccountId,
    /// Where to.
    #[oai(validator(max_length = 2048))]
    pub url: String,
    /// How.
    pub http_method: HttpMethod,
    /// Headers over the defaults. In lists the values of those that hold secrets are masked.
    pub headers: Pairs,
    /// Waits after the first, second, … failed attempt; null for the server's.
    pub retry_schedule: Option<Vec<DurationText>>,
    /// Longest time of an attempt, in seconds; null for the server's.
    pub timeout_seconds: Option<u16>,
    /// Most attempts at once; null for the server's.
    pub max_concurrency: Option<u16>,
    /// Whether it gets deliveries now.
    pub state: DestinationState,
    /// Why it is paused: `manual`, `gone` (it answered 410) or `failing` (nothing but failures for days).
    pub paused_reason: Option<String>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Held back until then by a `Retry-After` of its own.
    pub held_until: Option<Timestamp>,
    /// Since when it has had nothing but failures.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A page of destinations, oldest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct DestinationPage {
    /// The destinations; the values of headers that hold secrets are masked.
    pub items: Vec<Destination>,
    /// Leads to the next page; null at the end.
    pub next_cursor: Option<Cursor>,
}

/// The secret that signs what a destination gets.
#[derive(Debug, Object, Serialize)]
#[oai(example, rename = "SigningSecret")]
pub struct SigningSecretAnswer {
    /// `whsec_` and 32 bytes in base64, as Standard Webhooks libraries take it.
    pub signing_secret: String,
}

impl Destination {
    /// With the values of headers that hold secrets masked, for lists.
    pub fn masked(destination: domain::destination::Destination) -> Self {
        let headers = Pairs(destination.fields.headers.masked());
        Self::with_headers(destination, headers)
    }

    fn with_headers(destination: domain::destination::Destination, headers: Pairs) -> Self {
        let fields = destination.fields;
        let delays = |schedule: RetrySchedule| schedule.delays().iter().copied().map(DurationText).collect();
        let seconds = |timeout: Duration| u16::try_from(timeout.as_secs()).unwrap_or(u16::MAX);
        Self {
            destination_id: destination.id,
            account_id: destination.account_id,
            url: fields.url.as_str().to_owned(),
            http_method: fields.method,
            headers,
            retry_schedule: fields.retry_schedule.map(delays),
            timeout_seconds: fields.timeout.map(seconds),
            max_concurrency: fields.max_concurrency,
            state: if destination.pause.is_some() { DestinationState::Paused } else { DestinationState::Active },
            paused_reason: destination.pause.map(|pause| pause.reason.to_string()),
            paused_at: destination.pause.map(|pause| pause.at),
            held_until: destination.held_until,
            failing_since: destination.failing_since,
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        }
    }
}

impl From<domain::destination::Destination> for Destination {
    fn from(destination: domain::destination::Destination) -> Self {
        let pairs =
            destination.fields.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self::with_headers(destination, Pairs(pairs))
    }
}

impl From<Page<domain::destination::Destination>> for DestinationPage {
    fn from(page: Page<domain::destination::Destination>) -> Self {
        Self { items: page.items.into_iter().map(Destination::masked).collect(), next_cursor: page.next }
    }
}

impl From<&SigningSecret> for SigningSecretAnswer {
    fn from(secret: &SigningSecret) -> Self {
        Self { signing_secret: secret.reveal() }
    }
}

impl Example for Destination {
    fn example() -> Self {
        let made = Timestamp::from_millis(1_767_268_800_000);
        Self {
            destination_id: DestinationId::from_stored("dst_kq3nB7vXcT0pL9sYw2RfE".to_owned()),
            account_id: AccountId::from_stored("acc_V1StGXR8_Z5jdHi6B-myT".to_owned()),
            url: "https://example.com/hook".to_owned(),
            http_method: HttpMethod::Post,
            headers: Pairs(vec![("X-Team".to_owned(), "orders".to_owned())]),
            retry_schedule: Some([5, 300, 1_800].map(|seconds| DurationText(Duration::from_secs(seconds))).to_vec()),
            timeout_seconds: Some(15),
            max_concurrency: Some(8),
            state: DestinationState::Active,
            paused_reason: None,
            paused_at: None,
            held_until: None,
            failing_since: None,
            created_at: made,
            updated_at: made,
        }
    }
}

impl Example for DestinationPage {
    fn example() -> Self {
        Self { items: vec![Destination::example()], next_cursor: None }
    }
}

impl Example for SigningSecretAnswer {
    fn example() -> Self {
        (&SigningSecret::from_bytes([0; 32])).into()
    }
}
