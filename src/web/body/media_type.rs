//! Checks by its headers whether a request's body is JSON (RFC 9110, 8.3). The body itself is not read here.

use poem::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use poem::http::{HeaderMap, StatusCode};

use crate::web::problem::{ApiError, ApiResult};
use crate::web::quoted;

/// Which media types an operation accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// `application/json`.
    Json,
    /// `application/json` or `application/merge-patch+json` (RFC 7396).
    MergePatch,
    /// `application/json` or any `application/…+json`.
    AnyJson,
}

/// Checks media type, charset and content encoding of a body.
///
/// # Errors
/// 415 with a detail that says what would be right.
pub fn check(headers: &HeaderMap, accepts: Accepts) -> ApiResult<()> {
    let wrong = |detail: &str| Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(given), None) = (types.next(), types.next()) else {
        return wrong("Say what the body is with one `Content-Type: application/json`.");
    };
    if !given.to_str().is_ok_and(|given| is_json(given, accepts)) {
        return wrong(match accepts {
            Accepts::Json => "The body must be `application/json` in UTF-8.",
            Accepts::MergePatch => "The body must be `application/merge-patch+json` or `application/json` in UTF-8.",
            Accepts::AnyJson => "The body must be `application/json` or `application/…+json` in UTF-8.",
        });
    }
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        let value = value.as_bytes().trim_ascii();
        value.is_empty() || value.eq_ignore_ascii_case(b"identity")
    });
    if plain { Ok(()) } else { wrong("The body must come without a content encoding.") }
}

fn is_json(given: &str, accepts: Accepts) -> bool {
    let Some(parts) = quoted::split(given, b';') else { return false };
    let mut parts = parts.into_iter().map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    let fits = match accepts {
        Accepts::Json => is("application/json"),
        Accepts::MergePatch => is("application/json") || is("application/merge-patch+json"),
        Accepts::AnyJson => is("application/json") || has_json_suffix(essence),
    };
    fits && parts.all(fits_charset)
}

fn has_json_suffix(essence: &str) -> bool {
    const PREFIX: &str = "application/";
    const SUFFIX: &str = "+json";
    let Some((prefix, name)) = essence.split_at_checked(PREFIX.len()) else { return false };
    let Some((name, suffix)) = name.len().checked_sub(SUFFIX.len()).and_then(|at| name.split_at_checked(at)) else {
        return false;
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    prefix.eq_ignore_ascii_case(PREFIX)
        && suffix.eq_ignore_ascii_case(SUFFIX)
        && !name.is_empty()
        && name.bytes().all(is_token)
}

/// Names of UTF-8, and of ASCII, which is a subset of UTF-8: IANA's names, and `utf8` from the Encoding standard.
const CHARSETS: [&str; 4] = ["utf-8", "utf8", "us-ascii", "ascii"];

/// Whether a parameter is no charset, or is a charset whose texts are valid UTF-8.
fn fits_charset(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    if !name.trim().eq_ignore_ascii_case("charset") {
        return true;
    }
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    // Inside quotes any character may have a backslash before it.
    let plain = unquoted.replace('\\', "");
    CHARSETS.iter().any(|known| known.eq_ignore_ascii_case(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_utf_8_is_taken_however_it_is_written() {
        for given in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json ; version=1; Charset=utf-8",
            "application/cloudevents+json",
            "application/vnd.api+JSON",
            "application/json;",
            "application/json; charset=utf8",
            "application/json; charset=\"UTF8\"",
            "application/json; charset=\"u\\tf-8\"",
            "application/json; charset=us-ascii",
            "application/json; Charset=ASCII",
            "application/json; profile=\"a;charset=latin1\"; charset=utf-8",
            "application/json; profile=\"a\\\";charset=latin1;b\"",
            "application/json; profile=\"\"",
        ] {
            assert!(is_json(given, Accepts::AnyJson), "{given}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for given in [
            "",
            "text/plain",
            "text/json",
            "application/jsonx",
            "application/+json",
            "application/x-json",
            "json",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/json; charset=",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-8; charset=latin1",
            "application/json; profile=\"a;b\"; charset=latin1",
            "application/json; profile=\"a",
            "application/json; charset=\"utf-8",
            "application/json; charset=\"utf-8\\\"",
            "application/ld json",
            "application/json, application/json",
            "application/x+json+xml",
        ] {
            assert!(!is_json(given, Accepts::AnyJson), "{given}");
        }
    }

    #[test]
    fn an_admin_body_is_json_and_a_patch_may_be_a_merge_patch() {
        assert!(!is_json("application/merge-patch+json", Accepts::Json));
        assert!(is_json("application/merge-patch+json", Accepts::MergePatch));
        assert!(!is_json("application/vnd.api+json", Accepts::MergePatch));
    }

    #[test]
    fn encodings_and_doubled_types_are_refused() {
        let headers = |lines: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in lines {
                map.append(*name, value.parse().unwrap());
            }
            check(&map, Accepts::AnyJson).is_ok()
        };
        assert!(headers(&[("content-type", "application/json"), ("content-encoding", "identity")]));
        assert!(!headers(&[("content-type", "application/json"), ("content-encoding", "gzip")]));
        assert!(!headers(&[("content-type", "application/json"), ("content-type", "application/json")]));
        assert!(!headers(&[]));
    }
}
