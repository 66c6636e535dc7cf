//! The body and the response of a preview.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use serde_json::value::RawValue;

use super::destination_values::{body_template, event_types, filter, header_templates};
use super::values::{Pairs, RawJson};
use crate::api::request::body::FromBody;
use crate::api::request::fields::{Fields, parsed, whole};
use crate::domain;
use crate::domain::conditions::SkipReason;
use crate::domain::delivery::ErrorClass;
use crate::domain::destination::{DeliveryOrder, DestinationFields, HttpMethod, OnExhausted};
use crate::domain::event::SAMPLE;
use crate::domain::event_type::{EventType, EventTypePatterns};
use crate::domain::filter::Filter;
use crate::domain::ids::EventId;
use crate::domain::network::NetworkPolicy;
use crate::domain::preview::PreviewSummary;
use crate::domain::rate::Rate;
use crate::domain::template::Template;
use crate::domain::templates::HeaderTemplates;

/// Most events of a preview over the newest ones.
pub const MAX_LAST: u16 = 1_000;

/// What to preview: one stored event (`event_id`), a document (`data`), or the account's newest events (`last`).
/// Settings that are given take the place of the destination's for this preview; `null` means none.
#[derive(Debug, Object)]
#[oai(example)]
pub struct DestinationPreview {
    /// Id of a stored event of the destination's account.
    #[oai(nullable)]
    pub event_id: Option<EventId>,
    /// Any JSON value, as an event's document.
    pub data: Option<RawJson>,
    /// Type of the event, with `data`.
    #[oai(nullable)]
    pub event_type: Option<EventType>,
    /// Number of the account's newest events to look at.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "1000")))]
    pub last: Option<u16>,
    /// HTTP method of the requests.
    pub http_method: Option<HttpMethod>,
    /// Patterns of the types of events, as of a destination.
    #[oai(nullable, validator(min_items = 1, max_items = 50))]
    pub event_types: Option<Vec<String>>,
    /// Expression that is true for the events that the destination gets.
    #[oai(nullable, validator(min_length = 1, max_length = 4096))]
    pub filter: Option<String>,
    /// Template of the body.
    #[oai(nullable, validator(min_length = 1, max_length = 32768))]
    pub body_template: Option<String>,
    /// Templates of headers. They take the place of all that the destination has.
    #[oai(nullable)]
    pub header_templates: Option<Pairs>,
    /// Accepted as of a destination. A preview does not depend on it.
    #[oai(nullable)]
    pub rate_limit: Option<Rate>,
    /// Accepted as of a destination. A preview does not depend on it.
    pub ordering: Option<DeliveryOrder>,
    /// Accepted as of a destination. A preview does not depend on it.
    pub on_exhausted: Option<OnExhausted>,
}

/// What a preview is about.
#[derive(Debug)]
pub enum PreviewOf {
    /// A stored event.
    Event(EventId),
    /// A document that the client gave, with a type.
    Data(Box<RawValue>, Option<EventType>),
    /// The account's newest events.
    Last(u16),
}

/// Settings that take the place of the destination's. `None` leaves a setting as it is.
#[derive(Debug, Default)]
pub struct PreviewSettings {
    method: Option<HttpMethod>,
    event_types: Option<Option<EventTypePatterns>>,
    filter: Option<Option<Filter>>,
    body_template: Option<Option<Template>>,
    header_templates: Option<Option<HeaderTemplates>>,
}

impl PreviewSettings {
    /// Puts these settings in the place of those in `fields`.
    pub fn apply(self, fields: &mut DestinationFields) {
        if let Some(method) = self.method {
            fields.method = method;
        }
        if let Some(types) = self.event_types {
            fields.conditions.event_types = types;
        }
        if let Some(filter) = self.filter {
            fields.conditions.filter = filter;
        }
        if let Some(template) = self.body_template {
            fields.templates.body = template;
        }
        if let Some(templates) = self.header_templates {
            fields.templates.headers = templates.unwrap_or_default();
        }
    }
}

impl FromBody for DestinationPreview {
    type Parsed = (PreviewOf, PreviewSettings);

    const KEEPS_SOURCE: bool = true;
    const COMPILES: bool = true;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<Self::Parsed> {
        let event = fields.optional("event_id", parsed::<EventId>);
        let data = fields.raw("data");
        let event_type = fields.optional("event_type", parsed::<EventType>);
        let last = fields.optional("last", whole(1, MAX_LAST.into()));
        let settings = settings(fields);
        let (event, last) = (event?, last?);
        // Generated clients send null for what is not given. Alone it is a document.
        let data = data?.filter(|data| data.get() != "null" || (event.is_none() && last.is_none()));
        let of = match (event, data, last, event_type?) {
            (Some(event), None, None, None) => Some(PreviewOf::Event(event)),
            (None, Some(data), None, event_type) => Some(PreviewOf::Data(data, event_type)),
            // The bound was checked, so the number fits.
            (None, None, Some(last), None) => Some(PreviewOf::Last(u16::try_from(last).unwrap_or(MAX_LAST))),
            (_, None, _, Some(_)) => {
                fields.add_error("event_type", "belongs to data; a stored event has its own type");
                None
            }
            _ => {
                fields.add_error("data", "give exactly one of event_id, data and last");
                None
            }
        };
        Some((of?, settings?))
    }
}

