//! Lines of tokens, `Prefer`, and parameters of queries.

use poem::http::{Method, Uri};
use proptest::prelude::*;

use super::headers;
use crate::api::auth::{AccountToken, NoToken};
use crate::api::model::values::{Limit, StatusFilter};
use crate::api::paths::Paths;
use crate::api::request::prefer;
use crate::domain::secret::TokenDigest;
use crate::domain::tests::{MAX_ERROR, grammar, odd};

#[test]
fn a_token_is_the_bytes_of_its_line_and_two_lines_must_be_the_same() {
    let valid: [&[u8]; 5] = [b"cl_0123456789abcdef", b"dpt_0123", b"adm_0123", b"a b", b"\xc3\xa4"];
    odd::hold_bytes(&valid, |token| {
        let Some(one) = headers(&[("cl-xtoken", token)]) else { return Ok(()) };
        let digest = match token {
            b"" => Err(NoToken::Empty),
            [b'd', b'p', b't', b'_', ..] => Err(NoToken::WithRole),
            [b'a', b'd', b'm', b'_', ..] => Err(NoToken::Admin),
            _ => Ok(TokenDigest::of(token)),
        };
        prop_assert!(AccountToken::of(&one).0 == digest);
        let other = [token, b"x"].concat();
        for names in [["cl-xtoken", "cl-x-token"], ["cl-xtoken", "cl-xtoken"], ["cl-x-token", "cl-x-token"]] {
            let same = headers(&[(names[0], token), (names[1], token)]).expect("each is a line");
            prop_assert!(AccountToken::of(&same).0 == digest);
            let two = headers(&[(names[0], token), (names[1], &other)]).expect("each is a line");
            prop_assert!(AccountToken::of(&two).0 == Err(NoToken::Several));
        }
        Ok(())
    });
}

#[test]
fn a_wait_is_read_as_rfc_7240_writes_it() {
    // A list of preferences, each with a value and parameters that may be quoted.
    let text = r#""(?:[^"\\]|\\.)*""#;
    let item = format!(r#"[^,;="]*(?:=[ \t]*(?:{text}|[^,;"]*))?[ \t]*(?:;(?:[^,"]|{text})*)?"#);
    let list = grammar(&format!("{item}(?:,{item})*"));
    let one = regex::Regex::new(&format!(",({item})")).unwrap();
    let wait = grammar(r#"(?i:[ \t]*wait[ \t]*=[ \t]*(?:"([0-9]+)"|([0-9]+))[ \t]*(?:;.*)?)"#);
    let valid = [
        "wait=10",
        "WAIT = 10",
        "respond-async, wait=10;x=y",
        "return=minimal, wait=\"10\"",
        "x=\"a, wait=5, b\"",
        "wait=99999999999999999999999",
        "wait=31",
        "wait=-1",
        "wait",
    ];
    odd::hold(&valid, |line| {
        let Some(headers) = headers(&[("prefer", line.as_bytes())]) else { return Ok(()) };
        let found = prefer::wait(&headers);
        prop_assert!(found.is_none_or(|wait| wait.as_secs() <= 30 && wait.subsec_nanos() == 0));
        // What is no list is ignored or read in part; neither harms.
        let is_ascii = line.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        if is_ascii && list.is_match(line) {
            let expected = one.captures_iter(&format!(",{line}")).find_map(|found| {
                let found = wait.captures(found.get(1)?.as_str())?;
                let digits = found.get(1).or(found.get(2))?.as_str().trim_start_matches('0');
                Some(if digits.is_empty() { 0 } else { digits.parse().unwrap_or(30_u64).min(30) })
            });
            prop_assert_eq!(found.map(|wait| wait.as_secs()), expected);
        }
        Ok(())
    });
}

#[test]
fn numbers_of_queries_are_digits_within_bounds() {
    let between = |text: &str, lowest: u64, highest: u64| {
        let digits = grammar("[0-9]+").is_match(text);
        let number = digits.then(|| text.trim_start_matches('0')).map(|text| if text.is_empty() { "0" } else { text });
        number.and_then(|text| text.parse().ok()).filter(|number| (lowest..=highest).contains(number))
    };
    odd::hold(&["1", "50", "200", "201", "100", "999", "+5"], |text| {
        prop_assert_eq!(text.parse::<Limit>().ok().map(|limit| u64::from(limit.0)), between(text, 1, 200));
        prop_assert_eq!(text.parse::<StatusFilter>().ok().map(|status| u64::from(status.0)), between(text, 100, 999));
        Ok(())
    });
}

#[test]
fn a_query_has_each_known_parameter_once_and_no_other() {
    let paths = Paths::new(Vec::new(), [("/healthz", &["GET"][..])]);
    odd::hold(&["a=b", "a=b&a=c", "limit=5", "?", "&&", "a%20b=c"], |query| {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        for text in [query, &encoded] {
            let Ok(uri) = format!("/healthz?{text}").parse::<Uri>() else { continue };
            let has_one = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).next().is_some();
            let checked = paths.check_query(&Method::GET, &uri);
            prop_assert_eq!(checked.is_err(), has_one);
            if let Err(error) = checked {
                prop_assert!(error.problem.detail.len() <= MAX_ERROR, "{}", error.problem.detail);
                // The value may be a secret that somebody has put there by mistake.
                prop_assert_eq!(error.problem.status, 400);
            }
        }
        Ok(())
    });
}
