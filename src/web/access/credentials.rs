//! Reads the `Authorization` header. Whether what it holds lets anybody in is decided in `mod.rs`.

use poem::http::HeaderMap;
use poem::http::header::AUTHORIZATION;

/// The token of the `Authorization: Bearer` header. `None` where there is no such header, more than one, or an empty
/// token. Other schemes are ignored: a proxy may use them.
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    of_scheme(headers, b"bearer ")
}

/// The code of the `Authorization: Login` header.
pub fn login_code(headers: &HeaderMap) -> Option<&str> {
    of_scheme(headers, b"login ").and_then(|code| std::str::from_utf8(code).ok())
}

/// What stands behind the scheme in the one `Authorization` header.
fn of_scheme<'a>(headers: &'a HeaderMap, scheme: &[u8]) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, None) = (lines.next()?.as_bytes(), lines.next()) else { return None };
    let (given, token) = line.split_at_checked(scheme.len())?;
    given.eq_ignore_ascii_case(scheme).then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::tests::odd;

    #[test]
    fn a_bearer_token_is_the_rest_of_its_one_line() {
        let grammar = regex::bytes::Regex::new(r"(?s-u)\A(?i:bearer) [ \t]*([^ \t](?:.*[^ \t])?)[ \t]*\z").unwrap();
        let valid: [&[u8]; 5] = [b"Bearer abc", b"bEaReR  a b ", b"Bearer\tabc", b"Basic abc", b"Bearer"];
        odd::hold_bytes(&valid, |line| {
            let Ok(value) = HeaderValue::from_bytes(line) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, value.clone());
            let token = grammar.captures(line).and_then(|found| found.get(1)).map(|token| token.as_bytes());
            prop_assert_eq!(bearer(&headers), token);
            headers.append(AUTHORIZATION, value);
            prop_assert_eq!((bearer(&headers), login_code(&headers)), (None, None));
            Ok(())
        });
    }

    #[test]
    fn the_bearer_scheme_is_read_case_aside_and_only_once() {
        let headers = |lines: &[&str]| {
            let mut map = HeaderMap::new();
            for line in lines {
                map.append(AUTHORIZATION, line.parse().unwrap());
            }
            map
        };
        assert_eq!(bearer(&headers(&["bEaReR abc"])), Some(&b"abc"[..]));
        assert_eq!(bearer(&headers(&["Basic abc"])), None);
        assert_eq!(bearer(&headers(&["Bearer abc", "Bearer abd"])), None);
        assert_eq!(bearer(&headers(&["Bear"])), None);
    }
}
