//! What a web page of somebody else must not do where no token is asked for: reach the API under a name of its own (DNS
//! rebinding) or change something across origins (CSRF).

use std::net::IpAddr;

use poem::http::header::{HOST, ORIGIN};
use poem::http::{HeaderMap, Method, StatusCode, Uri};

use super::problem::{ApiError, ApiResult};

/// Checks a request that comes without proof of who sent it.
///
/// # Errors
/// 421 for a `Host` that is not loopback; 403 for a change that comes from a foreign page.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> ApiResult<()> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        (None, None) => uri.authority().map_or("", |authority| authority.as_str()),
        _ => "",
    };
    if !is_loopback(host) {
        let detail = "Under --dev the API is reached as localhost or 127.0.0.1 only.";
        return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail));
    }
    if method.is_safe() {
        return Ok(());
    }
    let own_origin = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let same_site = |site: &str| matches!(site, "same-origin" | "none");
    let fits = |name: &str, fits: &dyn Fn(&str) -> bool| {
        headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(fits))
    };
    if fits(ORIGIN.as_str(), &own_origin) && fits("sec-fetch-site", &same_site) {
        Ok(())
    } else {
        let detail = "A page of another origin may not change anything here.";
        Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
    }
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

    fn code(method: Method, lines: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        check(&method, &Uri::from_static("/v1/accounts"), &headers).map_or_else(|error| error.problem.status, |()| 200)
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
}
