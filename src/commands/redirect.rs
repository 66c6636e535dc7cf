//! Where a redirect leads, for a message. No command follows one: what was asked for is to be named rightly.

use poem::http::header::LOCATION;
use poem::http::{HeaderMap, Uri};
use url::Url;

/// The URL of `Location`, if it has one for http or https. Left out is what may be a secret: user name, password, query.
pub fn location(asked: &Uri, headers: &HeaderMap) -> Option<String> {
    let to = headers.get(LOCATION)?.to_str().ok()?;
    let mut to = Url::parse(&asked.to_string()).ok()?.join(to).ok()?;
    if !["http", "https"].contains(&to.scheme()) {
        return None;
    }
    to.set_query(None);
    to.set_fragment(None);
    to.set_username("").ok()?;
    to.set_password(None).ok()?;
    Some(to.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_a_whole_url_without_secrets() {
        let asked: Uri = "http://h:81/healthz".parse().unwrap();
        for (given, to) in [
            ("/ok", Some("http://h:81/ok")),
            ("https://push.example.com/healthz", Some("https://push.example.com/healthz")),
            ("//other/", Some("http://other/")),
            ("https://ada:canary@h/login?next=canary#canary", Some("https://h/login")),
            ("javascript:alert(1)", None),
            ("http://", None),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, given.parse().unwrap())]);
            assert_eq!(location(&asked, &headers).as_deref(), to, "{given}");
        }
        assert_eq!(location(&asked, &HeaderMap::new()), None);
    }
}
