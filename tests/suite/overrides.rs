//! Retry schedule, timeout and concurrency of one destination, instead of the server's.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    _server: Server,
}

impl Case {
    fn new(flags: &[&str]) -> Self {
        let server = Setup::dev().flags(flags).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, receiver: Receiver::start(), _server: server }
    }

    /// Creates a destination at "/in" with these fields besides the required ones. Returns its path in the API.
    fn destination(&self, fields: &Value) -> String {
        let mut body = json!({"url": self.receiver.url("/in"), "http_method": "POST", "headers": {}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let created =
            self.client.post(&format!("/v1/accounts/{}/destinations", self.account.id), &body).expect(201).json();
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&created[name], value, "{name}");
        }
        format!("/v1/destinations/{}", text(&created, "destination_id"))
    }
}

#[test]
fn a_schedule_of_its_own_replaces_the_servers_until_it_is_cleared() {
    let case = Case::new(&["--retry-schedule", ""]);
    case.receiver.on("/in", Behaviour::status(500));
    let path = case.destination(&json!({"retry_schedule": ["50ms", "50ms"]}));
    let attempts = || {
        let delivery = case.client.push_one(&case.account, "{}");
        case.client.wait_for_state(&delivery, "exhausted")["attempt_count"].clone()
    };
    assert_eq!(attempts(), 3);
    case.client.patch(&path, &json!({"retry_schedule": ["50ms"]})).expect(200);
    assert_eq!(attempts(), 2);
    let cleared = case.client.patch(&path, &json!({"retry_schedule": null})).expect(200).json();
    assert_eq!((&cleared["retry_schedule"], attempts()), (&Value::Null, json!(1)));
}

#[test]
fn an_empty_schedule_means_one_attempt() {
    let case = Case::new(&["--retry-schedule", "50ms"]);
    case.receiver.on("/in", Behaviour::status(500));
    case.destination(&json!({"retry_schedule": []}));
    let delivery = case.client.push_one(&case.account, "{}");
    assert_eq!(case.client.wait_for_state(&delivery, "exhausted")["attempt_count"], 1);
}

#[test]
fn a_timeout_of_its_own_replaces_the_servers() {
    let case = Case::new(&["--retry-schedule", "", "--timeout", "5m"]);
    case.receiver.on("/in", Behaviour::Hang);
    case.destination(&json!({"timeout_seconds": 1}));
    let delivery = case.client.push_one(&case.account, "{}");
    let delivery = case.client.wait_for_state(&delivery, "exhausted");
    assert_eq!(delivery["error"], "timeout");
    let took = delivery["attempts"][0]["duration_ms"].as_u64().unwrap();
    assert!((950..20_000).contains(&took), "{took} ms");
}

#[test]
fn a_concurrency_of_its_own_is_never_exceeded() {
    let (case, gate) = (Case::new(&[]), Gate::default());
    case.destination(&json!({"max_concurrency": 1}));
    case.client.create_destination(&case.account, &case.receiver.url("/other"), "POST", json!({}));
    // A success first, because a destination without one gets one attempt at a time anyway.
    case.client.push_with(&case.account.token, &[("prefer", "wait=20")], b"0").expect(200);
    case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    for number in 1..=20 {
        case.client.push(&case.account, number.to_string());
    }
    case.receiver.wait_for("/other", 21);
    case.receiver.wait_for("/in", 2);
    assert_eq!(case.receiver.requests_to("/in").len(), 2);
    gate.open();
    case.receiver.wait_for("/in", 21);
}

#[test]
fn without_one_several_attempts_are_under_way_at_once() {
    let (case, gate) = (Case::new(&[]), Gate::default());
    case.destination(&json!({}));
    for number in 0..20 {
        case.client.push_with(&case.account.token, &[("prefer", "wait=20")], number.to_string().as_bytes()).expect(200);
    }
    case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    for number in 20..30 {
        case.client.push(&case.account, number.to_string());
    }
    case.receiver.wait_for("/in", 22);
    gate.open();
    case.receiver.wait_for("/in", 30);
}

#[test]
fn values_out_of_bounds_are_all_named() {
    let case = Case::new(&[]);
    let path = case.destination(&json!({}));
    for (value, fields) in [
        (json!({"retry_schedule": ["5"], "timeout_seconds": 0, "max_concurrency": 0}), 3),
        (json!({"retry_schedule": ["31d"], "timeout_seconds": 301, "max_concurrency": 257}), 3),
        (json!({"retry_schedule": "5s", "timeout_seconds": "5", "max_concurrency": 1.5}), 3),
        (json!({"retry_schedule": [5], "timeout_seconds": -1, "max_concurrency": -1}), 3),
        (json!({"retry_schedule": vec!["1s"; 31]}), 1),
    ] {
        let faults = case.client.patch(&path, &value).faults();
        assert_eq!(faults.len(), fields, "{value}: {faults:?}");
        for (fault, field) in faults.iter().zip(["max_concurrency", "retry_schedule", "timeout_seconds"]) {
            assert!(fields == 1 || fault.starts_with(field), "{value}: {faults:?}");
        }
    }
}