fn settings(fields: &mut Fields) -> Option<PreviewSettings> {
    let method = fields.change("http_method", parsed);
    let event_types = fields.clearable("event_types", event_types);
    let filter = fields.clearable("filter", filter);
    let body_template = fields.clearable("body_template", body_template);
    let header_templates = fields.clearable("header_templates", header_templates);
    fields.clearable("rate_limit", parsed::<Rate>);
    fields.change("ordering", parsed::<DeliveryOrder>);
    fields.change("on_exhausted", parsed::<OnExhausted>);
    Some(PreviewSettings {
        method: method?,
        event_types: event_types?,
        filter: filter?,
        body_template: body_template?,
        header_templates: header_templates?,
    })
}

/// What an event would become at a destination. With `last`: how many of the newest events would come, and fail.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Preview {
    /// Whether the event is for the destination. Null with `last`.
    pub matches: Option<bool>,
    /// Why the event is not for the destination (`event_type`, `filter`), or why no request can be made
    /// (`template_failed`, `url_too_long`). Otherwise null.
    pub reason: Option<String>,
    /// The reason for people, where no request can be made.
    pub detail: Option<String>,
    /// The request. Its fields are null with `last`, and where none can be made.
    pub request: PreviewedRequest,
    /// What the author of a template should know.
    pub warnings: Vec<String>,
    /// With `last`: number of events looked at. Fewer than asked for if there are no more, or after 5 seconds.
    pub events: Option<u32>,
    /// With `last`: number of these events that are for the destination.
    pub matching: Option<u32>,
    /// With `last`: number of matching events of which no request can be made.
    pub failing: Option<u32>,
    /// With `last`: the newest of these. Its fields are null if there is none.
    pub first_failure: PreviewFailure,
}

/// A request as it would be sent.
#[derive(Debug, Default, Object, Serialize)]
#[oai(example)]
pub struct PreviewedRequest {
    /// HTTP method.
    pub method: Option<String>,
    /// The whole URL.
    pub url: Option<String>,
    /// Headers. Values that contain secrets, and signatures, are masked as `********`.
    pub headers: Option<Pairs>,
    /// The body as text; null with GET.
    pub body: Option<String>,
}

/// An event of which no request can be made.
#[derive(Debug, Default, Object, Serialize)]
#[oai(example)]
pub struct PreviewFailure {
    /// Id of the event.
    pub event_id: Option<EventId>,
    /// Why: `template_failed` or `url_too_long`.
    pub reason: Option<String>,
    /// The reason for people.
    pub detail: Option<String>,
}

impl From<domain::preview::Preview> for Preview {
    fn from(preview: domain::preview::Preview) -> Self {
        let skipped = preview.skipped.map(SkipReason::as_str);
        let (request, failure) = match preview.request {
            Ok(request) => (request.into(), None),
            Err(why) => (PreviewedRequest::default(), Some(why)),
        };
        let reason = skipped.or(failure.as_ref().map(|why| why.error.as_str()));
        Self {
            matches: Some(skipped.is_none()),
            reason: reason.map(str::to_owned),
            detail: failure.map(|why| why.detail),
            request,
            warnings: preview.warnings,
            events: None,
            matching: None,
            failing: None,
            first_failure: PreviewFailure::default(),
        }
    }
}

impl From<domain::preview::PreviewedRequest> for PreviewedRequest {
    fn from(request: domain::preview::PreviewedRequest) -> Self {
        Self {
            method: Some(request.method.to_string()),
            url: Some(request.url),
            headers: Some(Pairs(request.headers)),
            body: request.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        }
    }
}

impl From<PreviewSummary> for Preview {
    fn from(summary: PreviewSummary) -> Self {
        let first_failure = summary.first_failure.map(|(event_id, why)| PreviewFailure {
            event_id: Some(event_id),
            reason: Some(why.error.as_str().to_owned()),
            detail: Some(why.detail),
        });
        let first_failure = first_failure.unwrap_or_default();
        Self {
            matches: None,
            reason: None,
            detail: None,
            request: PreviewedRequest::default(),
            warnings: Vec::new(),
            events: Some(summary.events),
            matching: Some(summary.matching),
            failing: Some(summary.failing),
            first_failure,
        }
    }
}

impl Example for DestinationPreview {
    fn example() -> Self {
        Self {
            event_id: None,
            data: RawValue::from_string(SAMPLE.to_owned()).ok().map(RawJson),
            event_type: None,
            last: None,
            http_method: None,
            event_types: None,
            filter: Some("data.status == 'paid'".to_owned()),
            body_template: Some(r#"{"text": {{ "Order " ~ data.order_id ~ " is paid" }}}"#.to_owned()),
            header_templates: None,
            rate_limit: None,
            ordering: None,
            on_exhausted: None,
        }
    }
}

impl Example for Preview {
    fn example() -> Self {
        Self {
            matches: Some(true),
            reason: None,
            detail: None,
            request: PreviewedRequest::example(),
            warnings: Vec::new(),
            events: None,
            matching: None,
            failing: None,
            first_failure: PreviewFailure::default(),
        }
    }
}

impl Example for PreviewedRequest {
    fn example() -> Self {
        let headers = [("content-type", "application/json"), ("webhook-signature", "********")];
        Self {
            method: Some("POST".to_owned()),
            url: Some("https://example.com/hook".to_owned()),
            headers: Some(Pairs(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())),
            body: Some(r#"{"text": "Order 1042 is paid"}"#.to_owned()),
        }
    }
}

impl Example for PreviewFailure {
    fn example() -> Self {
        Self {
            event_id: Some(EventId(1_767_268_800_000 << 21)),
            reason: Some(ErrorClass::TemplateFailed.as_str().to_owned()),
            detail: Some(
                "body_template, line 1: data.name is missing; print it with |default(...) if it may be".to_owned(),
            ),
        }
    }
}
