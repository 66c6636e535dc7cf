//! What templates of a destination make of an event for one request.

use super::destination::{DestinationFields, HttpMethod};
use super::template::{TemplateContext, TemplateFailure, check_json};

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
