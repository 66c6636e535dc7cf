//! Requests without a token: what a browser would read in a header must be what the rules read in it.

use poem::http::{Method, Version};
use proptest::prelude::*;
use url::{Host, Url};

use super::headers;
use crate::domain::origin::Origin;
use crate::domain::tests::odd;
use crate::web::browser::host;
use crate::web::browser::same_origin::{Caller, OriginPolicy};

fn policy() -> OriginPolicy {
    let origin = |text| Origin::parse(text).unwrap();
    OriginPolicy {
        public: Some(origin("https://push.example.com")),
        allowed_origins: vec![origin("http://localhost:3000")],
    }
}

/// Whether a browser that is at this host is at this machine, or at the public name.
fn is_own(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return true };
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost") || name == "push.example.com"
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    }
}

#[test]
fn no_foreign_name_is_let_pass_as_ours() {
    let valid = [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:1",
        "[::1]:8080",
        "a.localhost",
        "push.example.com",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127",
    ];
    odd::hold(&valid, |given| {
        let Some(headers) = headers(&[("host", given.as_bytes())]) else { return Ok(()) };
        let passes = host::check(Version::HTTP_11, &headers).is_ok()
            && policy().check(Caller::Browser, &Method::GET, &headers).is_ok();
        prop_assert!(!passes || is_own(given), "{}", given);
        Ok(())
    });
}

#[test]
fn no_foreign_origin_changes_anything() {
    let own = ["http://localhost:8080", "https://localhost:8080", "https://push.example.com"];
    let near = ["null", "http://localhost:8081", "http://localhost:8080.evil.example", "https://push.example.com:444"];
    odd::hold(&[&own[..], &near].concat(), |origin| {
        let lines: [(&str, &[u8]); 2] = [("host", b"localhost:8080"), ("origin", origin.as_bytes())];
        let Some(headers) = headers(&lines) else { return Ok(()) };
        let is_own = own.iter().any(|own| own.eq_ignore_ascii_case(origin));
        let asked = |method: &Method| policy().check(Caller::Browser, method, &headers).is_ok();
        prop_assert!(is_own || !asked(&Method::POST), "{}", origin);
        prop_assert!(is_own || policy().check_form(&Method::POST, &headers).is_err(), "{}", origin);
        prop_assert!(asked(&Method::GET));
        Ok(())
    });
}

#[test]
fn where_a_request_comes_from_is_only_one_of_two_words() {
    odd::hold(&["same-origin", "none", "cross-site", "same-site"], |site| {
        let lines: [(&str, &[u8]); 2] = [("host", b"localhost"), ("sec-fetch-site", site.as_bytes())];
        let Some(headers) = headers(&lines) else { return Ok(()) };
        let passes = policy().check_form(&Method::POST, &headers).is_ok();
        prop_assert_eq!(passes, site == "same-origin" || site == "none");
        Ok(())
    });
}
