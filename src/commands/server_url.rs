//! The URL of a server, as people give it to commands.

use poem::http::Uri;
use url::Url;

/// An absolute URL with scheme `http` or `https`, without user name, query and fragment. Its path does not end in a
/// slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Reads a URL such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// A sentence that says what would be right. It does not repeat a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write a URL such as http://127.0.0.1:8080 or https://push.example.com".to_owned();
        let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
        if !(begins("http://") || begins("https://")) || text.contains(|c: char| c.is_whitespace() || c == '\\') {
            return Err(wrong());
        }
        let mut url = Url::parse(text).map_err(|_| wrong())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must have no user name and no password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must have no query (?) and no fragment (#)".to_owned());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The path, empty for the root.
    pub fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// This URL with `more` behind it: a path, and maybe a query, exactly as they are.
    ///
    /// # Errors
    /// `more` cannot be a part of a URL.
    pub fn join(&self, more: &str) -> Result<Uri, String> {
        let whole = format!("{}{more}", self.0.as_str().trim_end_matches('/'));
        whole.parse().map_err(|_| format!("{whole} is no URL that can be requested"))
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_behind_the_url_as_they_are() {
        for (url, more, whole) in [
            ("http://127.0.0.1:8080", "/healthz", "http://127.0.0.1:8080/healthz"),
            ("HTTP://Push.example.com/", "/a%2Fb?c=d%20e&&", "http://push.example.com/a%2Fb?c=d%20e&&"),
            ("https://[::1]:8443/hooks/", "/crm", "https://[::1]:8443/hooks/crm"),
            ("http://localhost:3000/hooks", "", "http://localhost:3000/hooks"),
        ] {
            assert_eq!(ServerUrl::parse(url).unwrap().join(more).unwrap().to_string(), whole, "{url}");
        }
    }

    #[test]
    fn anything_else_says_what_would_be_right() {
        for text in ["", "127.0.0.1:8080", "localhost", "ftp://a", "http://", "http:a", "http://a b", "http:\\\\a"] {
            assert!(ServerUrl::parse(text).unwrap_err().contains("such as http://"), "{text}");
        }
        for text in ["http://ada:canary@example.com", "http://a/?x=1", "http://a/#x"] {
            let why = ServerUrl::parse(text).unwrap_err();
            assert!(why.contains("must have no") && !why.contains("canary"), "{why}");
        }
    }
}
