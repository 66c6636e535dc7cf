//! Request bodies about destinations, and what they are converted into. The rules for URLs, headers and schedules
//! belong in `domain`.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Example;

use super::destination_values::{
    body_template, concurrency, destination_fields, event_types, filter, header_changes, header_template_changes,
    retry_schedule, timeout, url,
};
use super::destinations::Destination;
use super::values::{DurationText, PairChanges, Pairs, ReplayState};
use crate::api::request::body::FromBody;
use crate::api::request::fields::{Fields, boolean, parsed};
use crate::domain::delivery::DeliveryState;
use crate::domain::destination::{DeliveryOrder, DestinationFields, DestinationPatch, HttpMethod, OnExhausted};
use crate::domain::network::NetworkPolicy;
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;
use crate::store::ReplayFilter;
use crate::web::body::media_type::Accepts;

/// Settings of a new destination.
#[derive(Debug, Object)]
#[oai(example)]
pub struct DestinationCreate {
    /// URL to which the account's events are sent: http or https. Local and private addresses are refused, unless the
    /// server runs with `--dev` (loopback) or `--allow-network`.
    #[oai(validator(max_length = 2048, pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\\s][^#\\\s]*$"))]
    pub url: String,
    /// HTTP method of the requests.
    pub http_method: HttpMethod,
    /// Headers of each request as an object of strings; may be `{}`. A header replaces the default of the same name
    /// (`Content-Type`, `User-Agent`). At most 100 headers and 32 KiB.
    pub headers: Pairs,
    /// Delays after the first, second, … failed attempt, such as `5s`, `10m` or `24h`. An empty list means a single
    /// attempt. If not given, the server's default (`--retry-schedule`) applies.
    #[oai(nullable, validator(max_items = 30))]
    pub retry_schedule: Option<Vec<DurationText>>,
    /// Maximum duration of an attempt in seconds. If not given, the server's default (`--timeout`) applies.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "300")))]
    pub timeout_seconds: Option<u16>,
    /// Maximum number of attempts in progress at once. If not given, the server's default (`--destination-concurrency`)
    /// applies.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    pub max_concurrency: Option<u16>,
    /// Maximum number of requests that may begin in a second, minute or hour, such as `10/s`. Retries, replays and tests
    /// count too. If not given, there is no limit.
    #[oai(nullable)]
    pub rate_limit: Option<Rate>,
    /// Order of deliveries. If not given, `none`.
    pub ordering: Option<DeliveryOrder>,
    /// What follows when a delivery is exhausted. If not given, `continue`.
    pub on_exhausted: Option<OnExhausted>,
    /// Patterns of the types of events that the destination gets, such as `order.*`; `*` stands for any run of
    /// characters. An event must match one of them. If not given, all events, also those without a type.
    #[oai(nullable, validator(min_items = 1, max_items = 50))]
    pub event_types: Option<Vec<String>>,
    /// Expression that is true for the events that the destination gets, such as `data.total > 100`. It is asked once,
    /// when an event is accepted. If not given, all events.
    #[oai(nullable, validator(min_length = 1, max_length = 4096))]
    pub filter: Option<String>,
    /// Template (Jinja) of the body that is sent in place of the event's document. Every value that it prints is JSON by
    /// itself, such as `{"text": {{ data.name }}}`. If not given, the document as it came.
    #[oai(nullable, validator(min_length = 1, max_length = 32768))]
    pub body_template: Option<String>,
    /// Templates of headers that are made for each event. Names follow the rules of `headers`, and none is in both. At
    /// most 20. If not given, none.
    #[oai(nullable)]
    pub header_templates: Option<Pairs>,
}

