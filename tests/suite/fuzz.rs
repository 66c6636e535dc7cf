//! Arbitrary bytes against the running binary: every answer is a designed one, and what is delivered is what was sent.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::client::{INCOMING, text};
use crate::harness::{Receiver, Setup, wire};

/// A runner with this number of cases, or with as many as `PROPTEST_CASES` says. Each case is one or two requests on
/// loopback.
pub fn runner(cases: u32) -> TestRunner {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|asked| asked.parse().ok());
    TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(asked.unwrap_or(cases)) })
}

/// JSON, nearly JSON, and arbitrary bytes.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let written = prop::sample::select(vec![
        "{\"a\":[1,2.50,{\"b\":null}]}",
        " [true, \"\\ud83d\\ude00 \u{e4}\"] ",
        "{\"k\":1e2,\"k\":-0.0}",
        "\"plain\"",
        "12345678901234567890123",
    ]);
    let broken = (written.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    let cut = (written.clone(), any::<prop::sample::Index>())
        .prop_map(|(text, at)| text.as_bytes()[..at.index(text.len())].to_vec());
    prop_oneof![
        written.prop_map(|text| text.as_bytes().to_vec()),
        broken,
        cut,
        r#"[\[\]{}",:0-9a-f\\u .-]{0,40}"#.prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

/// Whether serde_json, independently of the product, accepts the bytes, with numbers of any size.
fn is_strict_json(bytes: &[u8]) -> bool {
    let raw: Result<Box<serde_json::value::RawValue>, _> = serde_json::from_slice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match serde_json::from_str::<Value>(text) {
        Ok(_) => raw.is_ok(),
        // The tree cannot hold numbers beyond f64, which are nevertheless JSON.
        Err(error) => raw.is_ok() && error.to_string().contains("out of range"),
    }
}

#[test]
fn whatever_the_data_handler_is_sent_it_takes_json_and_passes_on_the_same_bytes() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let accepted = RefCell::new(HashMap::new());
    let ran = runner(200).run(&document(), |body| {
        let answer = client.push_with(&account.token, &[], &body);
        if is_strict_json(&body) {
            prop_assert_eq!(answer.status, 202, "{}", answer.text());
            accepted.borrow_mut().insert(text(&answer.json(), "event_id"), body);
        } else {
            prop_assert_eq!(answer.status, 400, "{}", answer.text());
            prop_assert_eq!(&answer.problem(400)["title"], "Invalid Data");
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    let accepted = accepted.into_inner();
    assert!(accepted.len() > 30, "only {} were JSON", accepted.len());
    for request in receiver.wait_for("/in", accepted.len()) {
        assert_eq!(Some(&request.body), accepted.get(request.headers.get("webhook-id").unwrap()));
    }
    assert_eq!(client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len(), accepted.len());
}

#[test]
fn whatever_head_comes_with_an_event_the_answer_is_a_designed_one() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let name = prop_oneof![
        Just("content-type".to_owned()),
        Just("cl-xtoken".to_owned()),
        Just("cl-x-token".to_owned()),
        Just("prefer".to_owned()),
        Just("idempotency-key".to_owned()),
        Just("content-encoding".to_owned()),
        Just("host".to_owned()),
        Just("origin".to_owned()),
        "[a-zA-Z-]{1,12}",
        "[ -~]{1,8}",
    ];
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        Just(b"application/json".to_vec()),
    ];
    let lines = proptest::collection::vec((name, value), 0..5);
    let ran = runner(300).run(&(lines, document()), |(lines, body)| {
        let token = &account.token;
        let mut bytes = format!(
            "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n",
            body.len()
        )
        .into_bytes();
        for (name, value) in lines {
            let value: Vec<u8> = value.into_iter().filter(|byte| !b"\r\n".contains(byte)).collect();
            bytes.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        bytes.extend([b"\r\n".as_slice(), &body].concat());
        if let Some(answer) = wire::send_and_finish(server.address, &bytes) {
            prop_assert!([200, 202, 400, 401, 413, 415, 417, 421, 422, 431].contains(&answer.status), "{:?}", answer);
            if answer.status >= 400 {
                let code = answer.status;
                answer.problem(code);
            }
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    client.get("/readyz").expect(200);
}

#[test]
fn whatever_cursor_limit_or_filter_is_asked_with_the_answer_is_a_designed_one() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    for _ in 0..3 {
        client.push(&account, "{}");
    }
    let events = format!("/v1/accounts/{}/events", account.id);
    let real = client.get(&format!("{events}?limit=1")).expect(200).json()["next_cursor"].as_str().unwrap().to_owned();
    let mutated = (any::<prop::sample::Index>(), "[ -~]").prop_map(move |(at, with)| {
        let at = at.index(real.len());
        format!("{}{with}{}", &real[..at], &real[at + 1..])
    });
    let asked = prop_oneof![mutated, "\\PC{0,30}", "[a-z0-9_-]{0,20}", "-?[0-9]{1,25}"];
    let paths = vec![events, "/v1/accounts".to_owned(), "/v1/deliveries".to_owned()];
    let name =
        prop::sample::select(vec!["cursor", "limit", "state", "since", "until", "account_id", "email", "status_code"]);
    let ran = runner(300).run(&(prop::sample::select(paths), name, asked), |(path, name, text)| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, &text).finish();
        let answer = client.get(&format!("{path}?{query}"));
        match answer.status {
            200 => prop_assert!(answer.json()["items"].is_array()),
            status => {
                prop_assert!([400, 404].contains(&status), "{path}?{query}: {}", answer.text());
                answer.problem(status);
            }
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn whatever_url_a_destination_is_given_it_is_taken_as_one_thing_or_refused_with_a_reason() {
    let server = Setup::guarded().start();
    let client = server.client();
    let account = client.create_account("ada");
    let path = format!("/v1/accounts/{}/destinations", account.id);
    let host = prop_oneof![
        "[a-z]{1,8}\\.example",
        "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}",
        "0x[0-9a-f]{1,8}",
        "0[0-7]{1,11}",
        "\\[[0-9a-f:.]{2,20}\\]",
        "[0-9]{1,10}",
        "\\PC{1,8}",
    ];
    let url = ("(http|https|HTTP|ftp|javascript)?:?/{0,3}", host, "(:[0-9]{0,6})?[/?#\\\\]?\\PC{0,20}")
        .prop_map(|(scheme, host, rest)| format!("{scheme}{host}{rest}"));
    let ran = runner(300).run(&url, |url| {
        let answer = client.post(&path, &json!({"url": url, "http_method": "POST", "headers": {}}));
        match answer.status {
            201 => {
                let kept = answer.json()["url"].as_str().unwrap().to_owned();
                let parsed = url::Url::parse(&kept).expect("what is kept is a URL");
                prop_assert_eq!(parsed.as_str(), kept.as_str());
                prop_assert!(parsed.username().is_empty() && parsed.fragment().is_none(), "{}", kept);
                // The URL that is kept is accepted again, unchanged.
                let again = client.post(&path, &json!({"url": kept, "http_method": "POST", "headers": {}}));
                prop_assert_eq!(&again.expect(201).json()["url"], &json!(kept));
            }
            409 => {}
            _ => prop_assert_eq!(answer.faults(), ["url"], "{}", url),
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}
