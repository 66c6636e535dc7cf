//! What a destination with a body gets: the bytes as they came, and the headers.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::harness::{Receiver, Setup};

/// Documents that a parser on the way would change.
const NASTY: [&str; 22] = [
    "{\"n\":12345678901234567890}",
    "{\"n\":-98765432109876543210.12345678901234567890}",
    "[1.0,1.10,1e2,1E+2,1e-07,-0,-0.0,0e0,1e999]",
    "{\"a\":1,\"a\":2,\"a\":{\"a\":3}}",
    "{\"b\":1,\"a\":2,\"10\":3,\"9\":4}",
    " \t\r\n{ \"a\" :\t[ 1 ,\r\n2 ] } \n\n",
    "\"\\u0041\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
    "\"\\ud83d\\ude00 \u{1f600} \\uD83D\\uDE00\"",
    "\"\\u0000\"",
    "\"e\u{301} \u{e9} \\u00e9\"",
    "\"\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{ffff}\u{10ffff}\"",
    "\"<script>&amp;</script>\"",
    "\"%41%00 + a=b&c\"",
    "{\"\":\"\",\" \":null}",
    "null",
    "true",
    "-0",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[[[]]]]]]]]]]",
    "{\"__proto__\":{\"a\":1},\"constructor\":2}",
];

/// Texts of JSON values, in every form in which they may be written.
fn json_text() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?";
    let character = prop_oneof![
        6 => any::<char>().prop_filter_map("must be escaped", |c| (c >= ' ' && c != '"' && c != '\\').then(|| c.to_string())),
        1 => "\\\\[\"\\\\/bfnrt]",
        1 => "\\\\u00[0-9a-fA-F]{2}",
        1 => Just("\\ud83d\\uDE00".to_owned()),
    ];
    let string = proptest::collection::vec(character, 0..8).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf =
        prop_oneof![number, string.clone(), Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned())];
    let space = "[ \t\r\n]{0,2}";
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        let element =
            (space, inner.clone(), space).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        // Few names, so that they often repeat.
        let name = prop_oneof![Just("\"a\"".to_owned()), Just("\"\\u0061\"".to_owned()), string.clone()];
        let member = (space, name, space, element.clone())
            .prop_map(|(before, name, after, value)| format!("{before}{name}{after}:{value}"));
        prop_oneof![
            (space, proptest::collection::vec(element, 1..5)).prop_map(|(_, parts)| format!("[{}]", parts.join(","))),
            proptest::collection::vec(member, 1..5).prop_map(|parts| format!("{{{}}}", parts.join(","))),
            space.prop_map(|inside| format!("[{inside}]")),
            space.prop_map(|inside| format!("{{{inside}}}")),
        ]
    });
    (space, value, space).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
}

#[test]
fn nasty_documents_arrive_byte_for_byte_by_every_method_with_a_body() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let account = client.create_account(&method.to_lowercase());
        let path = format!("/{method}");
        client.create_destination(&account, &receiver.url(&path), method, json!({}));
        for (number, document) in NASTY.iter().enumerate() {
            client.push(&account, document);
            let request = receiver.wait_for(&path, number + 1).pop().unwrap();
            assert_eq!(request.body, document.as_bytes(), "{method} {document}");
            assert_eq!((request.method.as_str(), request.target.as_str()), (method, path.as_str()));
        }
    }
}

#[test]
fn any_document_arrives_byte_for_byte() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    for method in ["POST", "PUT"] {
        client.create_destination(&account, &receiver.url(&format!("/{method}")), method, json!({}));
    }
    let config =
        ProptestConfig { cases: 96, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&json_text(), |document| {
        let before = ["/POST", "/PUT"].map(|path| receiver.requests_to(path).len());
        client.push(&account, &document);
        for (path, before) in ["/POST", "/PUT"].into_iter().zip(before) {
            let arrived = receiver.wait_for(path, before + 1).pop().unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&arrived.body), document.as_str());
        }
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_document_of_the_longest_length_arrives_whole() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    let document = format!("\"{}\"", "0123456789abcdef".repeat(65_535));
    client.push(&account, &document);
    assert!(receiver.wait_for("/", 1)[0].body == document.as_bytes());
}

#[test]
fn the_payload_is_read_back_verbatim() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    for document in NASTY {
        let id = client.push(&account, document)["event_id"].as_str().unwrap().to_owned();
        let event = client.get(&format!("/v1/events/{id}")).expect(200);
        // A value inside another one keeps everything but the white space around the document.
        let value = document.trim_matches([' ', '\t', '\r', '\n']);
        assert!(event.text().contains(&format!("\"payload\":{value}")), "{document:?} is not in {}", event.text());
    }
    assert!(!client.get(&format!("/v1/accounts/{}/events", account.id)).expect(200).text().contains("\"payload\""));
}

#[test]
fn a_body_comes_with_content_type_and_user_agent() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in?k=v&x=%20"), "POST", json!({}));
    client.push(&account, "{\"a\":1}");
    let request = receiver.wait_for("/in", 1).remove(0);
    assert_eq!(request.target, "/in?k=v&x=%20");
    assert_eq!(request.headers.get("content-type"), Some("application/json"));
    assert_eq!(request.headers.get("user-agent"), Some(concat!("data-pusher/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.headers.get("content-length"), Some("7"));
    assert_eq!(request.headers.get("host"), Some(format!("127.0.0.1:{}", receiver.port()).as_str()));
    assert_eq!((request.headers.get("transfer-encoding"), request.headers.get("accept-encoding")), (None, None));
}

#[test]
fn the_destinations_own_headers_come_once_and_win_over_the_defaults() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let headers = json!({"content-type": "application/cloudevents+json", "USER-AGENT": "me/1", "Authorization": "Bearer x", "X-Empty": ""});
    client.create_destination(&account, &receiver.url("/"), "POST", headers);
    client.push(&account, "{}");
    let request = receiver.wait_for("/", 1).remove(0);
    for (name, value) in [
        ("content-type", "application/cloudevents+json"),
        ("user-agent", "me/1"),
        ("authorization", "Bearer x"),
        ("x-empty", ""),
    ] {
        assert_eq!(request.headers.get(name), Some(value), "{name}");
    }
}

#[test]
fn a_content_type_of_the_sender_does_not_travel() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    let headers = [
        ("cl-xtoken", account.token.as_str()),
        ("content-type", "application/vnd.api+json"),
        ("authorization", "Bearer x"),
    ];
    client.send("POST", "/server/incoming_data", &headers, Some(b"{}")).expect(202);
    let request = receiver.wait_for("/", 1).remove(0);
    assert_eq!(request.headers.get("content-type"), Some("application/json"));
    assert_eq!(request.headers.get("authorization"), None);
}
