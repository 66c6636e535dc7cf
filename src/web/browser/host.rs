//! Checks the `Host` header, which every HTTP/1.1 request must have exactly once (RFC 9112, 3.2). Where there are two,
//! a proxy may use the other one. Where the value is not a host, a proxy may read it in another way.

use std::net::Ipv6Addr;

use poem::http::header::{CONNECTION, HOST};
use poem::http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
use poem::{IntoResponse as _, Request, Response};

use crate::web::body;
use crate::web::problem::{ApiError, ApiResult};

/// Checks the `Host` header of a request. HTTP/1.0 requests may lack it.
///
/// # Errors
/// 400 with a detail that says what is wrong.
pub fn check(version: Version, headers: &HeaderMap) -> ApiResult<()> {
    let mut lines = headers.get_all(HOST).iter();
    let detail = match (lines.next(), lines.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => return Ok(()),
        (None, _) if version < Version::HTTP_11 => return Ok(()),
        (Some(_), None) => "The Host header must be a host name or address, and a port after a colon if need be.",
        (None, _) => "A request of HTTP/1.1 must have a Host header.",
        (Some(_), Some(_)) => "A request must have one Host header, not several.",
    };
    // The request cannot be trusted, and so neither can the place where the next request on the connection would begin.
    let close = HeaderValue::from_static("close");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_host", detail).with_header(CONNECTION, close))
}

/// The response to a request that [`check`] refused.
pub async fn refuse(mut request: Request, error: ApiError, shape: fn(&Uri, ApiError) -> ApiError) -> Response {
    let body = request.take_body();
    body::refuse(body, request.headers(), 0).await;
    shape(request.uri(), error).into_response()
}

/// Whether `value` is `uri-host [ ":" port ]` (RFC 9110, 7.2; RFC 3986, 3.2.2). The host may be empty.
fn is_host(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let (fits, rest) = match value.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) => (is_address(address), rest),
        Some(None) => return false,
        None => {
            let (name, rest) = value.split_at(value.find(':').unwrap_or(value.len()));
            (is_name(name), rest)
        }
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    fits && (rest.is_empty() || rest.starts_with(':')) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `name` is a `reg-name`. IPv4 addresses match too.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|hex| hex.is_some_and(|hex| hex.is_ascii_hexdigit())),
            _ => is_plain(byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Whether `address` may stand inside the brackets of an `IP-literal`.
fn is_address(address: &str) -> bool {
    let future = address.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.'));
    future.map_or_else(
        || address.parse::<Ipv6Addr>().is_ok(),
        |(version, rest)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !rest.is_empty()
                && rest.bytes().all(|byte| is_plain(byte) || byte == b':')
        },
    )
}

/// Whether `byte` is one of `unreserved` or `sub-delims`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(version: Version, lines: &[&[u8]]) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HOST, HeaderValue::from_bytes(line).unwrap());
        }
        check(version, &headers).map_err(|error| error.problem.code)
    }

    #[test]
    fn http_1_1_has_one_host_and_http_1_0_at_most_one() {
        let wrong = Err("invalid_host".to_owned());
        assert_eq!(code(Version::HTTP_11, &[b"a"]), Ok(()));
        assert_eq!(code(Version::HTTP_11, &[]), wrong);
        assert_eq!(code(Version::HTTP_10, &[]), Ok(()));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(code(version, &[b"a", b"a"]), wrong);
            assert_eq!(code(version, &[b"a b"]), wrong);
            assert_eq!(code(version, &[b"\xc3\xa4.example"]), wrong);
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "",
            "localhost",
            "push.example.com:443",
            "push.example.com.",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:8080",
            "[::ffff:127.0.0.1]",
            "[v1.fe80::a+en1]",
            "a_b-c~d",
            "xn--bcher-kva.example",
            "b%C3%BCcher.example",
            "localhost:",
            ":80",
            "!$&'()*+,;=",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "ada@example.com",
            "http://example.com",
            "example.com/",
            "example.com/path",
            "a b",
            "a,b c",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "a\tb",
            "a:b",
            "a:80:80",
            "a:-1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]80",
            "[1.2.3.4]",
            "[example.com]",
            "[]",
            "[v.a]",
            "[v1.]",
            "[fe80::1%25eth0]",
            "a%zz",
            "a%2",
            "a%",
            "b\u{fc}cher.example",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
