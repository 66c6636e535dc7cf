//! What an event would become at a destination. Nothing is sent.

use std::borrow::Cow;

use super::conditions::{AccountConditions, AskedEvent, SkipReason};
use super::delivery::ErrorClass;
use super::destination::{Destination, HttpMethod};
use super::document::Document;
use super::headers::{MASK, holds_secret};
use super::ids::EventId;
use super::outgoing::{OutgoingEvent, OutgoingRequest};
use super::shaping::{self, ShapedAttempt};
use super::template::TemplateContext;
use super::time::Timestamp;

/// Id of the delivery that templates of a preview see.
const NO_DELIVERY: &str = "dlv_preview";

/// An event to preview.
pub struct PreviewedEvent {
    /// Id of the event.
    pub id: EventId,
    /// When the event was received.
    pub received_at: Timestamp,
    /// The document, with the type of the event.
    pub document: Document,
}

/// What an event would become.
pub struct Preview {
    /// Why the event is not for the destination. `None` if it is.
    pub skipped: Option<SkipReason>,
    /// The request, whether the event is for the destination or not. An error says why none can be made.
    pub request: Result<PreviewedRequest, NoRequest>,
    /// What the author of a template should know.
    pub warnings: Vec<String>,
}

/// Why no request can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRequest {
    /// The word for the error, as of an attempt.
    pub error: ErrorClass,
    /// What is wrong, for people.
    pub detail: String,
}

/// A request as it would be sent.
pub struct PreviewedRequest {
    /// The HTTP method.
    pub method: HttpMethod,
    /// The whole URL.
    pub url: String,
    /// Name and value of each header. [`MASK`] replaces values that hold a secret, and signatures.
    pub headers: Vec<(String, String)>,
    /// The body. `None` for GET.
    pub body: Option<Vec<u8>>,
}

/// Makes the preview of an event at a destination with these settings. A body has at most `max_bytes`. Takes as long as
/// its templates, so it must not run on a thread that accepts.
pub fn preview(destination: &Destination, event: &PreviewedEvent, now: Timestamp, max_bytes: usize) -> Preview {
    let conditions = vec![destination.fields.conditions.clone()];
    let skipped = AccountConditions::new(destination.account_id.clone(), conditions).and_then(|conditions| {
        let asked = AskedEvent {
            document: &event.document,
            event_type: event.document.event_type(),
            received_at: event.received_at,
        };
        conditions.ask(&asked).into_iter().next().flatten()
    });
    let (received_at, delivery) = (event.received_at, NO_DELIVERY);
    let attempt = ShapedAttempt { event: event.id, received_at, delivery, number: 1 };
    let context = shaping::context(destination, &event.document, &attempt);
    let request = request(destination, event, &context, now, max_bytes);
    let inexact = context.inexact_number().map(|path| {
        let raw = path.replacen("data", "raw", 1);
        format!("{path} is a number that is printed otherwise than it came; {raw} prints it as it came")
    });
    Preview { skipped, request, warnings: inexact.into_iter().collect() }
}

fn request(
    destination: &Destination,
    event: &PreviewedEvent,
    context: &TemplateContext,
    now: Timestamp,
    max_bytes: usize,
) -> Result<PreviewedRequest, NoRequest> {
    let made = shaping::shape(&destination.fields, context, max_bytes)
        .map_err(|failure| NoRequest { error: ErrorClass::TemplateFailed, detail: failure.detail })?;
    let outgoing = OutgoingEvent {
        id: event.id,
        event_type: event.document.event_type(),
        document: made.body.as_deref().unwrap_or(&event.document),
        made_headers: &made.headers,
    };
    let request = OutgoingRequest::build(destination, &outgoing, now).map_err(|too_long| NoRequest {
        error: ErrorClass::UrlTooLong,
        detail: format!("the URL would have {} bytes", too_long.0),
    })?;
    let shown = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        let value = if holds_secret(&name) { MASK.to_owned() } else { value.into_owned() };
        (name.into_owned(), value)
    };
    Ok(PreviewedRequest {
        method: request.method,
        url: request.url.into_owned(),
        headers: request.headers.into_iter().map(shown).collect(),
        body: request.body.map(<[u8]>::to_vec),
    })
}

/// What previews of several events came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreviewSummary {
    /// Events that were looked at, newest first.
    pub events: u32,
    /// Events that are for the destination.
    pub matching: u32,
    /// Events that are for the destination and of which no request can be made.
    pub failing: u32,
    /// The newest of these, and why.
    pub first_failure: Option<(EventId, NoRequest)>,
}

impl PreviewSummary {
    /// Adds the preview of one more event.
    pub fn add(&mut self, event: EventId, preview: Preview) {
        self.events += 1;
        if preview.skipped.is_some() {
            return;
        }
        self.matching += 1;
        if let Err(why) = preview.request {
            self.failing += 1;
            self.first_failure.get_or_insert((event, why));
        }
    }
}
