//! Responses about destinations. Request bodies are in `destination_bodies.rs`.

use std::time::Duration;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use super::values::{DestinationState, DurationText, Pairs};
use crate::domain;
use crate::domain::destination::{DeliveryOrder, HttpMethod, OnExhausted};
use crate::domain::ids::{AccountId, DestinationId};
use crate::domain::page::{Cursor, Page};
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::SigningSecret;
use crate::domain::time::Timestamp;

/// A destination: a URL with HTTP method and headers, to which an account's events are sent.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Destination {
    /// Id of the destination.
    pub destination_id: DestinationId,
    /// Id of the account whose events are sent to the destination.
    pub account_id: AccountId,
    /// URL to which the account's events are sent.
    #[oai(validator(max_length = 2048))]
    pub url: String,
    /// HTTP method of the requests.
    pub http_method: HttpMethod,
    /// Headers of each request, in addition to the defaults or in place of them. In lists, values that contain secrets
    /// are masked as `********`. Empty while `paused_reason` is `secrets_unreadable`.
    pub headers: Pairs,
    /// Delays after the first, second, … failed attempt. Null means the server's default (`--retry-schedule`).
    pub retry_schedule: Option<Vec<DurationText>>,
    /// Maximum duration of an attempt in seconds. Null means the server's default (`--timeout`).
    pub timeout_seconds: Option<u16>,
    /// Maximum number of attempts in progress at once. Null means the server's default (`--destination-concurrency`).
    pub max_concurrency: Option<u16>,
    /// Maximum number of requests that may begin in a second, minute or hour, such as `10/s`. Null means no limit.
    pub rate_limit: Option<Rate>,
    /// Order of deliveries.
    pub ordering: DeliveryOrder,
    /// What follows when a delivery is exhausted.
    pub on_exhausted: OnExhausted,
    /// Patterns of the types of events that the destination gets; `*` stands for any run of characters. Null means all
    /// events, also those without a type.
    pub event_types: Option<Vec<String>>,
    /// Expression that is true for the events that the destination gets. Null means all events.
    pub filter: Option<String>,
    /// Template of the body that is sent in place of the event's document. Null means the document as it came.
    pub body_template: Option<String>,
    /// Templates of headers that are made for each event. In lists, those of headers that contain secrets are masked as
    /// `********`. Null means none.
    pub header_templates: Option<Pairs>,
    /// Whether deliveries to the destination are sent now.
    pub state: DestinationState,
    /// Why the destination is paused: `manual`, `gone` (a response with status 410), `failing` (only failures for the
    /// time of `--pause-after`), with `on_exhausted` `pause`: `order_blocked` (strict order) or `exhausted`, or
    /// `secrets_unreadable` (its secrets cannot be opened with the server's key). Null if not paused.
    pub paused_reason: Option<String>,
    /// Time when the destination was paused; null if not paused.
    pub paused_at: Option<Timestamp>,
    /// Time until which deliveries are delayed, because the destination sent `Retry-After`. Null, or a time in the
    /// past, means no delay.
    pub held_until: Option<Timestamp>,
    /// Time when the next request may begin, while deliveries wait for `rate_limit`. Null if nothing waits for it.
    pub next_send_at: Option<Timestamp>,
    /// Time since which all attempts have failed; null if the destination is not failing.
    pub failing_since: Option<Timestamp>,
    /// Time when the destination was created.
    pub created_at: Timestamp,
    /// Time of the last change of the destination.
    pub updated_at: Timestamp,
}

/// A page of destinations, oldest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct DestinationPage {
    /// Destinations of this page. Header values that contain secrets are masked as `********`.
    pub items: Vec<Destination>,
    /// `cursor` for the next page; null on the last page.
    pub next_cursor: Option<Cursor>,
}

/// The secret that signs all requests to a destination.
#[derive(Debug, Object, Serialize)]
#[oai(example, rename = "SigningSecret")]
pub struct SigningSecretAnswer {
    /// Signing secret: `whsec_` and 32 bytes in base64, as Standard Webhooks libraries expect it.
    pub signing_secret: String,
}

impl Destination {
    /// The destination with its header values as they are sent. `next_send_at` is what the engine says.
    pub fn whole(destination: domain::destination::Destination, next_send_at: Option<Timestamp>) -> Self {
        let pairs =
            destination.fields.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let templates = destination.fields.templates.headers.iter();
        let templates = templates.map(|(name, template)| (name.to_owned(), template.as_str().to_owned())).collect();
        Self { next_send_at, ..Self::with_headers(destination, Pairs(pairs), templates) }
    }

    /// The destination for lists: header values that contain secrets are masked.
    pub fn masked(destination: domain::destination::Destination, next_send_at: Option<Timestamp>) -> Self {
        let headers = Pairs(destination.fields.headers.masked());
        let templates = destination.fields.templates.headers.masked();
        Self { next_send_at, ..Self::with_headers(destination, headers, templates) }
    }

    fn with_headers(
        destination: domain::destination::Destination,
        headers: Pairs,
        header_templates: Vec<(String, String)>,
    ) -> Self {
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
            rate_limit: fields.rate_limit,
            ordering: fields.ordering,
            on_exhausted: fields.on_exhausted,
            event_types: fields.conditions.event_types.map(|types| types.iter().map(str::to_owned).collect()),
            filter: fields.conditions.filter.map(|filter| filter.as_str().to_owned()),
            body_template: fields.templates.body.map(|template| template.as_str().to_owned()),
            header_templates: (!header_templates.is_empty()).then_some(Pairs(header_templates)),
            state: if destination.pause.is_some() { DestinationState::Paused } else { DestinationState::Active },
            paused_reason: destination.pause.map(|pause| pause.reason.to_string()),
            paused_at: destination.pause.map(|pause| pause.at),
            held_until: destination.held_until,
            next_send_at: None,
            failing_since: destination.failing_since,
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        }
    }
}

impl DestinationPage {
    /// The page, with what the engine says of each item.
    pub fn of(page: Page<domain::destination::Destination>, next_sends: Vec<Option<Timestamp>>) -> Self {
        let items = page.items.into_iter().zip(next_sends);
        let items = items.map(|(destination, next)| Destination::masked(destination, next)).collect();
        Self { items, next_cursor: page.next }
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
            rate_limit: Rate::parse("10/s").ok(),
            ordering: DeliveryOrder::None,
            on_exhausted: OnExhausted::Continue,
            event_types: Some(vec!["order.*".to_owned()]),
            filter: Some("data.status == 'paid'".to_owned()),
            body_template: Some(r#"{"text": {{ "Order " ~ data.order_id ~ " is paid" }}}"#.to_owned()),
            header_templates: Some(Pairs(vec![("X-Order".to_owned(), "{{ data.order_id }}".to_owned())])),
            state: DestinationState::Active,
            paused_reason: None,
            paused_at: None,
            held_until: None,
            next_send_at: None,
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