/// All settings of a destination. Optional settings that are not given go back to the server's defaults.
#[derive(Debug, Object)]
#[oai(example)]
pub struct DestinationReplace {
    /// URL to which the account's events are sent: http or https. Local and private addresses are refused, unless the
    /// server runs with `--dev` (loopback) or `--allow-network`.
    #[oai(validator(max_length = 2048, pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\\s][^#\\\s]*$"))]
    pub url: String,
    /// HTTP method of the requests.
    pub http_method: HttpMethod,
    /// Headers of each request as an object of strings; may be `{}`. A header replaces the default of the same name
    /// (`Content-Type`, `User-Agent`). At most 100 headers and 32 KiB.
    pub headers: Pairs,
    /// Delays after the first, second, … failed attempt, such as `5s`, `10m` or `24h`. An empty list means a single
    /// attempt. If not given, the server's default (`--retry-schedule`) applies.
    #[oai(nullable, validator(max_items = 30))]
    pub retry_schedule: Option<Vec<DurationText>>,
    /// Maximum duration of an attempt in seconds. If not given, the server's default (`--timeout`) applies.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "300")))]
    pub timeout_seconds: Option<u16>,
    /// Maximum number of attempts in progress at once. If not given, the server's default (`--destination-concurrency`)
    /// applies.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    pub max_concurrency: Option<u16>,
    /// Maximum number of requests that may begin in a second, minute or hour, such as `10/s`. Retries, replays and tests
    /// count too. If not given, there is no limit.
    #[oai(nullable)]
    pub rate_limit: Option<Rate>,
    /// Order of deliveries. If not given, `none`.
    pub ordering: Option<DeliveryOrder>,
    /// What follows when a delivery is exhausted. If not given, `continue`.
    pub on_exhausted: Option<OnExhausted>,
    /// Patterns of the types of events that the destination gets, such as `order.*`; `*` stands for any run of
    /// characters. An event must match one of them. If not given, all events, also those without a type.
    #[oai(nullable, validator(min_items = 1, max_items = 50))]
    pub event_types: Option<Vec<String>>,
    /// Expression that is true for the events that the destination gets, such as `data.total > 100`. It is asked once,
    /// when an event is accepted. If not given, all events.
    #[oai(nullable, validator(min_length = 1, max_length = 4096))]
    pub filter: Option<String>,
    /// Template (Jinja) of the body that is sent in place of the event's document. Every value that it prints is JSON by
    /// itself, such as `{"text": {{ data.name }}}`. If not given, the document as it came.
    #[oai(nullable, validator(min_length = 1, max_length = 32768))]
    pub body_template: Option<String>,
    /// Templates of headers that are made for each event. Names follow the rules of `headers`, and none is in both. At
    /// most 20. If not given, none.
    #[oai(nullable)]
    pub header_templates: Option<Pairs>,
}

/// Changes to a destination (RFC 7396 merge patch). Settings that are not given do not change.
#[derive(Debug, Object)]
#[oai(example)]
pub struct DestinationUpdate {
    /// URL to which the account's events are sent: http or https. Local and private addresses are refused, unless the
    /// server runs with `--dev` (loopback) or `--allow-network`.
    #[oai(validator(max_length = 2048, pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\\s][^#\\\s]*$"))]
    pub url: Option<String>,
    /// HTTP method of the requests.
    pub http_method: Option<HttpMethod>,
    /// Headers to change: a string sets a header, and `null` removes a header. Other headers do not change.
    pub headers: Option<PairChanges>,
    /// Delays after the first, second, … failed attempt, such as `5s`, `10m` or `24h`. An empty list means a single
    /// attempt. `null` goes back to the server's default (`--retry-schedule`).
    #[oai(nullable, validator(max_items = 30))]
    pub retry_schedule: Option<Vec<DurationText>>,
    /// Maximum duration of an attempt in seconds. `null` goes back to the server's default (`--timeout`).
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "300")))]
    pub timeout_seconds: Option<u16>,
    /// Maximum number of attempts in progress at once. `null` goes back to the server's default
    /// (`--destination-concurrency`).
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    pub max_concurrency: Option<u16>,
    /// Maximum number of requests that may begin in a second, minute or hour, such as `10/s`. Retries, replays and tests
    /// count too. `null` removes the limit.
    #[oai(nullable)]
    pub rate_limit: Option<Rate>,
    /// Order of deliveries.
    pub ordering: Option<DeliveryOrder>,
    /// What follows when a delivery is exhausted.
    pub on_exhausted: Option<OnExhausted>,
    /// Patterns of the types of events that the destination gets, such as `order.*`; `*` stands for any run of
    /// characters. An event must match one of them. `null` means all events, also those without a type.
    #[oai(nullable, validator(min_items = 1, max_items = 50))]
    pub event_types: Option<Vec<String>>,
    /// Expression that is true for the events that the destination gets, such as `data.total > 100`. It is asked once,
    /// when an event is accepted. `null` means all events.
    #[oai(nullable, validator(min_length = 1, max_length = 4096))]
    pub filter: Option<String>,
    /// Template (Jinja) of the body that is sent in place of the event's document. Every value that it prints is JSON by
    /// itself, such as `{"text": {{ data.name }}}`. `null` means the document as it came.
    #[oai(nullable, validator(min_length = 1, max_length = 32768))]
    pub body_template: Option<String>,
    /// Templates of headers that are made for each event. Names follow the rules of `headers`, and none is in both. At
    /// most 20. A string sets a header, and `null` removes one; `null` in place of the object removes all.
    #[oai(nullable)]
    pub header_templates: Option<PairChanges>,
}

