//! `ordering: strict`: deliveries go by event id, one at a time, whatever happens in between.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::order::Statuses;
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup, wait_until};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    /// Path of the destination in the API.
    path: String,
    server: Server,
}

impl Case {
    /// A destination at `/in` in strict order, with these fields besides.
    fn new(schedule: &str, fields: &Value) -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", schedule]).start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        let mut body = json!({"url": receiver.url("/in"), "http_method": "POST", "headers": {}, "ordering": "strict"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = client.post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201).json();
        let path = format!("/v1/destinations/{}", text(&made, "destination_id"));
        Self { client, receiver, account, path, server }
    }

    /// Sends events whose documents are these numbers. Returns their deliveries.
    fn push(&self, numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| self.client.push_one(&self.account, number.to_string())).collect()
    }

    /// Sends a POST without a body.
    #[track_caller]
    fn act(&self, path: &str, status: u16) -> Value {
        self.client.send("POST", path, &[], None).expect(status).json()
    }

    #[track_caller]
    fn retry(&self, delivery: &str, body: &Value) -> crate::harness::Answer {
        self.client.post(&format!("/v1/deliveries/{delivery}/retry"), body)
    }

    fn pending(&self) -> usize {
        self.client.all("/v1/deliveries?state=pending").len()
    }

    /// Waits until `count` more requests have come, or none can come. Resumes the destination whenever it is paused.
    #[track_caller]
    fn until_some_came(&self, count: usize) {
        let enough = self.receiver.requests_to("/in").len() + count;
        wait_until("some more came", || {
            self.act(&format!("{}/resume", self.path), 200);
            (self.receiver.requests_to("/in").len() >= enough || self.pending() == 0).then_some(())
        });
    }

    #[track_caller]
    fn until_nothing_is_pending(&self) {
        wait_until("nothing is pending", || (self.pending() == 0).then_some(()));
    }

    /// The documents in the order in which they came.
    fn came(&self) -> Vec<usize> {
        let number = |body: &[u8]| String::from_utf8_lossy(body).parse().expect("a number");
        self.receiver.requests_to("/in").iter().map(|request| number(&request.body)).collect()
    }

    /// Another account's event goes through the engine. What could be sent before it was sent.
    fn others_go(&self) {
        let name = format!("other{}", fastrand::u64(..));
        let account = self.client.create_account(&name);
        self.client.create_destination(&account, &self.receiver.url("/other"), "POST", json!({}));
        self.client.push_with(&account.token, &[("prefer", "wait=20")], b"{}").expect(200);
    }
}

#[test]
fn under_random_failures_each_event_comes_again_until_it_is_settled_and_then_the_next() {
    let case = Case::new("5ms,5ms", &json!({}));
    let statuses = Statuses::random(&mut fastrand::Rng::with_seed(11), 400, 5);
    case.receiver.script("/in", statuses.behaviours());
    case.push(0..60);
    case.until_nothing_is_pending();
    // What a receiver must see can be said in advance, request by request.
    let (mut expected, mut nth) = (Vec::new(), 0);
    for number in 0..60 {
        for _ in 0..3 {
            expected.push(number);
            nth += 1;
            if statuses.of(nth - 1) == 200 {
                break;
            }
        }
    }
    assert_eq!(case.came(), expected);
    assert_eq!(case.receiver.most_at_once("/in"), 1);
}

#[test]
fn kills_restarts_pauses_and_replays_do_not_change_the_order() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut case = Case::new("5ms,5ms", &json!({"on_exhausted": "pause"}));
    let statuses = Statuses::random(&mut random, 4_000, 3);
    case.receiver.script("/in", statuses.behaviours());
    for round in 0..6 {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..25).for_each(|_| drop(case.client.push(&case.account, "1"))));
            }
            for _ in 0..4 {
                case.until_some_came(random.usize(1..10));
                match random.u8(0..4) {
                    0 => drop(case.act(&format!("{}/pause", case.path), 200)),
                    1 => {
                        let replay = json!({"since": "2020-01-01T00:00:00Z", "state": "exhausted"});
                        case.client.post(&format!("{}/replay", case.path), &replay).expect(202);
                    }
                    2 => {
                        case.client.patch(&case.path, &json!({"max_concurrency": random.u8(1..9)})).expect(200);
                    }
                    _ => {}
                }
            }
        });
        if round % 2 == 0 {
            case.server.kill();
        } else {
            case.server.terminate();
        }
        case.receiver.wait_for_the_end_of_all_connections();
        case.server.start_again();
        case.client = case.server.client();
    }
    let before_the_end = case.receiver.requests_to("/in").len();
    case.receiver.on("/in", Behaviour::status(200));
    // More than can ever come: it ends when nothing is pending.
    case.until_some_came(usize::MAX / 2);
    let requests = case.receiver.requests_to("/in");
    assert!(before_the_end > 50, "{before_the_end}");
    statuses.assert_order(&requests[..before_the_end], 3);
    assert_eq!(case.receiver.most_at_once("/in"), 1);
}

