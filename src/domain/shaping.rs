//! What templates of a destination make of an event for one request.

use super::destination::{Destination, DestinationFields, HttpMethod};
use super::document::Document;
use super::event_type::EventType;
use super::ids::EventId;
use super::template::{TemplateContext, TemplateFailure, TemplateInput, check_json};
use super::time::Timestamp;

/// Longest value of a made header, in bytes. Many receivers refuse longer ones.
const MAX_MADE_HEADER_BYTES: usize = 8 * 1024;

/// What templates made of an event for one request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Takes the place of the document. `None` where there is no body template.
    pub body: Option<Vec<u8>>,
    /// Name and value of each made header, in order. May hold secrets.
    pub headers: Vec<(String, String)>,
}

/// What templates see besides the document and the destination.
#[derive(Clone, Copy)]
pub struct ShapedAttempt<'a> {
    /// The event.
    pub event: EventId,
    /// When the event was received.
    pub received_at: Timestamp,
    /// Id of the delivery.
    pub delivery: &'a str,
    /// Number of the attempt, from 1.
    pub number: u32,
}

/// What all templates of one attempt see.
pub fn context(destination: &Destination, document: &Document, attempt: &ShapedAttempt<'_>) -> TemplateContext {
    TemplateContext::new(
        document.clone(),
        &TemplateInput {
            event_id: &attempt.event.to_string(),
            event_type: document.event_type().map(EventType::as_str),
            received_at: &attempt.received_at.to_string(),
            account_id: destination.account_id.as_str(),
            destination_id: destination.id.as_str(),
            delivery_id: attempt.delivery,
            attempt: attempt.number,
        },
    )
}

/// Makes body and headers for a destination with these fields. Each has at most `max_bytes`.
///
/// # Errors
/// The first template that fails. A body that has to be JSON and is not fails too: that of a GET, and one whose
/// content type says so.
pub fn shape(fields: &DestinationFields, context: &TemplateContext, max_bytes: usize) -> Result<Made, TemplateFailure> {
    let mut made = Made::default();
    for (name, template) in fields.templates.headers.iter() {
        let value = template.render(context, max_bytes.min(MAX_MADE_HEADER_BYTES)).map_err(|failure| {
            TemplateFailure { detail: format!("header_templates.{name}, {}", failure.detail), ..failure }
        })?;
        // A header value is ASCII.
        made.headers.push((name.to_owned(), String::from_utf8_lossy(&value).into_owned()));
    }
    if let Some(template) = &fields.templates.body {
        let at_body = |failure: TemplateFailure| TemplateFailure {
            detail: format!("body_template, {}", failure.detail),
            ..failure
        };
        let body = template.render(context, max_bytes).map_err(at_body)?;
        let content_type = made
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.as_str())
            .or_else(|| fields.headers.get("content-type"));
        if fields.method == HttpMethod::Get || content_type.is_none_or(is_json) {
            check_json(&body).map_err(at_body)?;
        }
        made.body = Some(body);
    }
    Ok(made)
}

/// Whether a content type stands for JSON: `application/json` or a type that ends in `+json` (RFC 6839).
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}
