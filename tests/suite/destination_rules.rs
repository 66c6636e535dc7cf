//! The headers that a destination may ask for, and which of them are masked in lists.

use serde_json::{Map, Value, json};

use crate::harness::client::text;
use crate::harness::{Answer, Client, Setup};

struct Case {
    client: Client,
    list: String,
    _server: crate::harness::Server,
}

impl Case {
    fn new() -> Self {
        let server = Setup::dev().start();
        let client = server.client();
        let list = format!("/v1/accounts/{}/destinations", client.create_account("ada").id);
        Self { client, list, _server: server }
    }

    #[track_caller]
    fn create(&self, headers: &Value) -> Answer {
        let body = json!({"url": "http://127.0.0.1:9/", "http_method": "POST", "headers": headers});
        self.client.post(&self.list, &body)
    }

    /// Creates a destination, which must be refused because of one header or of the headers as a whole.
    #[track_caller]
    fn refused(&self, headers: &Value) {
        let faults = self.create(headers).faults();
        assert!(
            faults.iter().all(|field| field == "headers" || field.starts_with("headers.")),
            "{headers}: {faults:?}"
        );
    }
}

#[test]
fn headers_of_the_connection_and_of_the_product_are_refused_in_any_case() {
    let case = Case::new();
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Accept-Encoding",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Proxy-Anything",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "webhook-anything",
        "CL-XTOKEN",
        "CL-X-TOKEN",
    ] {
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(case.create(&json!({name.as_str(): "1"})).faults(), [format!("headers.{name}")]);
        }
    }
}

#[test]
fn names_are_tokens() {
    let case = Case::new();
    for name in
        ["", " ", "X A", "X:A", "X\tA", "X\r\nA", "X\u{e9}", "X/A", "X(A)", "X@A", "\"X\"", "X\u{0}", ":authority"]
    {
        case.refused(&json!({name: "1"}));
    }
    case.create(&json!({"!#$%&'*+-.^_`|~09azAZ": "1"})).expect(201);
}

#[test]
fn names_differ_in_more_than_case() {
    let case = Case::new();
    case.refused(&json!({"X-A": "1", "x-a": "2"}));
    case.create(&json!({"X-A": "1", "X-AA": "2"})).expect(201);
}

#[test]
fn a_name_given_twice_is_not_silently_dropped() {
    let case = Case::new();
    let body = br#"{"url": "http://127.0.0.1:9/", "http_method": "POST", "headers": {"X-A": "1", "X-A": "2"}}"#;
    let answer = case.client.send("POST", &case.list, &[("content-type", "application/json")], Some(body));
    assert!(matches!(answer.status, 400 | 422), "{}: {}", answer.status, answer.text());
}

#[test]
fn values_have_no_control_characters() {
    let case = Case::new();
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\u{0}b", "\u{7f}", "\u{1b}[0m"] {
        assert_eq!(case.create(&json!({"X-A": value})).faults(), ["headers.X-A"], "{value:?}");
    }
    case.create(&json!({"X-A": "", "X-B": "plain text; q=\"1\"", "Content-Type": "application/cloudevents+json", "User-Agent": "me"}))
        .expect(201);
}

#[test]
fn a_hundred_headers_and_32_kib_are_taken_and_no_more() {
    let case = Case::new();
    let many = |count: usize| -> Value {
        (0..count).map(|number| (format!("X-{number}"), json!("1"))).collect::<Map<_, _>>().into()
    };
    case.create(&many(100)).expect(201);
    case.refused(&many(101));
    case.create(&json!({"X-A": "x".repeat(30 * 1024)})).expect(201);
    case.refused(&json!({"X-A": "x".repeat(33 * 1024)}));
}

#[test]
fn lists_mask_headers_that_hold_secrets_and_show_the_others() {
    let case = Case::new();
    let secrets = ["Authorization", "X-Api-Key", "X-Auth-Token", "Cookie", "X-Secret", "X-Signature-Password"];
    let mut headers: Map<String, Value> =
        secrets.iter().map(|name| ((*name).to_owned(), json!("hunter2-hunter2"))).collect();
    headers.insert("X-Env".to_owned(), json!("staging"));
    case.create(&headers.into()).expect(201);
    let listed = case.client.get(&case.list).expect(200);
    assert!(!listed.text().contains("hunter2"), "{}", listed.text());
    let shown = &listed.json()["items"][0]["headers"];
    assert_eq!(shown["X-Env"], "staging");
    assert_eq!(shown.as_object().unwrap().len(), 7, "names stay visible");
}

#[test]
fn a_masked_value_is_never_accepted_back() {
    let case = Case::new();
    let created = case.create(&json!({"Authorization": "Bearer hunter2", "X-Env": "staging"})).expect(201).json();
    let path = format!("/v1/destinations/{}", text(&created, "destination_id"));
    let listed = case.client.get(&case.list).expect(200).json()["items"][0].clone();
    let masked = json!({"Authorization": listed["headers"]["Authorization"]});
    let whole = json!({"url": listed["url"], "http_method": listed["http_method"], "headers": listed["headers"]});
    assert_eq!(case.client.put(&path, &whole).faults(), ["headers.Authorization"]);
    assert_eq!(case.client.patch(&path, &json!({"headers": masked})).faults(), ["headers.Authorization"]);
    assert_eq!(case.create(&masked).faults(), ["headers.Authorization"]);
}
