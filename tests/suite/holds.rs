//! A hold by `Retry-After` ends when its cause ends: by a resume, another server, or a success.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup};

struct Case {
    client: Client,
    account: NewAccount,
    receiver: Receiver,
    destination: String,
    /// The delivery whose answer asked for the hold.
    held: String,
    server: Server,
}

impl Case {
    /// A destination that asked by a date to be left alone, not by a number of seconds.
    fn new() -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", "50ms,50ms,50ms"]).start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        let asks = Behaviour::Answer(Reply::status(429).header("retry-after", "1767225600"));
        receiver.script("/in", vec![asks, Behaviour::status(200)]);
        let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        let held = client.push_one(&account, "1");
        client.wait_for_attempts(&held, 1);
        let case = Self { client, account, receiver, destination, held, server };
        assert!(case.held_until().is_string());
        case
    }

    fn path(&self) -> String {
        format!("/v1/destinations/{}", self.destination)
    }

    fn held_until(&self) -> Value {
        self.client.get(&self.path()).expect(200).json()["held_until"].clone()
    }

    /// Checks that what waited is delivered, the held delivery included.
    #[track_caller]
    fn goes(&self) {
        self.client.wait_for_state(&self.held, "succeeded");
        assert_eq!(self.held_until(), Value::Null);
        let next = self.client.push_one(&self.account, "2");
        self.client.wait_for_state(&next, "succeeded");
    }

    fn is_held(&self) -> bool {
        // Without a hold this event would be sent at once.
        let prefer = [("prefer", "wait=1")];
        self.client.push_with(&self.account.token, &prefer, b"3").expect(202);
        self.held_until().is_string()
    }
}

#[test]
fn a_hold_holds_and_outlives_a_restart() {
    let mut case = Case::new();
    assert!(case.is_held());
    case.server.terminate();
    case.server.start_again();
    case.client = case.server.client();
    assert!(case.is_held());
    assert_eq!(case.receiver.requests_to("/in").len(), 1);
}

#[test]
fn resume_lifts_it() {
    let case = Case::new();
    let resumed = case.client.post(&format!("{}/resume", case.path()), &json!({})).expect(200).json();
    assert_eq!(resumed["held_until"], Value::Null);
    case.goes();
}

#[test]
fn another_server_lifts_it_and_another_path_does_not() {
    let case = Case::new();
    let to = |url: String| case.client.patch(&case.path(), &json!({"url": url})).expect(200).json();
    assert!(to(case.receiver.url("/other"))["held_until"].is_string());
    assert!(case.is_held());
    assert_eq!(to(case.receiver.url_at("localhost", "/in"))["held_until"], Value::Null);
    case.goes();
}

#[test]
fn a_test_that_goes_well_lifts_it_and_one_that_fails_does_not() {
    let case = Case::new();
    let test = || case.client.post(&format!("{}/test", case.path()), &json!({})).expect(200).json();
    case.receiver.on("/in", Behaviour::status(500));
    assert_eq!(test()["error"], "status");
    assert!(case.is_held());
    case.receiver.on("/in", Behaviour::status(200));
    assert_eq!(test()["status_code"], 200);
    case.goes();
}

#[test]
fn a_retry_by_hand_that_goes_well_lifts_it() {
    let case = Case::new();
    let other = case.client.push_one(&case.account, "2");
    case.client.post(&format!("/v1/deliveries/{other}/retry"), &json!({})).expect(202);
    case.client.wait_for_state(&other, "succeeded");
    case.goes();
}

#[test]
fn a_success_that_was_under_way_before_does_not_lift_it() {
    let server = Setup::dev().flags(&["--retry-schedule", "50ms"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    for number in 0..20 {
        // After several successes a destination gets several attempts at once.
        let delivery = client.push_one(&account, number.to_string());
        client.wait_for_state(&delivery, "succeeded");
    }
    let gate = Gate::default();
    let asks = Behaviour::Answer(Reply::status(429).header("retry-after", "600"));
    receiver.script("/in", vec![Behaviour::Hold(gate.clone(), Reply::status(200)), asks]);
    let early = client.push_one(&account, "20");
    receiver.wait_for("/in", 21);
    let late = client.push_one(&account, "21");
    client.wait_for_attempts(&late, 1);
    gate.open();
    client.wait_for_state(&early, "succeeded");
    let held = client.get(&format!("/v1/destinations/{destination}")).expect(200).json();
    assert!(held["held_until"].is_string(), "{held}");
    assert_eq!(text(&client.delivery(&late), "state"), "pending");
}
