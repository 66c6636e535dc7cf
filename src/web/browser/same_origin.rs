//! What web pages of other origins must not do to requests without a token. Such a request counts because of its
//! session, or because `--dev` asks for no token. A foreign page must not reach the API under its own host name (DNS
//! rebinding), and must not change anything across origins (CSRF).

use std::net::IpAddr;

use poem::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use poem::http::{HeaderMap, Method, StatusCode};

use super::cors;
use crate::domain::origin::Origin;
use crate::web::body::media_type::{self, Accepts};
use crate::web::problem::{ApiError, ApiResult};

/// Which origins belong to this server, and which others may call it.
#[derive(Debug, Clone, Default)]
pub struct OriginPolicy {
    /// Where people reach this server, if not as localhost.
    pub public: Option<Origin>,
    /// Origins whose pages may call the API with a token of their own.
    pub allowed_origins: Vec<Origin>,
}

/// Who sends a request that has no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// `--dev`: everybody on this machine. Pages of the allowed origins may call too.
    Anyone,
    /// A browser that has logged in or is about to. Only the server's own pages may use the session.
    Browser,
}

impl OriginPolicy {
    /// Checks a request that comes without a token.
    ///
    /// # Errors
    /// 421 for a `Host` that is neither loopback nor the host of the public URL. 403 for a change that a foreign page
    /// asks for. 415 for a body that a foreign page could send without a preflight.
    pub fn check(&self, caller: Caller, method: &Method, headers: &HeaderMap) -> ApiResult<()> {
        self.check_origin(caller, method, headers)?;
        // HTML forms can send some media types across origins. JSON is not one of them.
        if !method.is_safe() && has_body(headers) && headers.contains_key(CONTENT_TYPE) {
            media_type::check(headers, Accepts::MergePatch)?;
        }
        Ok(())
    }

    /// Checks a request to a page of the dashboard, whose forms send no JSON. In place of the media type, a change must
    /// say which page it comes from, as every browser does: a form of a foreign page may leave out neither header.
    ///
    /// # Errors
    /// 421 and 403 as for [`check`](Self::check).
    pub fn check_form(&self, method: &Method, headers: &HeaderMap) -> ApiResult<()> {
        // Pages of the allowed origins may use the API with a token of their own, but not these pages.
        let is_known = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
        if !method.is_safe() && !is_known {
            return Err(foreign());
        }
        self.check_origin(Caller::Browser, method, headers)
    }

    fn check_origin(&self, caller: Caller, method: &Method, headers: &HeaderMap) -> ApiResult<()> {
        // That there is at most one `Host` header was checked before, in `host`.
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !is_loopback(host) && !self.public.as_ref().is_some_and(|public| public.has_host(host)) {
            let detail = "Without a token the API is reached as localhost, 127.0.0.1 or under the name that the server \
                          was told with --public-url.";
            return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail));
        }
        if method.is_safe() {
            return Ok(());
        }
        let is_friend = caller == Caller::Anyone && cors::allowed_origin(&self.allowed_origins, headers).is_some();
        let own_origin = |origin: &str| {
            let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
                || self.public.as_ref().is_some_and(|public| public.as_str() == origin)
        };
        let same_site = |site: &str| matches!(site, "same-origin" | "none");
        let fits = |name: &str, fits: &dyn Fn(&str) -> bool| {
            headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(fits))
        };
        let is_own = fits(ORIGIN.as_str(), &own_origin) && fits("sec-fetch-site", &same_site);
        if is_own || is_friend { Ok(()) } else { Err(foreign()) }
    }
}

fn foreign() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", "A page of another origin may not change anything here.")
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Whether `host`, with or without a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    lower == "localhost" || lower.ends_with(".localhost") || lower.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::origin::Origin;

    fn asked(site: &OriginPolicy, caller: Caller, method: Method, lines: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let checked = site.check(caller, &method, &headers);
        checked.map_or_else(|error| error.problem.status, |()| 200)
    }

    fn code(method: Method, lines: &[(&'static str, &str)]) -> u16 {
        asked(&OriginPolicy::default(), Caller::Browser, method, lines)
    }

    fn site() -> OriginPolicy {
        let origin = |text| Origin::parse(text).unwrap();
        OriginPolicy {
            public: Some(origin("https://push.example.com")),
            allowed_origins: vec![origin("http://localhost:3000")],
        }
    }

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "a.localhost"] {
            assert_eq!(code(Method::GET, &[("host", host)]), 200, "{host}");
        }
        for host in ["", "example.com", "127.0.0.1.example.com", "localhost.example.com:80", "0.0.0.0", "[::2]"] {
            assert_eq!(code(Method::GET, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(code(Method::GET, &[]), 421);
    }

    #[test]
    fn the_public_name_is_a_host_too_and_its_pages_are_ours() {
        let post = |host, origin| asked(&site(), Caller::Browser, Method::POST, &[("host", host), ("origin", origin)]);
        assert_eq!(post("push.example.com", "https://push.example.com"), 200);
        // A proxy that sends its own request to localhost.
        assert_eq!(post("127.0.0.1:8080", "https://push.example.com"), 200);
        assert_eq!(post("push.example.com.evil.example", "https://push.example.com"), 421);
        assert_eq!(post("push.example.com", "https://push.example.com.evil.example"), 403);
        assert_eq!(post("push.example.com", "https://push.example.com:444"), 403);
    }

    #[test]
    fn a_foreign_page_may_read_nothing_useful_and_change_nothing() {
        let post =
            |lines: &[(&'static str, &str)]| code(Method::POST, &[&[("host", "127.0.0.1:8080")], lines].concat());
        assert_eq!(post(&[]), 200);
        assert_eq!(post(&[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")]), 200);
        for origin in ["null", "http://evil.example", "http://127.0.0.1:9090", "http://127.0.0.1:8080.evil.example"] {
            assert_eq!(post(&[("origin", origin)]), 403, "{origin}");
        }
        for site in ["cross-site", "same-site", "nonsense"] {
            assert_eq!(post(&[("sec-fetch-site", site)]), 403, "{site}");
        }
    }

    #[test]
    fn a_friend_may_call_where_no_token_is_asked_for_and_never_ride_on_a_session() {
        let lines = [("host", "localhost"), ("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")];
        assert_eq!(asked(&site(), Caller::Anyone, Method::POST, &lines), 200);
        assert_eq!(asked(&site(), Caller::Browser, Method::POST, &lines), 403);
        assert_eq!(asked(&OriginPolicy::default(), Caller::Anyone, Method::POST, &lines), 403);
    }

    #[test]
    fn a_body_that_a_form_can_send_is_refused() {
        let post = |media_type: &str, length: &str| {
            code(Method::POST, &[("host", "localhost"), ("content-type", media_type), ("content-length", length)])
        };
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
            assert_eq!(post(media_type, "2"), 415, "{media_type}");
            assert_eq!(post(media_type, "0"), 200, "{media_type}");
        }
        assert_eq!(post("application/json", "2"), 200);
        assert_eq!(post("application/merge-patch+json", "2"), 200);
    }
}
