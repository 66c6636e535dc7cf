//! Words of the pages: states, errors and what to do about them. `docs/troubleshooting.md` says the same at length.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::domain::delivery::{DeliveryState, ErrorClass};
use crate::domain::destination::{Destination, DestinationFields, HttpMethod, PausedReason};
use crate::domain::manual_action::ManualActionKind;
use crate::domain::overview::AtMost;
use crate::domain::target_url::TargetUrl;
use crate::domain::time::Timestamp;

/// A word with a colour. The word alone says all.
#[derive(Debug, Clone, Copy)]
pub struct Badge {
    /// `good`, `bad`, `wait` or nothing.
    pub kind: &'static str,
    /// The word.
    pub word: &'static str,
}

impl HtmlSafe for Badge {}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"badge {}\">{}</span>", self.kind, self.word)
    }
}

/// The state of a delivery.
pub fn state(state: DeliveryState) -> Badge {
    let kind = match state {
        DeliveryState::Pending => "wait",
        DeliveryState::Succeeded => "good",
        DeliveryState::Exhausted => "bad",
        DeliveryState::Cancelled => "",
    };
    Badge { kind, word: state.as_str() }
}

/// What somebody did with a delivery.
pub fn manual_action(action: ManualActionKind) -> &'static str {
    match action {
        ManualActionKind::Retry => "sent again",
        ManualActionKind::Cancel => "cancelled",
        ManualActionKind::Replay => "sent again by a replay",
    }
}

/// How a destination is now. Of a delayed one that also fails the delay is said: until its end nothing is sent.
pub fn health(destination: &Destination, now: Timestamp) -> Badge {
    if destination.pause.is_some() {
        Badge { kind: "bad", word: "paused" }
    } else if held(destination, now).is_some() {
        Badge { kind: "wait", word: "delayed" }
    } else if destination.failing_since.is_some() {
        Badge { kind: "bad", word: "failing" }
    } else {
        Badge { kind: "good", word: "active" }
    }
}

/// Until when a destination that is not paused is held back, because its receiver asked for it (`Retry-After`).
pub fn held(destination: &Destination, now: Timestamp) -> Option<Timestamp> {
    destination.held_until.filter(|until| destination.pause.is_none() && *until > now)
}

/// Why a destination is paused.
pub fn paused(reason: PausedReason) -> &'static str {
    match reason {
        PausedReason::Manual => "Paused manually.",
        PausedReason::Gone => "Paused because it answered 410 Gone. Check the URL, then resume it.",
        PausedReason::Failing => "Paused because all attempts failed for days. Fix the receiver, then resume it.",
        PausedReason::Exhausted => "Paused because a delivery is exhausted. Fix the cause and retry it, or resume.",
        PausedReason::OrderBlocked => {
            "Paused because a delivery is exhausted, and later ones must not overtake it. Retry or cancel it, then resume."
        }
        PausedReason::SecretsUnreadable => {
            "Paused because its secrets cannot be opened with the server's key. Set its headers again, and rotate its signing secret."
        }
    }
}

/// What an error means, and what to do.
pub fn error(class: ErrorClass, status: Option<u16>) -> (String, &'static str) {
    let (what, todo) = match class {
        ErrorClass::Status => return (status_text(status), status_todo(status)),
        ErrorClass::Timeout => {
            ("no response in time", "Make the receiver answer sooner, or give the destination a longer timeout.")
        }
        ErrorClass::Connect => {
            ("no connection", "Check that the receiver runs, and that host and port in the URL are right.")
        }
        ErrorClass::Dns => ("host name not found", "Check the host name in the URL."),
        ErrorClass::Tls => ("TLS failed", "Check the receiver's certificate. For a private authority use --ca-file."),
        ErrorClass::RefusedAddress => {
            ("address not allowed", "The host is in a private network. Allow it with --allow-network.")
        }
        ErrorClass::Reset => {
            ("connection broke", "The receiver or a proxy closed the connection. Its log may say why.")
        }
        ErrorClass::InvalidResponse => {
            ("response is not HTTP", "Check that the URL leads to an HTTP server, and https to an https server.")
        }
        ErrorClass::InvalidRequest => {
            ("request cannot be built", "Check the destination's URL and headers, and save them again.")
        }
        ErrorClass::UrlTooLong => {
            ("URL too long", "A GET carries the document in its URL. Use POST for long documents.")
        }
        ErrorClass::TemplateFailed => {
            ("template failed", "Mend the template in the destination's settings, and send the delivery again.")
        }
        ErrorClass::Cut => ("stopped by this server", "This server had no free place for it."),
    };
    (what.to_owned(), todo)
}

fn status_text(status: Option<u16>) -> String {
    status.map_or_else(
        || "error status".to_owned(),
        |status| {
            let reason = poem::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            format!("{status} {}", reason.unwrap_or("")).trim_end().to_owned()
        },
    )
}

