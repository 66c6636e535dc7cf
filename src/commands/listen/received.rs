//! One request as it came, and what its headers of Standard Webhooks say.

use std::time::Duration;

use bytes::Bytes;
use poem::http::{HeaderMap, Method, Uri};

use crate::domain::secret::SigningSecret;
use crate::domain::signature;
use crate::domain::time::Timestamp;

/// A receiver should refuse a request whose timestamp is further from its own clock than this.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// A request.
pub struct Received {
    /// When all of it had come.
    pub at: Timestamp,
    /// The method.
    pub method: Method,
    /// Path and query, as they came.
    pub target: Uri,
    /// All header lines.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What a receiver would think of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No secret was given, so nothing is known.
    Unchecked,
    /// There is none.
    None,
    /// Made with one of the secrets.
    Valid,
    /// Made with one of the secrets, but for a time that is too far from this machine's clock.
    Stale,
    /// Made with no secret that was given, or for another content, id or time.
    Wrong,
}

impl Verdict {
    /// One word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::None => "none",
            Self::Valid => "valid",
            Self::Stale => "stale",
            Self::Wrong => "wrong",
        }
    }
}

impl Received {
    /// The value of a header, if there is one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The id of the event, which is the same on every attempt.
    pub fn event_id(&self) -> Option<&str> {
        self.header("webhook-id")
    }

    /// The type of the event.
    pub fn event_type(&self) -> Option<&str> {
        self.header("webhook-event-type")
    }

    /// Everything behind the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Checks the signature with secrets of the destination.
    pub fn verdict(&self, secrets: &[SigningSecret]) -> Verdict {
        let Some(signatures) = self.header("webhook-signature") else { return Verdict::None };
        if secrets.is_empty() {
            return Verdict::Unchecked;
        }
        let seconds = self.header("webhook-timestamp").and_then(|seconds| seconds.parse::<i64>().ok());
        let (Some(id), Some(seconds)) = (self.event_id(), seconds) else { return Verdict::Wrong };
        let at = Timestamp::from_millis(seconds.saturating_mul(1_000));
        // A GET has its document in the query.
        let content = if self.method == Method::GET { self.query().unwrap_or_default().as_bytes() } else { &self.body };
        if !signature::is_signed(signatures, secrets.iter(), id, at, content) {
            return Verdict::Wrong;
        }
        if self.at.since(at).max(at.since(self.at)) > TOLERANCE { Verdict::Stale } else { Verdict::Valid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(method: Method, signed: &[u8], secret: &SigningSecret, age: Duration) -> Received {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let then = at.minus(age);
        let mut headers = HeaderMap::new();
        let value = signature::signatures(std::iter::once(secret), "evt_1", then, signed);
        headers.insert("webhook-id", "evt_1".parse().unwrap());
        headers.insert("webhook-timestamp", then.seconds().into());
        headers.insert("webhook-signature", value.parse().unwrap());
        Received { at, method, target: "/in?a=1".parse().unwrap(), headers, body: Bytes::from_static(b"{}") }
    }

    #[test]
    fn the_verdict_is_that_of_a_careful_receiver() {
        let (secret, other) = (SigningSecret::generate(), SigningSecret::generate());
        let now = Duration::ZERO;
        let secrets = std::slice::from_ref(&secret);
        assert_eq!(received(Method::POST, b"{}", &secret, now).verdict(secrets), Verdict::Valid);
        assert_eq!(
            received(Method::POST, b"{}", &secret, now).verdict(&[other.clone(), secret.clone()]),
            Verdict::Valid
        );
        assert_eq!(received(Method::GET, b"a=1", &secret, now).verdict(secrets), Verdict::Valid);
        assert_eq!(received(Method::GET, b"{}", &secret, now).verdict(secrets), Verdict::Wrong);
        assert_eq!(received(Method::POST, b"{}", &other, now).verdict(secrets), Verdict::Wrong);
        assert_eq!(received(Method::POST, b"{}", &other, now).verdict(&[]), Verdict::Unchecked);
        assert_eq!(received(Method::POST, b"{}", &secret, TOLERANCE * 2).verdict(secrets), Verdict::Stale);
        let mut bare = received(Method::POST, b"{}", &secret, now);
        bare.headers.remove("webhook-timestamp");
        assert_eq!(bare.verdict(secrets), Verdict::Wrong);
        bare.headers.remove("webhook-signature");
        assert_eq!((bare.verdict(secrets), bare.verdict(&[])), (Verdict::None, Verdict::None));
    }
}
