//! What a destination gets for an event, as data. The engine sends it, and pages show it, so both take it from here.

use std::borrow::Cow;
use std::fmt;

use super::destination::{Destination, DestinationFields, HttpMethod};
use super::event_type::EventType;
use super::headers::holds_secret;
use super::ids::EventId;
use super::query::{self, UrlTooLong};
use super::signature;
use super::time::Timestamp;

/// Value of `user-agent`, unless the destination has its own.
pub const USER_AGENT: &str = concat!("data-pusher/", env!("CARGO_PKG_VERSION"));

/// The event that a request carries.
#[derive(Clone, Copy)]
pub struct OutgoingEvent<'a> {
    /// The id by which receivers recognise a repeated request.
    pub id: EventId,
    /// Type of the event.
    pub event_type: Option<&'a EventType>,
    /// The document, byte for byte as it was accepted, or what a template made in place of it.
    pub document: &'a [u8],
    /// Name and value of each header that a template made.
    pub made_headers: &'a [(String, String)],
}

/// The headers that are sent unless the destination has its own of the same name, or makes one. Names are in lower case.
pub fn default_headers(fields: &DestinationFields) -> impl Iterator<Item = (&str, &str)> {
    let content_type = (fields.method != HttpMethod::Get).then_some(("content-type", "application/json"));
    let all = std::iter::once(("user-agent", USER_AGENT)).chain(content_type);
    all.filter(move |(name, _)| fields.headers.get(name).is_none() && fields.templates.headers.get(name).is_none())
}

/// The headers that all requests to a destination have in common, in the order sent: default ones, then own ones. Holds
/// the secrets of the own ones.
pub fn common_headers(fields: &DestinationFields) -> impl Iterator<Item = (&str, &str)> {
    default_headers(fields).chain(fields.headers.iter())
}

/// The headers that differ from request to request, in the order sent. They follow those of [`common_headers`]. `now` is
/// the time of the attempt.
pub fn webhook_headers(
    destination: &Destination,
    event: &OutgoingEvent<'_>,
    content: &Content<'_>,
    now: Timestamp,
) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let id = event.id.to_string();
    let signatures = signature::signatures(destination.secrets.valid_at(now), &id, now, content.signed());
    let always =
        [("webhook-id", id), ("webhook-timestamp", now.seconds().to_string()), ("webhook-signature", signatures)];
    let event_type = event.event_type.map(|event_type| ("webhook-event-type", event_type.to_string()));
    always.into_iter().chain(event_type)
}

/// The URL and body of a request, one of which has the document.
pub struct Content<'a> {
    /// The destination's URL. For GET it has the document as query parameters too.
    pub url: Cow<'a, str>,
    /// The document, byte for byte as it was accepted. `None` for GET.
    pub body: Option<&'a [u8]>,
}

impl<'a> Content<'a> {
    /// What `document` becomes for a destination with these fields.
    ///
    /// # Errors
    /// The URL of a GET would be too long.
    pub fn of(fields: &'a DestinationFields, document: &'a [u8]) -> Result<Self, UrlTooLong> {
        match fields.method {
            HttpMethod::Get => {
                Ok(Self { url: Cow::Owned(query::url_with_document(&fields.url, document)?), body: None })
            }
            _ => Ok(Self { url: Cow::Borrowed(fields.url.as_str()), body: Some(document) }),
        }
    }

    /// What the signature covers: the body, or for GET the query.
    pub fn signed(&self) -> &[u8] {
        self.body.unwrap_or_else(|| query::query_part(&self.url).as_bytes())
    }
}

/// The request that an attempt makes. `Debug` shows neither URL nor body, and no value that holds a secret.
pub struct OutgoingRequest<'a> {
    /// The HTTP method.
    pub method: HttpMethod,
    /// The whole URL. For GET it ends with the document as query parameters. May hold secrets.
    pub url: Cow<'a, str>,
    /// Name and value of each header, in the order sent, with names in lower case as they are sent. Holds secrets.
    ///
    /// The connection itself adds the first ones: `content-length` (only with a body), `accept` (unless the destination
    /// has its own) and `host`. Those of [`common_headers`] follow, then those of [`webhook_headers`].
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The body. `None` for GET.
    pub body: Option<&'a [u8]>,
}

impl<'a> OutgoingRequest<'a> {
    /// The request for `event` to a destination as it is now. An attempt at another second has another timestamp and
    /// signature.
    ///
    /// # Errors
    /// The URL of a GET would be too long, so nothing is sent.
    pub fn build(destination: &'a Destination, event: &OutgoingEvent<'a>, now: Timestamp) -> Result<Self, UrlTooLong> {
        let fields = &destination.fields;
        let content = Content::of(fields, event.document)?;
        let mut headers = connection_headers(fields, content.body);
        headers.extend(common_headers(fields).map(|(name, value)| (in_lower_case(name), Cow::Borrowed(value))));
        headers.extend(
            event.made_headers.iter().map(|(name, value)| (in_lower_case(name), Cow::Borrowed(value.as_str()))),
        );
        let webhook = webhook_headers(destination, event, &content, now);
        headers.extend(webhook.map(|(name, value)| (Cow::Borrowed(name), Cow::Owned(value))));
        Ok(Self { method: fields.method, url: content.url, headers, body: content.body })
    }
}

impl fmt::Debug for OutgoingRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_ref(), if holds_secret(name) { "***" } else { value.as_ref() }))
            .collect();
        f.debug_struct("OutgoingRequest")
            .field("method", &self.method)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// The headers that the HTTP client adds, before all others. A test of `delivery` compares them with what arrives.
fn connection_headers<'a>(fields: &'a DestinationFields, body: Option<&[u8]>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let mut headers = Vec::new();
    if let Some(body) = body {
        headers.push((Cow::Borrowed("content-length"), Cow::Owned(body.len().to_string())));
    }
    if fields.headers.get("accept").is_none() && fields.templates.headers.get("accept").is_none() {
        headers.push((Cow::Borrowed("accept"), Cow::Borrowed("*/*")));
    }
    let origin = fields.url.origin();
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    headers.push((Cow::Borrowed("host"), Cow::Borrowed(host)));
    headers
}

fn in_lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests;
