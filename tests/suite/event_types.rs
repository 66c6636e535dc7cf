//! Event types, filters, and which events a destination gets.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Client, Receiver, Server, Setup};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    server: Server,
}

impl Case {
    fn new() -> Self {
        let server = Setup::dev().start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, receiver: Receiver::start(), server }
    }

    /// Creates a destination at `path` with these fields besides the required ones. Returns its id.
    fn destination(&self, path: &str, fields: &Value) -> String {
        let mut body = json!({"url": self.receiver.url(path), "http_method": "POST", "headers": {}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let created =
            self.client.post(&format!("/v1/accounts/{}/destinations", self.account.id), &body).expect(201).json();
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&created[name], value, "{name}");
        }
        text(&created, "destination_id")
    }

    /// Sends an event, with this type unless it is empty. Returns the answer.
    fn push(&self, event_type: &str, body: &str) -> Value {
        let headers: &[(&str, &str)] = if event_type.is_empty() { &[] } else { &[("event-type", event_type)] };
        self.client.push_with(&self.account.token, headers, body.as_bytes()).expect(202).json()
    }
}

/// The destinations of the deliveries in an answer.
fn delivered_to(answer: &Value) -> Vec<&str> {
    answer["deliveries"].as_array().unwrap().iter().map(|one| one["destination_id"].as_str().unwrap()).collect()
}

/// The destinations that an answer says were skipped, and why.
fn skipped(answer: &Value) -> Vec<(&str, &str)> {
    let all = answer["skipped"].as_array().unwrap().iter();
    all.map(|one| (one["destination_id"].as_str().unwrap(), one["reason"].as_str().unwrap())).collect()
}

