//! What templates make of an event, previews, and the worked examples of docs/shaping.md.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Receiver, Server, Setup};
use crate::signatures::signature;

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    _server: Server,
}

impl Case {
    fn new() -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", "50ms"]).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, receiver: Receiver::start(), _server: server }
    }

    /// Creates a destination at `path` with these fields besides the required ones. Returns its path in the API.
    fn destination(&self, path: &str, fields: &Value) -> String {
        let created = self.client.post(&self.destinations(), &self.body(path, fields)).expect(201).json();
        format!("/v1/destinations/{}", text(&created, "destination_id"))
    }

    fn destinations(&self) -> String {
        format!("/v1/accounts/{}/destinations", self.account.id)
    }

    fn body(&self, path: &str, fields: &Value) -> Value {
        let mut body = json!({"url": self.receiver.url(path), "http_method": "POST", "headers": {}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    }

    /// Sends an event, with this type unless it is empty. Returns the answer.
    fn push(&self, event_type: &str, body: &str) -> Value {
        let headers: &[(&str, &str)] = if event_type.is_empty() { &[] } else { &[("event-type", event_type)] };
        self.client.push_with(&self.account.token, headers, body.as_bytes()).expect(202).json()
    }
}

/// A block of the page: its kind, the words behind, and its text.
struct Block {
    kind: String,
    rest: String,
    text: String,
}

/// The blocks of each worked example, by its heading.
fn examples() -> Vec<(String, Vec<Block>)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/shaping.md")).unwrap();
    let mut examples: Vec<(String, Vec<Block>)> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("### ") {
            examples.push((heading.to_owned(), Vec::new()));
        }
        let Some(kind) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut words = kind.split(' ').skip(1);
        let (kind, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if let Some((_, blocks)) = examples.last_mut() {
            blocks.push(Block { kind: kind.to_owned(), rest: rest.to_owned(), text: text.join("\n") });
        }
    }
    examples
}

#[test]
fn the_worked_examples_do_what_their_page_says() {
    let examples = examples();
    assert_eq!(examples.len(), 10);
    for (heading, blocks) in examples {
        let case = Case::new();
        let mut blocks = blocks.into_iter();
        let settings = blocks.next().filter(|block| block.kind == "settings").expect("settings come first");
        case.destination("/in", &serde_json::from_str(&settings.text).unwrap());
        let mut came = 0;
        while let Some(event) = blocks.next() {
            assert_eq!(event.kind, "event", "{heading}");
            let answer = case.push(&event.rest, &event.text);
            let shown = blocks.next().expect("an event has an end");
            if shown.kind == "skipped" {
                assert_eq!(answer["skipped"][0]["reason"], shown.text, "{heading}");
                continue;
            }
            assert_eq!(shown.kind, "sent", "{heading}");
            let (head, body) = shown.text.split_once("\n\n").unwrap_or((&shown.text, ""));
            let mut head = head.lines();
            let (method, query) = head.next().map(|line| line.split_once(' ').unwrap_or((line, ""))).unwrap();
            came += 1;
            let requests = case.receiver.wait_for("/in", came);
            let request = requests.last().unwrap();
            assert_eq!((&*request.method, &*request.target), (method, &*format!("/in{query}")), "{heading}");
            for header in head {
                let (name, value) = header.split_once(": ").unwrap();
                assert_eq!(request.headers.get(name), Some(value), "{heading}");
            }
            assert_eq!(String::from_utf8_lossy(&request.body), body, "{heading}");
        }
        assert!(came > 0, "{heading}");
    }
}

