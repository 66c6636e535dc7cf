//! An origin: scheme, host and port of a website (RFC 6454). `--public-url` and `--cors-origin` name origins.

use std::fmt;

use url::Url;

/// An `http` or `https` origin in its only spelling, such as `https://push.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads `http://` or `https://`, a host, and a port if it is not the scheme's default. One slash may follow.
    ///
    /// # Errors
    /// What would be right, for people. It does not repeat the text, which may have a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write scheme, host and port alone, such as https://push.example.com".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            return Err(wrong());
        }
        Self::of(&scheme.to_ascii_lowercase(), authority).ok_or_else(wrong)
    }

    /// The origin of `authority`, which may be any text.
    fn of(scheme: &str, authority: &str) -> Option<Self> {
        // The URL parser would end the host here, read a user name, or silently drop these characters.
        let stray = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@*%".contains(c);
        if authority.is_empty() || authority.contains(stray) {
            return None;
        }
        let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
        url.origin().is_tuple().then(|| Self(url.origin().ascii_serialization()))
    }

    /// The text that browsers send in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// Whether `host`, the value of a `Host` header, means this origin. Case and the scheme's default port do not
    /// matter.
    pub fn has_host(&self, host: &str) -> bool {
        let (scheme, _) = self.0.split_once(':').unwrap_or_default();
        Self::of(scheme, host).as_ref() == Some(self)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        for (given, kept) in [
            ("https://push.example.com", "https://push.example.com"),
            ("HTTPS://Push.Example.COM:443/", "https://push.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:3000/", "http://[::1]:3000"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(Origin::parse(given).unwrap().as_str(), kept, "{given}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for given in [
            "",
            "null",
            "*",
            "https://*",
            "https://*.example.com",
            "push.example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "https://",
            "https:///",
            "https://example.com//",
            "https://example.com/path",
            "https://example.com?a=1",
            "https://example.com#a",
            "https://ada@example.com",
            "https://example.com\\@evil.example",
            "https://example.com:99999",
            "https://exa mple.com",
            "https://example.com\n",
        ] {
            assert!(Origin::parse(given).is_err(), "{given:?}");
        }
        assert!(!Origin::parse("https://ada:canary@example.com").unwrap_err().contains("canary"));
    }

    #[test]
    fn a_host_is_the_origins_own_whatever_its_case() {
        let origin = Origin::parse("https://push.example.com").unwrap();
        for host in ["push.example.com", "PUSH.example.com", "push.example.com:443"] {
            assert!(origin.has_host(host), "{host}");
        }
        for host in ["", "example.com", "push.example.com:80", "push.example.com.evil.example", "x@push.example.com"] {
            assert!(!origin.has_host(host), "{host}");
        }
        assert!(Origin::parse("http://h:81").unwrap().has_host("h:81"));
    }
}
