//! Fairness among the deliveries of one destination. Attempts that hang do not delay the others, and retries by hand
//! keep to the same bounds as all attempts.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup, wait_until};

/// A timeout so long that no attempt that hangs ends during a test.
const LONG_TIMEOUT: &[&str] = &["--timeout", "5m"];

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    _server: Server,
}

impl Case {
    fn new(flags: &[&str]) -> Self {
        let server = Setup::dev().flags(&[LONG_TIMEOUT, flags].concat()).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, receiver: Receiver::start(), _server: server }
    }

    /// Creates a destination of `account` at `path` with these fields besides the required ones. Returns its id.
    fn destination(&self, account: &NewAccount, path: &str, fields: &Value) -> String {
        let mut body = json!({"url": self.receiver.url(path), "http_method": "POST", "headers": {}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.client.post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201).json();
        text(&made, "destination_id")
    }

    /// A new account with one destination at `/name`, which has answered once.
    fn known(&self, name: &str) -> NewAccount {
        let account = self.client.create_account(name);
        self.destination(&account, &format!("/{name}"), &json!({}));
        self.goes_through(&account);
        account
    }

    /// Checks that an event's first attempt ends while its sender waits.
    #[track_caller]
    fn goes_through(&self, account: &NewAccount) {
        self.client.push_with(&account.token, &[("prefer", "wait=20")], b"{}").expect(200);
    }

    /// `count` deliveries to `destination`, which were cancelled before anything was sent.
    fn given_up(&self, destination: &str, count: usize) -> Vec<String> {
        let post = |path: String| drop(self.client.send("POST", &path, &[], None));
        post(format!("/v1/destinations/{destination}/pause"));
        let deliveries: Vec<String> = (0..count).map(|_| self.client.push_one(&self.account, "{}")).collect();
        deliveries.iter().for_each(|delivery| post(format!("/v1/deliveries/{delivery}/cancel")));
        post(format!("/v1/destinations/{destination}/resume"));
        deliveries
    }

    fn retry(&self, delivery: &str) {
        self.client.send("POST", &format!("/v1/deliveries/{delivery}/retry"), &[], None).expect(202);
    }

    /// Waits until attempts that began just now are found overdue if they hang. A destination that has answered once
    /// has at most two attempts in progress. So a third attempt shows that the two are found overdue.
    fn until_overdue(&self, name: &str) {
        let account = self.known(name);
        let path = format!("/{name}");
        self.receiver.script(&path, vec![Behaviour::Hang, Behaviour::Hang, Behaviour::status(200)]);
        (0..3).for_each(|_| drop(self.client.push(&account, "{}")));
        self.receiver.wait_for(&path, 4);
    }
}

#[test]
fn requests_that_hang_do_not_hold_up_the_others_of_their_destination() {
    let case = Case::new(&[]);
    let account = case.known("bob");
    // After one success two attempts may be in progress at once.
    case.receiver.script("/bob", vec![Behaviour::Hang, Behaviour::Hang, Behaviour::status(200)]);
    (0..2).for_each(|_| drop(case.client.push(&account, "{}")));
    case.receiver.wait_for("/bob", 3);
    (0..20).for_each(|_| case.goes_through(&account));
    assert_eq!(case.receiver.requests_to("/bob").len(), 23);
}

#[test]
fn the_first_request_of_all_may_hang() {
    let case = Case::new(&[]);
    case.destination(&case.account, "/in", &json!({}));
    case.receiver.script("/in", vec![Behaviour::Hang, Behaviour::status(200)]);
    case.client.push(&case.account, "{}");
    case.receiver.wait_for("/in", 1);
    (0..5).for_each(|_| case.goes_through(&case.account));
}

#[test]
fn a_probe_that_hangs_too_is_not_the_last_one() {
    let case = Case::new(&[]);
    let account = case.known("bob");
    case.receiver.script("/bob", [vec![Behaviour::Hang; 4], vec![Behaviour::status(200)]].concat());
    (0..4).for_each(|_| drop(case.client.push(&account, "{}")));
    case.goes_through(&account);
    assert_eq!(case.receiver.most_at_once("/bob"), 5);
}

#[test]
fn where_one_at_a_time_is_asked_for_a_request_that_hangs_counts() {
    let (case, gate) = (Case::new(&[]), Gate::default());
    case.destination(&case.account, "/in", &json!({"max_concurrency": 1}));
    case.goes_through(&case.account);
    case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    (0..2).for_each(|_| drop(case.client.push(&case.account, "{}")));
    case.receiver.wait_for("/in", 2);
    case.until_overdue("other");
    assert_eq!(case.receiver.requests_to("/in").len(), 2);
    gate.open();
    case.receiver.wait_for("/in", 3);
    assert_eq!(case.receiver.most_at_once("/in"), 1);
}