/// Which deliveries of a destination to send again. Without `state`, these are deliveries that succeeded, were
/// cancelled or are exhausted (all attempts of the schedule failed). Pending deliveries are sent anyway and cannot be
/// chosen.
#[derive(Debug, Object)]
#[oai(example)]
pub struct DestinationReplay {
    /// Only deliveries of events that were received at or after this time.
    pub since: Timestamp,
    /// Only deliveries of events that were received before this time. The default is now.
    #[oai(nullable)]
    pub until: Option<Timestamp>,
    /// Only deliveries in this state. If not given, deliveries in all states except `pending`.
    pub state: Option<ReplayState>,
    /// If true, only returns the number of deliveries that would be sent again.
    #[oai(nullable)]
    pub dry_run: Option<bool>,
}

impl FromBody for DestinationCreate {
    type Parsed = DestinationFields;

    const COMPILES: bool = true;

    fn read(fields: &mut Fields, network: &NetworkPolicy) -> Option<DestinationFields> {
        destination_fields(fields, network)
    }
}

impl FromBody for DestinationReplace {
    type Parsed = DestinationFields;

    const COMPILES: bool = true;

    fn read(fields: &mut Fields, network: &NetworkPolicy) -> Option<DestinationFields> {
        destination_fields(fields, network)
    }
}

impl FromBody for DestinationUpdate {
    type Parsed = DestinationPatch;

    const ACCEPTS: Accepts = Accepts::MergePatch;
    const COMPILES: bool = true;

    fn read(fields: &mut Fields, network: &NetworkPolicy) -> Option<DestinationPatch> {
        let url = fields.change("url", url(network));
        let method = fields.change("http_method", parsed);
        let headers = fields.change("headers", header_changes);
        let retry_schedule = fields.clearable("retry_schedule", retry_schedule);
        let timeout = fields.clearable("timeout_seconds", timeout);
        let max_concurrency = fields.clearable("max_concurrency", concurrency);
        let rate_limit = fields.clearable("rate_limit", parsed);
        let ordering = fields.change("ordering", parsed);
        let on_exhausted = fields.change("on_exhausted", parsed);
        let event_types = fields.clearable("event_types", event_types);
        let filter = fields.clearable("filter", filter);
        let body_template = fields.clearable("body_template", body_template);
        let header_templates = fields.clearable("header_templates", header_template_changes);
        Some(DestinationPatch {
            url: url?,
            method: method?,
            headers: headers?.unwrap_or_default(),
            retry_schedule: retry_schedule?,
            timeout: timeout?,
            max_concurrency: max_concurrency?,
            rate_limit: rate_limit?,
            ordering: ordering?,
            on_exhausted: on_exhausted?,
            event_types: event_types?,
            filter: filter?,
            body_template: body_template?,
            header_templates: header_templates?,
        })
    }
}

impl FromBody for DestinationReplay {
    type Parsed = ReplayFilter;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<ReplayFilter> {
        let since = fields.required("since", parsed::<Timestamp>);
        let until = fields.optional("until", parsed::<Timestamp>);
        let state = fields.change("state", parsed::<ReplayState>);
        let dry_run = fields.optional("dry_run", boolean);
        let (since, until) = (since?, until?);
        if until.is_some_and(|until| until <= since) {
            fields.add_error("until", "must be later than since");
        }
        Some(ReplayFilter { since, until, state: state?.map(DeliveryState::from), dry_run: dry_run?.unwrap_or(false) })
    }
}

// Swagger UI fills in these examples. So they have only what a newcomer wants to send as it stands.
impl Example for DestinationCreate {
    fn example() -> Self {
        let Destination { url, http_method, headers, .. } = Destination::example();
        Self {
            url,
            http_method,
            headers,
            retry_schedule: None,
            timeout_seconds: None,
            max_concurrency: None,
            rate_limit: None,
            ordering: None,
            on_exhausted: None,
            event_types: None,
            filter: None,
            body_template: None,
            header_templates: None,
        }
    }
}

impl Example for DestinationReplace {
    fn example() -> Self {
        let Destination { url, http_method, headers, .. } = Destination::example();
        Self {
            url,
            http_method,
            headers,
            retry_schedule: None,
            timeout_seconds: None,
            max_concurrency: None,
            rate_limit: None,
            ordering: None,
            on_exhausted: None,
            event_types: None,
            filter: None,
            body_template: None,
            header_templates: None,
        }
    }
}

impl Example for DestinationUpdate {
    fn example() -> Self {
        Self {
            url: None,
            http_method: None,
            headers: Some(PairChanges(BTreeMap::from([("X-Team".to_owned(), Some("billing".to_owned()))]))),
            retry_schedule: None,
            timeout_seconds: Some(30),
            max_concurrency: None,
            rate_limit: None,
            ordering: None,
            on_exhausted: None,
            event_types: None,
            filter: None,
            body_template: None,
            header_templates: None,
        }
    }
}

impl Example for DestinationReplay {
    fn example() -> Self {
        let since = Timestamp::from_millis(1_767_268_800_000);
        Self { since, until: None, state: Some(ReplayState::Exhausted), dry_run: Some(true) }
    }
}
