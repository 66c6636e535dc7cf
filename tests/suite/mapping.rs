//! GET destinations: the document becomes query parameters, tested end to end.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use url::form_urlencoded;

use crate::harness::client::NewAccount;
use crate::harness::receiver::Received;
use crate::harness::{Client, Receiver, Server, Setup};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    _server: Server,
}

impl Case {
    fn new(target: &str) -> Self {
        let server = Setup::dev().start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url(target), "GET", json!({}));
        Self { client, receiver, account, _server: server }
    }

    /// Pushes `document` and returns the request that arrives.
    fn sent(&self, document: &str) -> Received {
        let before = self.receiver.requests().len();
        self.client.push(&self.account, document);
        self.receiver.wait_for("/in", before + 1).pop().unwrap()
    }
}

#[test]
fn an_object_gives_a_parameter_a_key() {
    let case = Case::new("/in");
    for (document, query) in [
        (r#"{"b":"x y","a":true,"c":false,"n":null}"#, "b=x%20y&a=true&c=false"),
        (
            r#"{"n":12345678901234567890,"f":1.0,"e":1e2,"z":-0,"E":1E+2}"#,
            "n=12345678901234567890&f=1.0&e=1e2&z=-0&E=1E%2B2",
        ),
        (r#"{"a":1,"a":2}"#, "a=1&a=2"),
        (
            r#"{"a":[1,"x",null,true,[2, 3],{"b" :  1.0}]}"#,
            "a=1&a=x&a=true&a=%5B2%2C%203%5D&a=%7B%22b%22%20%3A%20%201.0%7D",
        ),
        (r#"{"o":{ "k" : [1,  2], "k":0 }}"#, "o=%7B%20%22k%22%20%3A%20%5B1%2C%20%202%5D%2C%20%22k%22%3A0%20%7D"),
        (r#"{"a b&c=d":"e&f=g+h%20"}"#, "a%20b%26c%3Dd=e%26f%3Dg%2Bh%2520"),
        (r#"{"e":"","":"x"}"#, "e=&=x"),
        ("{\"\\u00e9\":\"\\ud83d\\ude00\\n\"}", "%C3%A9=%F0%9F%98%80%0A"),
        ("\r\n { \"a\" : 1 } ", "a=1"),
    ] {
        let request = case.sent(document);
        assert_eq!((request.method.as_str(), request.query()), ("GET", query), "{document}");
    }
}

#[test]
fn a_document_that_is_no_object_goes_as_data() {
    let case = Case::new("/in");
    for (document, query) in [
        ("[1, 2]", "data=%5B1%2C%202%5D"),
        ("\"hi\"", "data=%22hi%22"),
        ("null", "data=null"),
        ("1e2", "data=1e2"),
        (" true ", "data=true"),
    ] {
        assert_eq!(case.sent(document).query(), query, "{document}");
    }
}

#[test]
fn an_object_without_parameters_leaves_the_url_as_it_is() {
    let case = Case::new("/in");
    for document in ["{}", "{\"a\":null}", "{\"a\":[]}", "{\"a\":[null]}"] {
        assert_eq!(case.sent(document).target, "/in", "{document}");
    }
}

#[test]
fn parameters_follow_the_query_that_the_url_has() {
    let case = Case::new("/in?key=v%20w&flag");
    assert_eq!(case.sent("{\"a\":1}").target, "/in?key=v%20w&flag&a=1");
    assert_eq!(case.sent("{}").target, "/in?key=v%20w&flag");
    let case = Case::new("/in?");
    assert_eq!(case.sent("{\"a\":1}").target, "/in?a=1");
}

#[test]
fn a_get_has_no_body_and_says_nothing_of_one() {
    let case = Case::new("/in");
    let request = case.sent("{\"a\":1}");
    assert!(request.body.is_empty());
    for header in ["content-type", "content-length", "transfer-encoding"] {
        assert_eq!(request.headers.get(header), None, "{header}");
    }
    assert!(request.headers.get("user-agent").is_some_and(|agent| agent.starts_with("data-pusher/")));
}

#[test]
fn a_url_over_8000_bytes_is_not_sent() {
    let case = Case::new("/in");
    let room = 8_000 - case.receiver.url("/in?a=").len();
    let document = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length));
    assert_eq!(case.sent(&document(room)).query().len(), room + 2);
    let delivery = case.client.push_one(&case.account, document(room + 1));
    let delivery = case.client.wait_for_state(&delivery, "exhausted");
    assert_eq!(delivery["error"], "url_too_long");
    assert_eq!(case.sent("{\"a\":2}").query(), "a=2");
    assert_eq!(case.receiver.requests().len(), 2);
}

/// The text of a member's value, and the parameters that must be made of the value.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    parameters: Vec<String>,
}

fn written() -> impl Strategy<Value = Written> {
    let one = |text: String, parameter: String| Written { text, parameters: vec![parameter] };
    let scalar = prop_oneof![
        any::<String>().prop_map(move |value| one(serde_json::to_string(&value).unwrap(), value)),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?"
            .prop_map(move |number| one(number.clone(), number)),
        any::<bool>().prop_map(move |value| one(value.to_string(), value.to_string())),
        Just(Written { text: "null".to_owned(), parameters: Vec::new() }),
    ];
    // An object is sent as its text, with its white space.
    let object = ("[ \t]{0,2}", "[a-z]{1,3}", scalar.clone()).prop_map(move |(space, name, value)| {
        let text = format!("{{{space}\"{name}\"{space}:{}}}", value.text);
        one(text.clone(), text)
    });
    let inner = proptest::collection::vec(scalar.clone(), 0..3).prop_map(move |values| {
        let text = format!("[{}]", values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join(" ,"));
        one(text.clone(), text)
    });
    let array = proptest::collection::vec(prop_oneof![3 => scalar.clone(), 1 => object.clone(), 1 => inner], 0..4)
        .prop_map(|values| Written {
            text: format!("[ {} ]", values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join(" , ")),
            parameters: values.into_iter().flat_map(|value| value.parameters).collect(),
        });
    prop_oneof![4 => scalar, 1 => object, 2 => array]
}

#[test]
fn any_object_arrives_as_the_parameters_that_it_is_written_as() {
    let case = Case::new("/in");
    let members = proptest::collection::vec((prop_oneof!["[a-c]", any::<String>()], written()), 0..6);
    let config =
        ProptestConfig { cases: 96, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&members, |members| {
        let texts: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{} : {}", serde_json::to_string(name).unwrap(), value.text))
            .collect();
        let request = case.sent(&format!("{{{}}}", texts.join(", ")));
        let expected: Vec<(String, String)> = members
            .iter()
            .flat_map(|(name, value)| value.parameters.iter().map(|parameter| (name.clone(), parameter.clone())))
            .collect();
        let arrived: Vec<(String, String)> = form_urlencoded::parse(request.query().as_bytes()).into_owned().collect();
        prop_assert_eq!(arrived, expected);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