fn status_todo(status: Option<u16>) -> &'static str {
    match status {
        Some(300..=399) => "The receiver redirects, and redirects are not followed. Use the URL it leads to.",
        Some(401 | 403) => "The receiver wants other credentials. Check the destination's headers.",
        Some(404 | 405) => "The receiver does not know this path or method. Check URL and method.",
        Some(410) => "The receiver says that it is gone for good. Check the URL.",
        Some(413) => "The document is too large for the receiver.",
        Some(429) => "The receiver gets too many requests at once.",
        Some(400..=499) => "The receiver refuses the request. The response's body may say why.",
        _ => "The receiver has a problem. Its log may say which.",
    }
}

/// Longest path of a URL in a list, in characters.
const MAX_PATH: usize = 28;

/// Method and URL of a destination, short and without what may be secret. At many receivers the query, or the end of a
/// long path, is a secret.
pub fn label(fields: &DestinationFields) -> String {
    short_label(fields.method, &fields.url)
}

/// As [`label`], from its parts.
pub fn short_label(method: HttpMethod, url: &TargetUrl) -> String {
    let rest = url.as_str().strip_prefix(url.origin()).unwrap_or_default();
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let mut shown: String = path.chars().take(MAX_PATH).collect();
    if shown.len() < rest.len() {
        shown.push('…');
    }
    format!("{method} {}{shown}", url.origin())
}

/// A message as a sentence: a capital letter, and a full stop. Pairs of backticks are for readers of JSON. What stands
/// in them was typed, or is a name, so at the beginning it keeps its letters.
pub fn sentence(message: &str) -> String {
    let is_paired = message.matches('`').count().is_multiple_of(2);
    let mut text = if is_paired { message.replace('`', "") } else { message.to_owned() };
    if let Some(first) = text.chars().next().filter(|_| !message.starts_with('`')) {
        text.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    if !text.ends_with(['.', '?', '!']) {
        text.push('.');
    }
    text
}

/// A count with separators: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count that may have been stopped at a bound: `10,000+`.
pub fn at_most(counted: AtMost) -> String {
    format!("{}{}", count(counted.count), if counted.is_more { "+" } else { "" })
}

/// A size: `512 B`, `1.5 KiB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        ..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::destination::Pause;
    use crate::domain::ids::DestinationKey;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!((count(999), count(1_000), count(1_234_567)), ("999".into(), "1,000".into(), "1,234,567".into()));
        assert_eq!((bytes(1_023), bytes(1_536)), ("1023 B".into(), "1.5 KiB".into()));
    }

    #[test]
    fn of_all_that_is_wrong_with_a_destination_the_word_says_what_keeps_it_from_being_sent_to() {
        let mut destination = Destination::example(DestinationKey(1), "https://example.com/");
        let (now, later) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000));
        let is = |destination: &Destination, now| (health(destination, now).word, held(destination, now));
        assert_eq!(is(&destination, now), ("active", None));
        destination.failing_since = Some(Timestamp::EPOCH);
        assert_eq!(is(&destination, now), ("failing", None));
        destination.held_until = Some(later);
        assert_eq!(is(&destination, now), ("delayed", Some(later)));
        assert_eq!(is(&destination, later), ("failing", None));
        destination.pause = Some(Pause { reason: PausedReason::Manual, at: now });
        assert_eq!(is(&destination, now), ("paused", None));
    }

    #[test]
    fn a_label_leaves_out_what_may_be_secret() {
        let label = |url: &str| label(&DestinationFields::example(url));
        assert_eq!(label("https://example.com/crm"), "POST https://example.com/crm");
        assert_eq!(label("https://example.com/crm?key=s3cret"), "POST https://example.com/crm…");
        let slack = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";
        assert_eq!(label(slack), "POST https://hooks.slack.com/services/T00000000/B0000000…");
    }

    #[test]
    fn every_error_has_words_and_says_what_to_do() {
        for class in ErrorClass::ALL {
            let (what, todo) = error(class, Some(500));
            assert!(!what.is_empty() && todo.ends_with('.'), "{class}");
        }
        assert_eq!(error(ErrorClass::Status, Some(404)).0, "404 Not Found");
        assert_eq!(error(ErrorClass::Status, Some(599)).0, "599");
    }

    #[test]
    fn a_message_becomes_a_sentence_and_what_was_typed_stays_as_it_was_typed() {
        assert_eq!(sentence("must be `GET`"), "Must be GET.");
        assert_eq!(sentence("éa"), "Éa.");
        assert_eq!(sentence("`yesterday` is not a time"), "yesterday is not a time.");
        assert_eq!(sentence("`a`b` is not a time"), "`a`b` is not a time.");
    }
}