#[test]
fn a_template_that_fails_exhausts_the_delivery_with_its_line_and_mending_it_helps() {
    let case = Case::new();
    let path = case.destination("/in", &json!({"body_template": "{\"a\":\n{{ data.name }}}"}));
    let delivery = case.client.push_one(&case.account, r#"{"n":1}"#);
    let failed = case.client.wait_for_state(&delivery, "exhausted");
    assert_eq!((&failed["error"], &failed["attempt_count"]), (&json!("template_failed"), &json!(1)));
    let detail = failed["attempts"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("line 2") && detail.contains("data.name is missing"), "{detail}");
    let destination = case.client.get(&path).expect(200).json();
    assert_eq!((&destination["failing_since"], &destination["state"]), (&Value::Null, &json!("active")));
    assert!(case.receiver.requests().is_empty());

    case.client.patch(&path, &json!({"body_template": "{\"a\": {{ data.name|default('nobody') }}}"})).expect(200);
    case.client.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).expect(202);
    let sent = case.client.wait_for_state(&delivery, "succeeded");
    assert_eq!(sent["attempts"][1]["request_body"], r#"{"a": "nobody"}"#);
    assert_eq!(case.receiver.wait_for("/in", 1)[0].body, br#"{"a": "nobody"}"#);
}

#[test]
fn each_attempt_makes_the_body_anew_and_signs_what_is_sent() {
    let case = Case::new();
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let path = case.destination("/in", &json!({"body_template": "{\"try\": {{ delivery.attempt }}}"}));
    let delivery = case.client.push_one(&case.account, "{}");
    let sent = case.client.wait_for_state(&delivery, "succeeded");
    let bodies: Vec<_> = sent["attempts"].as_array().unwrap().iter().map(|one| one["request_body"].clone()).collect();
    assert_eq!(bodies, [r#"{"try": 1}"#, r#"{"try": 2}"#]);
    let secret = text(&case.client.get(&format!("{path}/signing-secret")).expect(200).json(), "signing_secret");
    for request in case.receiver.wait_for("/in", 2) {
        let signed = signature(&secret, &request, &request.body);
        assert_eq!(request.headers.get("webhook-signature"), Some(&*signed));
    }
}

#[test]
fn a_body_that_is_no_json_is_not_sent_as_json() {
    let case = Case::new();
    case.destination("/in", &json!({"body_template": "{\"text\": \"Order {{ data.name }}\"}"}));
    let failed = case.client.wait_for_state(&case.client.push_one(&case.account, r#"{"name":"x"}"#), "exhausted");
    assert!(failed["attempts"][0]["detail"].as_str().unwrap().contains("is no JSON"), "{failed}");
    case.destination(
        "/text",
        &json!({
            "headers": {"Content-Type": "text/plain"}, "body_template": "Order {{ data.name|safe }}"
        }),
    );
    case.push("", r#"{"name":"x"}"#);
    assert_eq!(case.receiver.wait_for("/text", 1)[0].body, b"Order x");
}

#[test]
fn wrong_templates_are_refused_at_their_fields_with_line_and_column() {
    let case = Case::new();
    let refused = |fields: Value| {
        let errors =
            case.client.post(&case.destinations(), &case.body("/in", &fields)).expect(422).json()["errors"].clone();
        let errors = errors.as_array().unwrap().clone();
        errors.iter().map(|one| (text(one, "field"), text(one, "message"))).collect::<Vec<_>>()
    };
    let errors =
        refused(json!({"body_template": "{}\n{{ data. }}", "header_templates": {"X-A": "{% if %}", "Host": "x"}}));
    let fields: Vec<_> = errors.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["body_template", "header_templates.Host", "header_templates.X-A"]);
    assert!(errors[0].1.contains("line 2"), "{errors:?}");
    let both = refused(json!({"headers": {"x-a": "1"}, "header_templates": {"X-A": "{{ data.a }}"}}));
    assert_eq!(both[0].0, "header_templates.X-A");
    for fields in [
        json!({"body_template": ""}),
        json!({"body_template": "a".repeat(32_769)}),
        json!({"body_template": "{% include 'x' %}"}),
        json!({"header_templates": (0..21).map(|number| (format!("X-{number}"), json!("x"))).collect::<serde_json::Map<_, _>>()}),
    ] {
        assert_eq!(refused(fields.clone()).len(), 1, "{fields}");
    }
}

#[test]
fn header_templates_are_patched_by_name_and_masked_in_lists() {
    let case = Case::new();
    let path =
        case.destination("/in", &json!({"header_templates": {"X-A": "{{ data.a }}", "X-Token": "t-{{ data.a }}"}}));
    case.client.patch(&path, &json!({"header_templates": {"x-a": null, "X-B": "b"}})).expect(200);
    let read = case.client.get(&path).expect(200).json();
    assert_eq!(read["header_templates"], json!({"X-Token": "t-{{ data.a }}", "X-B": "b"}));
    let listed = case.client.all(&case.destinations());
    assert_eq!(listed[0]["header_templates"], json!({"X-Token": "********", "X-B": "b"}));
    case.push("", r#"{"a":5}"#);
    let request = &case.receiver.wait_for("/in", 1)[0];
    assert_eq!((request.headers.get("x-token"), request.headers.get("x-b")), (Some("t-5"), Some("b")));
    let cleared = case.client.patch(&path, &json!({"header_templates": null})).expect(200).json();
    assert_eq!(cleared["header_templates"], Value::Null);
}

#[test]
fn a_preview_shows_what_an_event_would_become_and_sends_nothing() {
    let case = Case::new();
    let path = format!(
        "{}/preview",
        case.destination(
            "/in",
            &json!({
                "filter": "data.a == 1", "headers": {"Authorization": "Bearer hidden"}
            })
        )
    );
    let preview = |body: Value| case.client.post(&path, &body).expect(200).json();
    let shown = preview(json!({"data": {"a": 1}}));
    assert_eq!((&shown["matches"], &shown["reason"]), (&json!(true), &Value::Null));
    assert_eq!(shown["request"]["body"], r#"{"a":1}"#);
    assert_eq!(shown["request"]["headers"]["authorization"], "********");
    assert_eq!(preview(json!({"data": {"a": 2}}))["reason"], "filter");
    // Settings that are tried before they are saved.
    let tried = r#"{"data": {"total": 19.90}, "filter": null, "event_type": "order.paid", "event_types": ["order.*"],
        "body_template": "{\"t\": {{ data.total }}}", "header_templates": {"X-T": "{{ event.type }}"}}"#;
    let json = [("content-type", "application/json")];
    let tried = case.client.send("POST", &path, &json, Some(tried.as_bytes())).expect(200).json();
    assert_eq!((&tried["matches"], &tried["request"]["body"]), (&json!(true), &json!(r#"{"t": 19.9}"#)));
    assert_eq!(tried["request"]["headers"]["x-t"], "order.paid");
    assert!(tried["warnings"][0].as_str().unwrap().contains("raw.total"), "{tried}");
    let failing = preview(json!({"data": {}, "filter": null, "body_template": "{{ data.x }}"}));
    assert_eq!((&failing["reason"], &failing["request"]["url"]), (&json!("template_failed"), &Value::Null));
    let get = preview(json!({"data": {"a": 1}, "http_method": "GET"}));
    assert!(get["request"]["url"].as_str().unwrap().ends_with("/in?a=1"), "{get}");

    for body in [r#"{"a":1}"#, r#"{"a":2,"x":0}"#, r#"{"a":1,"x":3}"#] {
        case.push("", body);
    }
    case.receiver.wait_for("/in", 2);
    let sum = preview(json!({"last": 100, "body_template": "{{ data.x }}"}));
    assert_eq!((&sum["events"], &sum["matching"], &sum["failing"]), (&json!(3), &json!(2), &json!(1)));
    let first = text(&sum["first_failure"], "event_id");
    assert_eq!(preview(json!({"event_id": first, "body_template": "{{ data.x }}"}))["reason"], "template_failed");
    assert_eq!(case.receiver.requests().len(), 2, "nothing was sent");

    for wrong in [
        json!({}),
        json!({"data": 1, "last": 1}),
        json!({"last": 0}),
        json!({"last": 1001}),
        json!({"event_id": first, "event_type": "a"}),
    ] {
        case.client.post(&path, &wrong).expect(422);
    }
    let other = case.client.create_account("bob");
    case.client.create_destination(&other, &case.receiver.url("/bob"), "POST", json!({}));
    let foreign = text(&case.client.push(&other, "{}"), "event_id");
    case.client.post(&path, &json!({"event_id": foreign})).expect(404);
}