#[test]
fn a_retrys_wait_holds_up_what_is_behind_it_and_a_cancel_lets_it_go() {
    let case = Case::new("1h", &json!({}));
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let deliveries = case.push(0..4);
    case.client.wait_for_attempts(&deliveries[0], 1);
    case.others_go();
    assert_eq!(case.came(), [0]);
    case.act(&format!("/v1/deliveries/{}/cancel", deliveries[0]), 202);
    case.until_nothing_is_pending();
    assert_eq!(case.came(), [0, 1, 2, 3]);
}

#[test]
fn a_retry_by_hand_of_the_next_one_ignores_a_hold_and_of_another_keeps_its_place() {
    let case = Case::new("1h", &json!({}));
    let asks = Behaviour::Answer(Reply::status(429).header("retry-after", "3600"));
    case.receiver.script("/in", vec![asks, Behaviour::status(500), Behaviour::status(200)]);
    let deliveries = case.push(0..4);
    case.client.wait_for_attempts(&deliveries[0], 1);
    case.retry(&deliveries[2], &json!({})).expect(202);
    case.others_go();
    assert_eq!(case.came(), [0]);
    case.retry(&deliveries[0], &json!({})).expect(202);
    case.client.wait_for_attempts(&deliveries[0], 2);
    case.others_go();
    assert_eq!(case.came(), [0, 0]);
    case.retry(&deliveries[0], &json!({})).expect(202);
    case.client.wait_for_state(&deliveries[0], "succeeded");
    // Its success has lifted the hold.
    case.until_nothing_is_pending();
    assert_eq!(case.came(), [0, 0, 0, 1, 2, 3]);
}

#[test]
fn the_page_of_a_delivery_sends_it_out_of_order_where_a_person_asks_for_that() {
    let case = Case::new("", &json!({}));
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let deliveries = case.push(0..2);
    case.until_nothing_is_pending();
    let path = format!("/deliveries/{}", deliveries[0]);
    let page = case.client.get(&path).expect(200).text();
    assert!(page.contains("Send out of order"), "{page}");
    let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    case.client.send("POST", &format!("{path}/retry"), &form, Some(b"")).expect(409);
    case.client.send("POST", &format!("{path}/retry"), &form, Some(b"out_of_order=1")).expect(303);
    case.client.wait_for_state(&deliveries[0], "succeeded");
    case.client.patch(&case.path, &json!({"ordering": "none"})).expect(200);
    assert!(!case.client.get(&path).expect(200).text().contains("Send out of order"));
}

#[test]
fn what_was_overtaken_is_refused_unless_that_is_asked_for_and_then_goes_next() {
    let case = Case::new("", &json!({}));
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let deliveries = case.push(0..3);
    case.until_nothing_is_pending();
    let problem = case.retry(&deliveries[0], &json!({})).problem(409);
    assert_eq!(problem["code"], "out_of_order");
    assert!(problem["detail"].as_str().unwrap().contains("out_of_order"), "{problem}");
    assert_eq!(case.retry(&deliveries[0], &json!({"out_of_order": "yes"})).faults(), ["out_of_order"]);
    assert_eq!(case.client.delivery(&deliveries[0])["state"], "exhausted");
    case.retry(&deliveries[0], &json!({"out_of_order": true})).expect(202);
    case.client.wait_for_state(&deliveries[0], "succeeded");
    // The newest one overtakes nothing.
    case.act(&format!("/v1/deliveries/{}/retry", deliveries[2]), 202);
    case.client.wait_for_attempts(&deliveries[2], 2);
    assert_eq!(case.came(), [0, 1, 2, 0, 2]);
    case.client.patch(&case.path, &json!({"ordering": "none"})).expect(200);
    case.retry(&deliveries[0], &json!({})).expect(202);
}