#[test]
fn a_destination_that_is_moved_does_not_wait_for_what_hangs_where_it_was() {
    let case = Case::new(&[]);
    let destination = case.destination(&case.account, "/in", &json!({}));
    case.goes_through(&case.account);
    case.receiver.on("/in", Behaviour::Hang);
    (0..2).for_each(|_| drop(case.client.push(&case.account, "{}")));
    case.receiver.wait_for("/in", 3);
    let elsewhere = Receiver::start();
    let change = json!({"url": elsewhere.url("/in")});
    case.client.patch(&format!("/v1/destinations/{destination}"), &change).expect(200);
    case.goes_through(&case.account);
    elsewhere.wait_for("/in", 1);
}

#[test]
fn sixty_retries_by_hand_keep_to_the_one_at_a_time_that_was_asked_for() {
    let (case, gate) = (Case::new(&["--retry-schedule", ""]), Gate::default());
    let destination = case.destination(&case.account, "/in", &json!({"max_concurrency": 1}));
    let deliveries = case.given_up(&destination, 60);
    case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    deliveries.iter().for_each(|delivery| case.retry(delivery));
    case.receiver.wait_for("/in", 1);
    case.until_overdue("other");
    assert_eq!(case.receiver.requests_to("/in").len(), 1);
    gate.open();
    for delivery in &deliveries {
        case.client.wait_for_state(delivery, "succeeded");
    }
    assert_eq!(case.receiver.most_at_once("/in"), 1);
    assert_eq!(case.receiver.requests_to("/in").len(), 60);
}

#[test]
fn retries_by_hand_to_a_destination_that_hangs_leave_threads_to_others_that_fail() {
    let case = Case::new(&["--retry-schedule", "", "--workers", "16"]);
    let destination = case.destination(&case.account, "/in", &json!({}));
    let deliveries = case.given_up(&destination, 40);
    case.receiver.on("/in", Behaviour::Hang);
    deliveries.iter().for_each(|delivery| case.retry(delivery));
    // The first attempt and the first probe.
    case.receiver.wait_for("/in", 2);
    let other = case.client.create_account("bob");
    case.destination(&other, "/bob", &json!({"retry_schedule": vec!["1s"; 5]}));
    case.receiver.script("/bob", vec![Behaviour::status(500), Behaviour::status(500), Behaviour::status(200)]);
    let delivery = case.client.push_one(&other, "{}");
    case.client.wait_for_state(&delivery, "succeeded");
}

#[test]
fn a_retry_by_hand_passes_a_hold_and_a_back_off_and_takes_nothing_else_with_it() {
    let case = Case::new(&["--retry-schedule", "1h"]);
    let destination = case.destination(&case.account, "/in", &json!({}));
    let asks = Behaviour::Answer(Reply::status(429).header("retry-after", "3600"));
    case.receiver.script("/in", vec![asks, Behaviour::status(500)]);
    let by_hand = case.client.push_one(&case.account, "{}");
    case.client.wait_for_attempts(&by_hand, 1);
    wait_until("the destination is held", || {
        let found = case.client.get(&format!("/v1/destinations/{destination}")).expect(200).json();
        found["held_until"].is_string().then_some(())
    });
    let others: Vec<String> = (0..3).map(|_| case.client.push_one(&case.account, "{}")).collect();
    for attempts in 2..=4 {
        case.retry(&by_hand);
        case.client.wait_for_attempts(&by_hand, attempts);
    }
    case.until_overdue("other");
    for other in others {
        assert_eq!(case.client.delivery(&other)["attempt_count"], 0);
    }
    assert_eq!(case.receiver.requests_to("/in").len(), 4);
}

#[test]
fn a_retry_by_hand_does_not_wait_for_the_attempt_of_a_failing_destination_that_hangs() {
    let case = Case::new(&["--retry-schedule", ""]);
    let destination = case.destination(&case.account, "/in", &json!({}));
    let deliveries = case.given_up(&destination, 2);
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::Hang, Behaviour::status(200)]);
    (0..2).for_each(|_| drop(case.client.push(&case.account, "{}")));
    case.receiver.wait_for("/in", 2);
    for delivery in &deliveries {
        case.retry(delivery);
        case.client.wait_for_state(delivery, "succeeded");
    }
}
