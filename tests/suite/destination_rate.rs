//! `rate_limit` of a destination: how many requests may begin, and that nothing else notices.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::order::{Statuses, most_within_a_second};
use crate::harness::{Client, Receiver, Server, Setup, wait_until};

struct Case {
    client: Client,
    receiver: Receiver,
    server: Server,
}

impl Case {
    fn new(flags: &[&str]) -> Self {
        let server = Setup::dev().flags(flags).start();
        Self { client: server.client(), receiver: Receiver::start(), server }
    }

    /// A new account with one destination at `/name` with these fields besides the required ones. Returns the account
    /// and the path of the destination in the API.
    fn destination(&self, name: &str, fields: &Value) -> (NewAccount, String) {
        let account = self.client.create_account(name);
        let path = self.destination_of(&account, name, fields);
        (account, path)
    }

    fn destination_of(&self, account: &NewAccount, name: &str, fields: &Value) -> String {
        let mut body = json!({"url": self.receiver.url(&format!("/{name}")), "http_method": "POST", "headers": {}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.client.post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201).json();
        format!("/v1/destinations/{}", text(&made, "destination_id"))
    }

    fn next_send_at(&self, path: &str) -> Value {
        self.client.get(path).expect(200).json()["next_send_at"].clone()
    }

    /// Seconds since 1970 of the next send, once the destination waits for its rate.
    #[track_caller]
    fn waits_until(&self, path: &str) -> i64 {
        let at = wait_until("it waits for its rate", || self.next_send_at(path).as_str().map(str::to_owned));
        at.parse::<jiff::Timestamp>().expect("a time").as_second()
    }

    /// Sends events of another account through the engine. What could be sent before them was sent.
    #[track_caller]
    fn others_go(&self, account: &NewAccount, count: usize) {
        for _ in 0..count {
            self.client.push_with(&account.token, &[("prefer", "wait=20")], b"{}").expect(200);
        }
    }
}

#[test]
fn over_any_second_at_most_the_rate_and_a_tenth_arrives_with_retries_and_replays() {
    let case = Case::new(&["--retry-schedule", "10ms,10ms,10ms"]);
    // One at a time: then a request arrives before the next one begins, and so no delay on the way can bring two
    // closer together than they began.
    let (account, path) = case.destination("in", &json!({"rate_limit": "20/s", "max_concurrency": 1}));
    let statuses = Statuses::random(&mut fastrand::Rng::with_seed(7), 200, 4);
    case.receiver.script("/in", statuses.behaviours());
    let deliveries: Vec<String> = (0..30).map(|_| case.client.push_one(&account, "{}")).collect();
    case.receiver.wait_for("/in", 30);
    let replay = json!({"since": "2020-01-01T00:00:00Z"});
    case.client.post(&format!("{path}/replay"), &replay).expect(202);
    case.client.send("POST", &format!("/v1/deliveries/{}/retry", deliveries[0]), &[], None).expect(202);
    wait_until("nothing is pending", || {
        let pending = case.client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        pending["items"].as_array().unwrap().is_empty().then_some(())
    });
    let requests = case.receiver.requests_to("/in");
    assert!(requests.len() > 40, "{}", requests.len());
    // The first of them may have begun before the second began.
    let most = most_within_a_second(&requests);
    assert!(most <= 22 + 1, "{most} of 20");
    assert_eq!(case.next_send_at(&path), Value::Null);
    assert_eq!(case.receiver.most_at_once("/in"), 1);
}

#[test]
fn a_destination_beside_a_hundred_that_wait_for_their_rates_is_not_held_up() {
    let case = Case::new(&["--workers", "16"]);
    let crowd = case.client.create_account("crowd");
    for number in 0..100 {
        case.destination_of(&crowd, &format!("crowd{number}"), &json!({"rate_limit": "1/h"}));
    }
    for _ in 0..20 {
        case.client.push(&crowd, "{}");
    }
    let (account, _) = case.destination("healthy", &json!({}));
    case.others_go(&account, 50);
    assert_eq!(case.receiver.requests().len(), 50, "nothing of the crowd was sent");
    let crowd = case.client.all(&format!("/v1/accounts/{}/destinations", crowd.id));
    for destination in crowd {
        assert!(destination["next_send_at"].is_string(), "{destination}");
        assert_eq!((&destination["failing_since"], &destination["held_until"]), (&Value::Null, &Value::Null));
    }
    let metrics = case.client.get("/metrics").expect(200).text();
    assert!(metrics.lines().any(|line| line == "data_pusher_attempts_in_flight 0"), "{metrics}");
}

#[test]
fn a_bucket_is_empty_after_a_start_and_a_higher_rate_or_none_applies_at_once() {
    let mut case = Case::new(&[]);
    let (account, path) = case.destination("in", &json!({"rate_limit": "1/h"}));
    let (others, _) = case.destination("other", &json!({}));
    assert_eq!(case.next_send_at(&path), Value::Null, "nothing waits");
    let deliveries: Vec<String> = (0..5).map(|_| case.client.push_one(&account, "{}")).collect();
    case.others_go(&others, 1);
    case.waits_until(&path);
    case.server.kill();
    case.server.start_again();
    case.client = case.server.client();
    case.others_go(&others, 1);
    case.waits_until(&path);
    assert_eq!(case.receiver.requests_to("/in").len(), 0);
    for delivery in &deliveries {
        let delivery = case.client.delivery(delivery);
        assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("pending"), &json!(0)));
    }
    case.client.patch(&path, &json!({"rate_limit": "50/s"})).expect(200);
    case.client.wait_for_state(&deliveries[0], "succeeded");
    case.client.patch(&path, &json!({"rate_limit": null})).expect(200);
    for delivery in &deliveries {
        case.client.wait_for_state(delivery, "succeeded");
    }
    assert_eq!(case.next_send_at(&path), Value::Null);
}

#[test]
fn a_test_is_sent_at_once_and_counts() {
    let case = Case::new(&[]);
    let (account, path) = case.destination("in", &json!({"rate_limit": "1/h"}));
    case.client.push(&account, "{}");
    let before = case.waits_until(&path);
    for _ in 0..2 {
        let tested = case.client.send("POST", &format!("{path}/test"), &[], None).expect(200).json();
        assert_eq!(tested["status_code"], 200);
    }
    assert_eq!(case.receiver.requests_to("/in").len(), 2);
    assert_eq!(case.waits_until(&path) - before, 2 * 3_600);
}

#[test]
fn a_retry_by_hand_waits_for_the_rate_and_uses_up_nothing_meanwhile() {
    let case = Case::new(&[]);
    let (account, path) = case.destination("in", &json!({"rate_limit": "1/h"}));
    let (others, _) = case.destination("other", &json!({}));
    let delivery = case.client.push_one(&account, "{}");
    case.client.send("POST", &format!("/v1/deliveries/{delivery}/retry"), &[], None).expect(202);
    case.others_go(&others, 1);
    case.waits_until(&path);
    assert_eq!(case.client.delivery(&delivery)["attempt_count"], 0);
    case.client.patch(&path, &json!({"rate_limit": "100/s"})).expect(200);
    assert_eq!(case.client.wait_for_state(&delivery, "succeeded")["attempt_count"], 1);
}
