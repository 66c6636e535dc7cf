//! CORS (Fetch standard) for the origins of `--cors-origin`, and for no others. Credentials are never allowed: a page
//! of another origin must send a token of its own, and cannot use a session.

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use poem::http::{HeaderMap, HeaderValue, StatusCode};
use poem::{IntoResponse as _, Response};

use crate::domain::origin::Origin;

/// Request headers that operations read, besides those that every page may send.
const ALLOWED_HEADERS: &str =
    "authorization, content-type, idempotency-key, prefer, cl-xtoken, cl-x-token, if-none-match, last-event-id";

/// Response headers that clients read, besides those that every page may read.
const EXPOSED_HEADERS: &str = "location, retry-after, preference-applied, www-authenticate, etag";

/// The allowed origin that the request comes from, if it comes from one.
pub fn allowed_origin<'a>(friends: &'a [Origin], headers: &HeaderMap) -> Option<&'a Origin> {
    if friends.is_empty() {
        return None;
    }
    let mut lines = headers.get_all(ORIGIN).iter();
    let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
    friends.iter().find(|friend| friend.as_str() == line)
}

/// Whether the request is a preflight: a browser asks before it sends the request that a page wants.
pub fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The response to a preflight. Access is not checked here, but when the request itself comes.
pub fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Lets a page of the allowed origin `friend` read the response. `Vary` makes caches keep one response for each origin.
pub fn answer(friend: Option<&Origin>, headers: &mut HeaderMap) {
    let varies = match headers.get(VARY).and_then(|value| value.to_str().ok()) {
        Some(already) => HeaderValue::try_from(format!("{already}, Origin")),
        None => Ok(HeaderValue::from_static("Origin")),
    };
    headers.insert(VARY, varies.unwrap_or(HeaderValue::from_static("*")));
    if let Some(origin) = friend.and_then(|friend| HeaderValue::from_str(friend.as_str()).ok()) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&'static str]) -> bool {
        let friends = [Origin::parse("https://app.example.com").unwrap()];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ORIGIN, HeaderValue::from_static(line));
        }
        allowed_origin(&friends, &headers).is_some()
    }

    #[test]
    fn only_the_very_origin_is_a_friend() {
        assert!(asked(&["https://app.example.com"]));
        for origin in [
            "null",
            "",
            "http://app.example.com",
            "https://app.example.com:444",
            "https://app.example.com.evil.example",
            "https://evil.example/https://app.example.com",
            "https://App.example.com",
        ] {
            assert!(!asked(&[origin]), "{origin}");
        }
        assert!(!asked(&["https://app.example.com", "https://evil.example"]) && !asked(&[]));
    }
}
