//! How a request is shown: lines for people, or one JSON object for programs.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use poem::http::{Method, StatusCode};
use serde::Serialize;

use super::folded::{Bounds, Folded, push_body};
use super::received::{Received, Verdict};
use crate::commands::terminal::{Style, push_styled};
use crate::process::harmless::{harmless, harmless_json};

/// A request and what became of it.
pub struct Shown<'a> {
    /// The request.
    pub received: &'a Received,
    /// Its signature.
    pub verdict: Verdict,
    /// The status that answers it.
    pub status: StatusCode,
    /// Why it could not be passed on.
    pub failure: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    signature: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_error: Option<&'a str>,
    headers: Vec<(&'a str, String)>,
    bytes: usize,
    /// The body where it is text.
    body: Option<&'a str>,
    /// The body where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl Shown<'_> {
    /// One JSON object and a line break.
    pub fn json(&self) -> String {
        let received = self.received;
        let text = std::str::from_utf8(&received.body).ok();
        let headers = received.headers.iter();
        let line = Line {
            at: received.at.to_string(),
            method: received.method.as_str(),
            path: received.target.path(),
            query: received.query(),
            event_id: received.event_id(),
            event_type: received.event_type(),
            signature: self.verdict.as_str(),
            status: self.status.as_u16(),
            forward_error: self.failure,
            headers: headers
                .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            bytes: received.body.len(),
            body: text,
            body_base64: text.is_none().then(|| BASE64_STANDARD.encode(&received.body)),
        };
        harmless_json(&serde_json::to_string(&line).unwrap_or_default()) + "\n"
    }

    /// Lines for people, with an empty one at the end.
    pub fn text(&self, bounds: Bounds, colours: bool) -> String {
        let received = self.received;
        let mut out = String::new();
        let mut push = |text: &str, style| push_styled(&mut out, &harmless(text), style, colours);
        push(&received.at.to_string(), Style::Dim);
        push("  ", Style::Plain);
        push(received.method.as_str(), Style::Bold);
        push(" ", Style::Plain);
        // The parameters of a GET have lines of their own.
        let shows_query = received.method != Method::GET;
        let whole = received.target.path_and_query().filter(|_| shows_query).map(|target| target.as_str());
        push(whole.unwrap_or(received.target.path()), Style::Bold);
        for part in [received.event_type(), received.event_id()].into_iter().flatten() {
            push("  ", Style::Plain);
            push(part, Style::Cyan);
        }
        push(&format!("  {}  ", size(received.body.len())), Style::Plain);
        let (verdict, style) = match self.verdict {
            Verdict::Unchecked => ("signature not checked", Style::Dim),
            Verdict::None => ("no signature", Style::Dim),
            Verdict::Valid => ("signature valid", Style::Green),
            Verdict::Stale => ("signature valid, but of another time than this machine's", Style::Yellow),
            Verdict::Wrong => ("signature wrong", Style::Red),
        };
        push(verdict, style);
        let good = if self.status.is_success() { Style::Green } else { Style::Red };
        push("  -> ", Style::Plain);
        push(self.status.as_str(), good);
        if let Some(failure) = self.failure {
            out.push_str("\n  ");
            push_styled(&mut out, &harmless(&format!("not forwarded: {failure}")), Style::Red, colours);
        }
        out.push('\n');
        let mut body = Folded::new(bounds, colours);
        if received.method == Method::GET {
            for (name, value) in url::form_urlencoded::parse(received.query().unwrap_or_default().as_bytes()) {
                body.push(&harmless(&name), Style::Cyan);
                body.push(" = ", Style::Plain);
                body.push(&harmless(&value), Style::Plain);
                body.end_line();
            }
        }
        push_body(&mut body, &received.body);
        out.push_str(&body.finish());
        out.push('\n');
        out
    }
}

/// A length for people.
fn size(bytes: usize) -> String {
    match bytes {
        ..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{}.{} KiB", bytes / 1_024, bytes % 1_024 * 10 / 1_024),
        _ => format!("{}.{} MiB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use poem::http::HeaderMap;

    use super::*;
    use crate::domain::time::Timestamp;

    fn received(method: Method, target: &str, body: &'static [u8]) -> Received {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "evt_1".parse().unwrap());
        headers.insert("webhook-event-type", "order.paid".parse().unwrap());
        let at = Timestamp::from_millis(1_700_000_000_123);
        Received { at, method, target: target.parse().unwrap(), headers, body: Bytes::from_static(body) }
    }

    #[test]
    fn people_see_what_came_and_what_was_answered() {
        let received = received(Method::POST, "/crm?a=%20", b"{\"total\":19.90}");
        let shown = Shown { received: &received, verdict: Verdict::Valid, status: StatusCode::OK, failure: None };
        let head = "2023-11-14T22:13:20.123Z  POST /crm?a=%20  order.paid  evt_1  15 B  signature valid  -> 200\n";
        assert_eq!(shown.text(Bounds::SOME, false), format!("{head}  {{\n    \"total\": 19.90\n  }}\n\n"));
        let status = StatusCode::BAD_GATEWAY;
        let shown = Shown { received: &received, verdict: Verdict::None, status, failure: Some("refused\u{1b}") };
        let text = shown.text(Bounds::SOME, false);
        assert!(text.contains("no signature  -> 502\n  not forwarded: refused\\u{1b}\n"), "{text}");
    }

    #[test]
    fn a_get_shows_its_parameters() {
        let received = received(Method::GET, "/crm?a=x%20y&a=%0A&b", b"");
        let shown = Shown { received: &received, verdict: Verdict::None, status: StatusCode::OK, failure: None };
        let text = shown.text(Bounds::SOME, false);
        assert!(text.ends_with("\n  a = x y\n  a = \\n\n  b = \n\n"), "{text}");
    }

    #[test]
    fn programs_get_one_line_that_has_every_byte() {
        let received = received(Method::PUT, "/crm?x=%41", b"a\n\"b\xff");
        let shown = Shown { received: &received, verdict: Verdict::Wrong, status: StatusCode::OK, failure: None };
        let line = shown.json();
        assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["query"], &line["signature"], &line["status"]),
            (&"x=%41".into(), &"wrong".into(), &200.into())
        );
        assert_eq!((&line["body"], &line["body_base64"]), (&serde_json::Value::Null, &"YQoiYv8=".into()));
    }

    #[test]
    fn lengths_are_short() {
        assert_eq!([size(0), size(1_023), size(1_536), size(3 << 20)], ["0 B", "1023 B", "1.5 KiB", "3.0 MiB"]);
    }
}