#[test]
fn a_replay_goes_by_event_id_among_what_is_pending() {
    let case = Case::new("1h", &json!({}));
    case.push(0..40);
    case.until_nothing_is_pending();
    case.receiver.on("/in", Behaviour::status(500));
    let next = case.push(40..43);
    case.client.wait_for_attempts(&next[0], 1);
    case.receiver.on("/in", Behaviour::status(200));
    case.act(&format!("{}/pause", case.path), 200);
    let replay = json!({"since": "2020-01-01T00:00:00Z"});
    case.client.post(&format!("{}/replay", case.path), &replay).expect(202);
    case.act(&format!("{}/resume", case.path), 200);
    // The one that failed is the last before those that it holds up, and is tried again in its own time.
    case.receiver.wait_for("/in", 41 + 40);
    case.others_go();
    assert_eq!(case.came()[41..], (0..40).collect::<Vec<_>>());
    case.retry(&next[0], &json!({})).expect(202);
    case.until_nothing_is_pending();
    assert_eq!(case.came()[81..], [40, 41, 42]);
}

#[test]
fn order_begins_when_what_is_in_progress_is_settled_and_ends_at_once() {
    let (case, gate) = (Case::new("1h", &json!({"ordering": "none"})), Gate::default());
    case.push(0..1);
    case.until_nothing_is_pending();
    case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    case.push(1..9);
    // After one success, two may be in progress at once.
    case.receiver.wait_for("/in", 3);
    case.client.patch(&case.path, &json!({"ordering": "strict"})).expect(200);
    case.others_go();
    let unordered = case.came().len();
    gate.open();
    case.until_nothing_is_pending();
    assert!(case.came()[unordered..].is_sorted(), "{:?}", case.came());
    assert_eq!(case.came().len(), 9);

    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let deliveries = case.push(9..12);
    case.client.wait_for_attempts(&deliveries[0], 1);
    case.others_go();
    assert_eq!(case.came().len(), 10);
    case.client.patch(&case.path, &json!({"ordering": "none"})).expect(200);
    case.client.wait_for_state(&deliveries[1], "succeeded");
    case.client.wait_for_state(&deliveries[2], "succeeded");
    assert_eq!(case.client.delivery(&deliveries[0])["state"], "pending");
}

#[test]
fn an_exhausted_delivery_pauses_where_that_is_asked_for_and_the_rest_waits() {
    for (ordering, reason) in [("strict", "order_blocked"), ("none", "exhausted")] {
        let fields = json!({"ordering": ordering, "on_exhausted": "pause", "max_concurrency": 1});
        let case = Case::new("", &fields);
        case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
        let deliveries = case.push(0..4);
        let paused = case.client.wait_for_destination(&case.path["/v1/destinations/".len()..], "paused");
        assert_eq!(paused["paused_reason"], reason);
        case.others_go();
        assert_eq!(case.came(), [0]);
        assert_eq!(case.pending(), 3, "nothing is lost");
        // While it is paused nothing can overtake it.
        case.retry(&deliveries[0], &json!({})).expect(202);
        case.act(&format!("{}/resume", case.path), 200);
        case.until_nothing_is_pending();
        let came = case.came();
        assert!(ordering == "none" || came == [0, 0, 1, 2, 3], "{came:?}");
    }
}

#[test]
fn a_410_keeps_the_place_of_its_delivery() {
    let case = Case::new("1h", &json!({}));
    case.receiver.script("/in", vec![Behaviour::status(200), Behaviour::status(410), Behaviour::status(200)]);
    case.push(0..5);
    let paused = case.client.wait_for_destination(&case.path["/v1/destinations/".len()..], "paused");
    assert_eq!(paused["paused_reason"], "gone");
    case.push(5..7);
    case.act(&format!("{}/resume", case.path), 200);
    case.until_nothing_is_pending();
    assert_eq!(case.came(), [0, 1, 1, 2, 3, 4, 5, 6]);
}
