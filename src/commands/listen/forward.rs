//! Passes a request on to another receiver, byte for byte, and brings its answer back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use poem::http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use poem::http::{HeaderMap, Method};

use super::received::Received;
use crate::commands::server_url::ServerUrl;
use crate::delivery::{HttpClient, HttpRequest, HttpResponse, Trust};

/// Longest time for an answer. The longest time limit of a destination is five minutes.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Connections that are kept for the next requests.
const KEPT_CONNECTIONS: usize = 64;

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Header lines that belong to one connection (RFC 9110, 7.6.1). Those that frame a body are made anew.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Header that is added to each request. Its value is this receiver's own, so that a request which comes back is known:
/// the target may lead back by any name or over other programs, and without an end.
const PASSED_ON_BY: HeaderName = HeaderName::from_static("data-pusher-listen");

/// Where requests are passed on.
pub struct Forward {
    target: ServerUrl,
    client: HttpClient,
    id: HeaderValue,
    /// Whether it was said that a request came back.
    said: AtomicBool,
}

impl Forward {
    /// Passes requests on to `target`.
    pub fn new(target: ServerUrl, trust: &Trust) -> Self {
        let client = HttpClient::new(target.is_https(), trust, KEPT_CONNECTIONS, TIMEOUT);
        Self { target, client, id: HeaderValue::from(fastrand::u64(..)), said: AtomicBool::new(false) }
    }

    /// Whether the target is this port of this machine, so that each request would come back.
    pub fn leads_to(&self, port: u16) -> bool {
        self.target.is_own_port(port)
    }

    /// Whether this receiver passed the request on, and got it back.
    pub fn has_passed_on(&self, headers: &HeaderMap) -> bool {
        headers.get_all(PASSED_ON_BY).iter().any(|id| *id == self.id)
    }

    /// What is to be said of a request that came back. `None` if it was said before.
    pub fn loop_to_say(&self) -> Option<String> {
        let is_first = !self.said.swap(true, Ordering::Relaxed);
        is_first
            .then(|| format!("a request came back: {} leads to this receiver itself; it is answered 508", self.target))
    }

    /// Sends the request, and returns the answer without what belonged to its connection.
    ///
    /// # Errors
    /// One line that says why there is no answer.
    pub fn send(&self, received: &Received) -> Result<HttpResponse, String> {
        let mut headers = end_to_end(&received.headers, true);
        headers.append(PASSED_ON_BY, self.id.clone());
        let request = HttpRequest {
            method: received.method.clone(),
            uri: self.target.join(path_behind(received), received.query())?,
            headers,
            body: has_body(received).then_some(&*received.body),
        };
        let mut answer = self
            .client
            .send(&request, MAX_ANSWER_BYTES)
            .map_err(|why| format!("{} does not answer: {why}", self.target))?;
        answer.headers = end_to_end(&answer.headers, false);
        Ok(answer)
    }
}

/// What goes behind the path of the target. The root adds nothing, so that the target's own path stays as it is. Nor
/// does a request for no path, such as `OPTIONS *`.
fn path_behind(received: &Received) -> &str {
    match received.target.path() {
        "/" => "",
        path if path.starts_with('/') => path,
        _ => "",
    }
}

/// Whether the body is announced, even if it is empty.
fn has_body(received: &Received) -> bool {
    !received.body.is_empty()
        || received.headers.contains_key(CONTENT_LENGTH)
        || matches!(received.method, Method::POST | Method::PUT | Method::PATCH)
}

/// The header lines that are not of one connection, in their order. In a request, `Host` is not passed on: it names
/// this receiver.
fn end_to_end(headers: &HeaderMap, is_request: bool) -> HeaderMap {
    let listed: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let goes = |name: &HeaderName| {
        HOP_BY_HOP.contains(name)
            || ["keep-alive", "proxy-connection"].contains(&name.as_str())
            || (is_request && *name == HOST)
            || listed.iter().any(|listed| listed == name.as_str())
    };
    let mut kept = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !goes(name)) {
        kept.append(name.clone(), value.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn only_what_belongs_to_the_connection_is_left_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a"),
            ("x-b", "1"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("content-length", "5"),
            ("te", "x"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let names = |headers: HeaderMap| headers.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(end_to_end(&headers, true)), ["x-b", "x-b", "x-a"]);
        assert_eq!(names(end_to_end(&headers, false)), ["host", "x-b", "x-b", "x-a"]);
    }

    #[test]
    fn the_root_adds_nothing_to_the_path_of_the_target() {
        for (target, added) in [
            ("/", ""),
            ("/?a=1", ""),
            ("/crm?a=%20", "/crm"),
            ("/crm/", "/crm/"),
            ("//h/", "//h/"),
            ("*", ""),
            ("http://h?2/evil", ""),
            ("http://h/evil", "/evil"),
            ("h:1", ""),
        ] {
            let received = Received {
                at: Timestamp::EPOCH,
                method: Method::POST,
                target: target.parse().unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
            };
            assert_eq!(path_behind(&received), added, "{target}");
        }
    }
}