#[test]
fn an_event_goes_where_its_type_and_its_content_are_wanted_and_the_answer_says_where_not() {
    let case = Case::new();
    let all = case.destination("/all", &json!({}));
    let orders = case.destination("/orders", &json!({"event_types": ["order.*", "invoice"]}));
    let paid = case.destination("/paid", &json!({"filter": "data.status == 'paid' and data.total > 100"}));
    let both = case.destination("/both", &json!({"event_types": ["user.*"], "filter": "data.status == 'paid'"}));

    let answer = case.push("order.created", r#"{"status":"paid","total":100.5}"#);
    assert_eq!(answer["event_type"], "order.created");
    assert_eq!(delivered_to(&answer), [&*all, &orders, &paid]);
    assert_eq!(skipped(&answer), [(&*both, "event_type")]);

    let answer = case.push("user.created", r#"{"status":"open","total":500}"#);
    assert_eq!(delivered_to(&answer), [&*all]);
    assert_eq!(skipped(&answer), [(&*orders, "event_type"), (&*paid, "filter"), (&*both, "filter")]);

    // An event without a type comes only where every type is wanted.
    let answer = case.push("", r#"{"status":"paid","total":100}"#);
    assert_eq!(answer["event_type"], Value::Null);
    assert_eq!(delivered_to(&answer), [&*all]);
    assert_eq!(skipped(&answer), [(&*orders, "event_type"), (&*paid, "filter"), (&*both, "event_type")]);

    case.receiver.wait_for("/all", 3);
    let types: Vec<_> = case
        .receiver
        .wait_for("/orders", 1)
        .iter()
        .map(|one| one.headers.get("webhook-event-type").map(str::to_owned))
        .collect();
    assert_eq!(types, [Some("order.created".to_owned())]);
    case.receiver.wait_for("/paid", 1);
    assert!(case.receiver.requests_to("/both").is_empty());
    let untyped =
        case.receiver.requests_to("/all").into_iter().filter(|one| one.headers.get("webhook-event-type").is_none());
    assert_eq!(untyped.count(), 1);
}

#[test]
fn changed_conditions_hold_from_the_next_event_on() {
    let case = Case::new();
    let destination = case.destination("/in", &json!({"filter": "data.a == 1"}));
    let path = format!("/v1/destinations/{destination}");
    assert!(delivered_to(&case.push("", r#"{"a":2}"#)).is_empty());
    for (change, document, comes) in [
        (json!({"filter": "data.a == 2"}), r#"{"a":2}"#, true),
        (json!({"filter": "not data.a is defined"}), r#"{"a":2}"#, false),
        (json!({"filter": "not data.a is defined"}), r"{}", true),
        (json!({"filter": null}), r#"{"a":2}"#, true),
        (json!({"event_types": ["x"]}), r#"{"a":2}"#, false),
        (json!({"event_types": null}), r#"{"a":2}"#, true),
    ] {
        case.client.patch(&path, &change).expect(200);
        // Twice: the conditions that the first event met are remembered.
        for _ in 0..2 {
            assert_eq!(delivered_to(&case.push("", document)).len(), usize::from(comes), "{change} {document}");
        }
    }
    let other = case.destination("/other", &json!({"filter": "false"}));
    assert_eq!(skipped(&case.push("", "1")), [(&*other, "filter")]);
    case.client.delete(&format!("/v1/destinations/{other}")).expect(204);
    assert!(skipped(&case.push("", "1")).is_empty());
}

#[test]
fn a_duplicate_is_the_first_event_whatever_the_conditions_are_now() {
    let case = Case::new();
    let destination = case.destination("/in", &json!({}));
    let push = |event_type| {
        let headers = [("idempotency-key", "k"), ("event-type", event_type)];
        case.client.push_with(&case.account.token, &headers, b"{}").expect(202).json()
    };
    let first = push("a.b");
    case.client.patch(&format!("/v1/destinations/{destination}"), &json!({"filter": "false"})).expect(200);
    let second = push("c.d");
    assert_eq!(
        (&second["event_id"], &second["duplicate"], &second["event_type"]),
        (&first["event_id"], &json!(true), &json!("a.b"))
    );
    assert_eq!((delivered_to(&second).len(), skipped(&second).len()), (1, 0));
}

#[test]
fn events_and_deliveries_are_listed_by_type_and_what_was_skipped_is_counted() {
    let mut case = Case::new();
    let orders = case.destination("/orders", &json!({"event_types": ["order.*"]}));
    case.destination("/all", &json!({}));
    for number in 0..6 {
        case.push(["order.paid", "user.created", ""][number % 3], "{}");
    }
    case.receiver.wait_for("/all", 6);
    // Also after the memory of before is gone.
    for _ in 0..2 {
        let client = case.server.client();
        let events = |query: &str| client.all(&format!("/v1/accounts/{}/events?{query}", case.account.id));
        let deliveries = |query: &str| client.all(&format!("/v1/deliveries?{query}"));
        assert_eq!(
            (events("").len(), events("event_type=order.paid").len(), events("event_type=none").len()),
            (6, 2, 0)
        );
        assert!(events("event_type=user.created").iter().all(|event| event["event_type"] == "user.created"));
        let typed = deliveries("event_type=order.paid");
        assert_eq!((typed.len(), deliveries("").len()), (4, 8));
        assert!(typed.iter().all(|delivery| delivery["event_type"] == "order.paid"));
        assert_eq!(deliveries(&format!("event_type=order.paid&destination_id={orders}")).len(), 2);
        let stats = client.get(&format!("/v1/stats?destination_id={orders}")).expect(200).json();
        let sum: u64 = stats["buckets"].as_array().unwrap().iter().map(|one| one["skipped"].as_u64().unwrap()).sum();
        assert_eq!(sum, 4);
        let event = &events("event_type=order.paid")[0];
        let event = client.get(&format!("/v1/events/{}", text(event, "event_id"))).expect(200).json();
        assert_eq!(event["event_type"], "order.paid");
        case.server.kill();
        case.server.start_again();
    }
}

#[test]
fn a_wrong_type_is_refused_and_nothing_is_taken() {
    let case = Case::new();
    let twice: &[(&str, &str)] = &[("event-type", "a"), ("event-type", "a")];
    for headers in [twice, &[("event-type", "a b")], &[("event-type", "")], &[("event-type", ".a")]] {
        let problem = case.client.push_with(&case.account.token, headers, b"{}").problem(400);
        assert_eq!((&problem["code"], &problem["title"]), (&json!("invalid_event_type"), &json!("Invalid Data")));
    }
    assert!(case.client.all(&format!("/v1/accounts/{}/events", case.account.id)).is_empty());
}

#[test]
fn wrong_conditions_are_refused_at_their_fields_with_line_and_column() {
    let case = Case::new();
    let refused = |fields: Value| {
        let mut body = json!({"url": case.receiver.url("/in"), "http_method": "POST", "headers": {}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        case.client.post(&format!("/v1/accounts/{}/destinations", case.account.id), &body).expect(422).json()["errors"]
            .clone()
    };
    let wrong = refused(json!({"event_types": [], "filter": "data.a ==\n  order"}));
    let fields: Vec<_> = wrong.as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["event_types", "filter"]);
    assert!(wrong[1]["message"].as_str().unwrap().contains("line 2, column 3"), "{wrong}");
    for fields in [
        json!({"event_types": ["a b"]}),
        json!({"event_types": "a"}),
        json!({"event_types": vec!["a"; 51]}),
        json!({"filter": ""}),
        json!({"filter": "a".repeat(4097)}),
        json!({"filter": 1}),
        json!({"filter": "data.a ="}),
    ] {
        assert_eq!(refused(fields.clone()).as_array().unwrap().len(), 1, "{fields}");
    }
}
