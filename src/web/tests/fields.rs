//! Cookies, media types, encodings and tags.

use poem::http::Version;
use proptest::prelude::*;
use regex::bytes::Regex;

use super::headers;
use crate::domain::login::SessionToken;
use crate::domain::tests::odd;
use crate::web::access::Cookie;
use crate::web::body::media_type::{self, Accepts};
use crate::web::browser::host;
use crate::web::quoted;
use crate::web::static_page::StaticPage;

fn pattern(pattern: &str) -> Regex {
    Regex::new(&format!(r"(?s-u)\A(?:{pattern})\z")).expect("the pattern is written here")
}

#[test]
fn a_session_is_read_only_from_its_own_cookie_and_exactly() {
    let cookie = Cookie::new(8080, false);
    let own = Regex::new(r"(?s-u)(?:\A|;)[ \t]*data_pusher_8080=([^;]*)").unwrap();
    let lines: [&[u8]; 6] = [
        b"data_pusher_8080=abc",
        b"a=b; data_pusher_8080=abc; c=d",
        b"data_pusher_8080=a;data_pusher_8080=b",
        b"xdata_pusher_8080=no",
        b"data_pusher_80801=no",
        b"data_pusher_8080 =no",
    ];
    odd::hold_bytes(&lines, |line| {
        let Some(headers) = headers(&[("cookie", line)]) else { return Ok(()) };
        let found: Vec<&[u8]> = cookie.values(&headers).collect();
        let line = line.trim_ascii();
        let expected: Vec<&[u8]> = own
            .captures_iter(line)
            .filter_map(|found| found.get(1))
            .map(|value| value.as_bytes().trim_ascii_end())
            .collect();
        prop_assert_eq!(found, expected.into_iter().take(8).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn a_session_survives_among_any_other_cookies_and_the_work_is_bounded() {
    let cookie = Cookie::new(8080, true);
    let token = SessionToken::generate();
    let set = cookie.set(&token);
    let kept = set.to_str().unwrap().split(';').next().unwrap().to_owned();
    odd::hold(&["a=b", "theme=dark"], |other| {
        let line = format!("{}; {kept}; {}", other.replace(';', ""), other.replace(';', ""));
        if let Some(headers) = headers(&[("cookie", line.as_bytes())]) {
            prop_assert_eq!(cookie.values(&headers).collect::<Vec<_>>(), [token.reveal().as_bytes()]);
        }
        Ok(())
    });
    let many = format!("{kept};").repeat(1_000);
    assert_eq!(cookie.values(&headers(&[("cookie", many.as_bytes())]).unwrap()).count(), 8);
}

#[test]
fn a_media_type_is_json_in_utf_8_or_refused() {
    let token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
    let text = r#""(?:[^"\\]|\\.)*""#;
    let parameter = format!(r"[ \t]*(?:({token})[ \t]*=[ \t]*({token}|{text})[ \t]*)?");
    // Well formed, and with each parameter in a group of its own.
    let essence = r"[ \t]*application/(?i:json|[!#$&^_.+0-9A-Za-z-]+\+json)[ \t]*";
    let whole = pattern(&format!("(?i:{essence})(?:;{parameter})*"));
    let one = Regex::new(&format!("(?s-u);{parameter}")).unwrap();
    let begins = pattern(&format!("(?i:{essence})(?:;.*)?"));
    let valid: [&[u8]; 8] = [
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/vnd.api+json;charset=\"UTF-8\"; profile=\"a;charset=latin1\"",
        b"application/json; charset=latin1",
        b"application/json; profile=\"a",
        b"text/plain",
        b"application/+json",
        b"application/merge-patch+json",
    ];
    odd::hold_bytes(&valid, |given| {
        let Some(headers) = headers(&[("content-type", given)]) else { return Ok(()) };
        let taken = media_type::check(&headers, Accepts::AnyJson).is_ok();
        if taken {
            prop_assert!(begins.is_match(given));
        }
        if whole.is_match(given) {
            let charsets = one
                .captures_iter(given)
                .filter(|found| found.get(1).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"charset")));
            let is_utf_8 = |value: &[u8]| {
                let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
                let plain: Vec<u8> = inner.iter().copied().filter(|byte| *byte != b'\\').collect();
                [&b"utf-8"[..], b"utf8", b"us-ascii", b"ascii"].iter().any(|known| known.eq_ignore_ascii_case(&plain))
            };
            let all = charsets.filter_map(|found| found.get(2)).all(|value| is_utf_8(value.as_bytes()));
            prop_assert_eq!(taken, all && given.is_ascii());
        }
        // What an admin operation takes, the data handler takes.
        for narrow in [Accepts::Json, Accepts::MergePatch] {
            prop_assert!(taken || media_type::check(&headers, narrow).is_err());
        }
        Ok(())
    });
}

#[test]
fn parts_put_together_are_the_whole() {
    odd::hold(&["a, b", "a=\"x,y\", b", "\"a\\\",\"", "\""], |text| {
        if let Some(parts) = quoted::split(text, b',') {
            prop_assert_eq!(parts.join(","), text);
            prop_assert!(text.contains('"') || parts.iter().all(|part| !part.contains(',')));
        } else {
            prop_assert!(text.contains('"'));
        }
        Ok(())
    });
}

#[test]
fn a_page_is_packed_or_left_out_only_for_whom_says_so() {
    let page = StaticPage::text("application/json", "{}");
    let packed = page.answer(&headers(&[("accept-encoding", b"gzip")]).unwrap());
    let etag = packed.headers()["etag"].as_bytes().to_vec();
    let weak = [b"W/", &etag[..]].concat();
    odd::hold_bytes(&[&etag, &weak, b"\"a\", *", b"*", b"gzip", b"br, GZIP;q=0.5", b"gzip;q=0", b"*;q=0.1"], |line| {
        let Some(tags) = headers(&[("if-none-match", line), ("accept-encoding", b"gzip")]) else { return Ok(()) };
        let is_known = line.windows(etag.len()).any(|part| part == etag) || line.contains(&b'*');
        prop_assert!(is_known || page.answer(&tags).status() != 304);
        let accepts = headers(&[("accept-encoding", line)]).expect("it is a line");
        let lower = line.to_ascii_lowercase();
        let takes = lower.windows(4).any(|part| part == b"gzip") || line.contains(&b'*');
        prop_assert!(takes || page.answer(&accepts).header("content-encoding").is_none());
        Ok(())
    });
}

#[test]
fn a_host_is_what_rfc_9110_says() {
    let name = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*";
    let grammar = pattern(&format!(
        r"(?:\[([0-9A-Fa-f:.]+)\]|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+\]|{name})(?::[0-9]*)?"
    ));
    let valid: [&[u8]; 9] = [
        b"localhost",
        b"push.example.com:443",
        b"[::1]:8080",
        b"[v1.a]",
        b"[::1",
        b"a:80:80",
        b"ada@example.com",
        b"b%C3%BCcher.example",
        b"[1.2.3.4]",
    ];
    odd::hold_bytes(&valid, |given| {
        let Some(headers) = headers(&[("host", given)]) else { return Ok(()) };
        let given = given.trim_ascii();
        let is_host = grammar.captures(given).is_some_and(|found| {
            found.get(1).is_none_or(|address| {
                std::str::from_utf8(address.as_bytes()).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
            })
        });
        // A blank at the end belongs to the header's line, and hyper takes it away.
        if headers["host"].as_bytes() == given {
            prop_assert_eq!(host::check(Version::HTTP_11, &headers).is_ok(), is_host);
        }
        Ok(())
    });
}
