//! The URL of a server, as people give it to commands.

use std::net::Ipv4Addr;

use poem::http::Uri;
use url::{Host, Position, Url};

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

    /// Whether it leads to this port of this machine, by an address or as `localhost`. Other names are not looked up.
    pub fn is_own_port(&self, port: u16) -> bool {
        let is_own_v4 = |address: Ipv4Addr| address == Ipv4Addr::LOCALHOST || address.is_unspecified();
        let is_own = match self.0.host() {
            Some(Host::Ipv4(address)) => is_own_v4(address),
            Some(Host::Ipv6(address)) => {
                address.is_loopback() || address.is_unspecified() || address.to_ipv4_mapped().is_some_and(is_own_v4)
            }
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            None => false,
        };
        is_own && self.0.port_or_known_default() == Some(port)
    }

    /// This URL with a path and a query behind it, exactly as they are. Whatever they hold, scheme, host and port stay.
    /// The path is empty, or begins with a slash.
    ///
    /// # Errors
    /// They cannot be a part of a URL.
    pub fn join(&self, path: &str, query: Option<&str>) -> Result<Uri, String> {
        let wrong = || format!("a path or a query cannot be put behind {self}");
        if !path.is_empty() && !path.starts_with('/') {
            return Err(wrong());
        }
        let mut whole = format!("{}{path}", self.path());
        if whole.is_empty() {
            whole.push('/');
        }
        if let Some(query) = query {
            whole.push('?');
            whole.push_str(query);
        }
        let authority = &self.0[Position::BeforeHost..Position::AfterPort];
        let uri = Uri::builder().scheme(self.0.scheme()).authority(authority).path_and_query(whole).build();
        uri.map_err(|_| wrong())
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
    fn paths_and_queries_go_behind_the_url_as_they_are() {
        for (url, path, query, whole) in [
            ("http://127.0.0.1:8080", "/healthz", None, "http://127.0.0.1:8080/healthz"),
            ("HTTP://Push.example.com/", "/a%2Fb", Some("c=d%20e&&"), "http://push.example.com/a%2Fb?c=d%20e&&"),
            ("https://[::1]:8443/hooks/", "/crm", None, "https://[::1]:8443/hooks/crm"),
            ("http://localhost:3000/hooks", "", None, "http://localhost:3000/hooks"),
            ("http://localhost:3000/hooks", "", Some("a=1"), "http://localhost:3000/hooks?a=1"),
        ] {
            assert_eq!(ServerUrl::parse(url).unwrap().join(path, query).unwrap().to_string(), whole, "{url}");
        }
    }

    #[test]
    fn nothing_behind_a_url_leads_elsewhere() {
        let url = ServerUrl::parse("http://127.0.0.1:1893").unwrap();
        let odd =
            ["2/evil", "@evil", "/@evil", "//evil/", "/\\evil", "\\evil", "*", ":1", ".evil", "http://evil/", "#@evil"];
        for text in odd {
            for (path, query) in [(text, None), ("", Some(text)), ("/", Some(text))] {
                if let Ok(uri) = url.join(path, query) {
                    assert_eq!(uri.authority().map(|authority| authority.as_str()), Some("127.0.0.1:1893"), "{uri}");
                    assert_eq!(uri.scheme_str(), Some("http"));
                    assert!(uri.path().starts_with('/'), "{uri}");
                }
            }
        }
        assert!(url.join("2/evil", None).is_err());
    }

    #[test]
    fn this_machines_port_is_known_by_each_of_its_names() {
        let own = |url: &str| ServerUrl::parse(url).unwrap().is_own_port(9_000);
        for host in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "[::1]",
            "[::]",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "127.1",
        ] {
            assert!(own(&format!("http://{host}:9000/a")), "{host}");
            assert!(!own(&format!("http://{host}:9001")) && !own(&format!("http://{host}")), "{host}");
        }
        assert!(!own("http://127.0.0.2:9000") && !own("http://example.com:9000"));
        assert!(ServerUrl::parse("https://localhost").unwrap().is_own_port(443));
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
