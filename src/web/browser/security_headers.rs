//! Security headers of every response, so that no browser uses a response for more than it is meant for.

use poem::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use poem::http::{HeaderMap, HeaderName, HeaderValue};

/// Headers of every response.
static ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Headers of every response that does not set them itself. By default a response is data: it loads nothing, and no
/// cache keeps it, because it may hold secrets.
static UNLESS_SAID: [(HeaderName, HeaderValue); 3] = [
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Adds the security headers.
pub fn protect(headers: &mut HeaderMap) {
    // Reserve once, because the map would grow twice otherwise.
    headers.reserve(ALWAYS.len() + UNLESS_SAID.len());
    for (name, value) in &ALWAYS {
        headers.insert(name, value.clone());
    }
    for (name, value) in &UNLESS_SAID {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}
