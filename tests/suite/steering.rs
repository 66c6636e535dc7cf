//! What people do by hand: pause and resume, retry, cancel, replay, test, and list.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Receiver, Reply, Server, Setup};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    destination: String,
    server: Server,
}

impl Case {
    /// One POST destination at `/in`, with a first retry so late that no test reaches it.
    fn new() -> Self {
        Self::with_schedule("1h")
    }

    fn with_schedule(schedule: &str) -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", schedule]).start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        Self { client, receiver, account, destination, server }
    }

    /// Sends a POST without a body.
    #[track_caller]
    fn act(&self, path: &str, status: u16) -> Value {
        self.client.send("POST", path, &[], None).expect(status).json()
    }

    #[track_caller]
    fn on_destination(&self, action: &str) -> Value {
        self.act(&format!("/v1/destinations/{}/{action}", self.destination), 200)
    }

    #[track_caller]
    fn replay(&self, body: &Value, status: u16) -> u64 {
        let path = format!("/v1/destinations/{}/replay", self.destination);
        self.client.post(&path, body).expect(status).json()["count"].as_u64().expect("count")
    }

    fn bodies(&self) -> Vec<String> {
        self.receiver.requests_to("/in").iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect()
    }
}

#[test]
fn a_paused_destination_loses_nothing_even_over_a_restart() {
    let mut case = Case::new();
    case.on_destination("pause");
    let mut deliveries: Vec<String> =
        (0..5).map(|number| case.client.push_one(&case.account, number.to_string())).collect();
    case.server.kill();
    case.server.start_again();
    case.client = case.server.client();
    deliveries.extend((5..8).map(|number| case.client.push_one(&case.account, number.to_string())));
    // A later delivery to another destination goes through the same engine. When it arrives, the others would have
    // arrived too.
    case.client.create_destination(&case.account, &case.receiver.url("/other"), "POST", json!({}));
    case.client.push(&case.account, "8");
    case.receiver.wait_for("/other", 1);
    assert_eq!(case.bodies(), Vec::<String>::new());
    for delivery in &deliveries {
        let delivery = case.client.delivery(delivery);
        assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("pending"), &json!(0)));
    }
    case.on_destination("resume");
    for delivery in &deliveries {
        case.client.wait_for_state(delivery, "succeeded");
    }
    case.receiver.wait_for("/in", 9);
    let mut bodies = case.bodies();
    bodies.sort();
    assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

/// What was done manually, oldest first.
fn done(delivery: &Value) -> Vec<&str> {
    let actions = delivery["manual_actions"].as_array().expect("a list");
    let times: Vec<&Value> = actions.iter().map(|done| &done["at"]).collect();
    assert!(times.is_sorted_by_key(|at| at.as_str()), "{delivery}");
    actions.iter().map(|done| done["action"].as_str().expect("a word")).collect()
}

#[test]
fn a_retry_by_hand_goes_at_once_and_the_log_goes_on() {
    let case = Case::new();
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(502), Behaviour::status(200)]);
    let delivery = case.client.push_one(&case.account, "{}");
    case.client.wait_for_attempts(&delivery, 1);
    let retry = format!("/v1/deliveries/{delivery}/retry");
    let answer = case.act(&retry, 202);
    assert_eq!((&answer["delivery_id"], &answer["state"]), (&json!(delivery), &json!("pending")));
    case.client.wait_for_attempts(&delivery, 2);
    case.act(&retry, 202);
    let delivery = case.client.wait_for_state(&delivery, "succeeded");
    let statuses: Vec<&Value> =
        delivery["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status_code"]).collect();
    assert_eq!(statuses, [&json!(500), &json!(502), &json!(200)]);
    assert_eq!(done(&delivery), ["retry", "retry"]);
}

#[test]
fn what_is_exhausted_or_done_can_be_sent_again_right_after_another_time() {
    let case = Case::with_schedule("");
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let delivery = case.client.push_one(&case.account, "{}");
    case.client.wait_for_state(&delivery, "exhausted");
    for sent in 2..=4 {
        case.act(&format!("/v1/deliveries/{delivery}/retry"), 202);
        let requests = case.receiver.wait_for("/in", sent);
        assert_eq!(requests[sent - 1].headers.get("webhook-id"), requests[0].headers.get("webhook-id"));
        let delivery = case.client.wait_for_attempts(&delivery, sent as u64);
        assert_eq!(delivery["state"], "succeeded");
    }
}

#[test]
fn a_retry_by_hand_passes_a_hold() {
    let case = Case::new();
    let asks = Behaviour::Answer(Reply::status(429).header("retry-after", "3600"));
    case.receiver.script("/in", vec![asks, Behaviour::status(200)]);
    let delivery = case.client.push_one(&case.account, "{}");
    case.client.wait_for_attempts(&delivery, 1);
    case.act(&format!("/v1/deliveries/{delivery}/retry"), 202);
    case.client.wait_for_state(&delivery, "succeeded");
}

#[test]
fn a_cancelled_delivery_is_not_sent() {
    let case = Case::new();
    case.on_destination("pause");
    let given_up = case.client.push_one(&case.account, "\"no\"");
    let kept = case.client.push_one(&case.account, "\"yes\"");
    let answer = case.act(&format!("/v1/deliveries/{given_up}/cancel"), 202);
    assert_eq!(answer["state"], "cancelled");
    case.on_destination("resume");
    case.client.wait_for_state(&kept, "succeeded");
    assert_eq!(case.bodies(), ["\"yes\""]);
    assert_eq!(case.client.delivery(&given_up)["state"], "cancelled");
    for settled in [&given_up, &kept] {
        let again = case.client.send("POST", &format!("/v1/deliveries/{settled}/cancel"), &[], None);
        assert_eq!(again.problem(409)["code"], "not_pending");
    }
    assert_eq!(done(&case.client.delivery(&given_up)), ["cancel"]);
    let event = text(&case.client.delivery(&given_up), "event_id");
    case.act(&format!("/v1/events/{event}/replay"), 202);
    assert_eq!(done(&case.client.wait_for_state(&given_up, "succeeded")), ["cancel", "replay"]);
    assert!(done(&case.client.delivery(&kept)).is_empty());
}

#[test]
fn an_events_replay_sends_the_same_deliveries_again() {
    let case = Case::new();
    case.client.create_destination(&case.account, &case.receiver.url("/other"), "POST", json!({}));
    let accepted = case.client.push(&case.account, "{}");
    for delivery in accepted["deliveries"].as_array().unwrap() {
        case.client.wait_for_state(&text(delivery, "delivery_id"), "succeeded");
    }
    let path = format!("/v1/events/{}/replay", text(&accepted, "event_id"));
    assert_eq!(case.act(&path, 202)["count"], 2);
    for at in ["/in", "/other"] {
        case.receiver.wait_for(at, 2);
    }
    for delivery in accepted["deliveries"].as_array().unwrap() {
        case.client.wait_for_attempts(&text(delivery, "delivery_id"), 2);
    }
    assert_eq!(case.client.all("/v1/deliveries").len(), 2);
}

#[test]
fn a_destinations_replay_goes_by_time_and_state_and_can_be_tried_dry() {
    let case = Case::with_schedule("");
    let good = case.client.push_one(&case.account, "\"good\"");
    case.client.wait_for_state(&good, "succeeded");
    case.receiver.on("/in", Behaviour::status(500));
    let bad = case.client.push_one(&case.account, "\"bad\"");
    let bad = case.client.wait_for_state(&bad, "exhausted");
    case.receiver.on("/in", Behaviour::status(200));
    case.on_destination("pause");
    case.client.push_one(&case.account, "\"waiting\"");

    let (since, later) = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    assert_eq!(case.replay(&json!({"since": since, "dry_run": true}), 200), 2);
    assert_eq!(case.replay(&json!({"since": later, "dry_run": true}), 200), 0);
    assert_eq!(case.replay(&json!({"since": since, "until": "2000-01-01T00:00:01Z", "dry_run": true}), 200), 0);
    assert_eq!(case.replay(&json!({"since": since, "state": "exhausted", "dry_run": true}), 200), 1);
    assert_eq!(case.replay(&json!({"since": since, "state": "cancelled", "dry_run": true}), 200), 0);
    assert_eq!(case.replay(&json!({"since": since, "until": later, "state": "exhausted"}), 202), 1);
    assert_eq!(case.client.delivery(&text(&bad, "delivery_id"))["state"], "pending");
    assert_eq!(case.replay(&json!({"since": since, "dry_run": true}), 200), 1);
    case.on_destination("resume");
    case.receiver.wait_for("/in", 4);
    case.client.wait_for_state(&text(&bad, "delivery_id"), "succeeded");
    assert_eq!(case.bodies().iter().filter(|body| *body == "\"bad\"").count(), 2);
    assert_eq!(case.bodies().iter().filter(|body| *body == "\"good\"").count(), 1);
}

#[test]
fn a_replay_that_makes_no_sense_is_refused() {
    let case = Case::new();
    let path = format!("/v1/destinations/{}/replay", case.destination);
    for (body, fields) in [
        (json!({}), vec!["since"]),
        (
            json!({"since": "yesterday", "state": "sent", "dry_run": "no", "x": 1}),
            vec!["dry_run", "since", "state", "x"],
        ),
    ] {
        assert_eq!(case.client.post(&path, &body).faults(), fields);
    }
    let body = json!({"since": "2000-01-01T00:00:00Z"});
    case.client.post("/v1/destinations/dst_nobody/replay", &body).problem(404);
    case.client.send("POST", "/v1/events/evt_0000000000000/replay", &[], None).problem(404);
}

#[test]
fn a_test_answers_the_attempt_and_leaves_the_queue_alone() {
    let case = Case::new();
    case.receiver.on("/in", Behaviour::Answer(Reply::status(418).body("short and stout")));
    for _ in ["active", "paused"] {
        let attempt = case.on_destination("test");
        assert_eq!((&attempt["status_code"], &attempt["response_body"]), (&json!(418), &json!("short and stout")));
        assert!(attempt["duration_ms"].is_number() && attempt["at"].is_string(), "{attempt}");
        case.on_destination("pause");
    }
    assert_eq!(case.client.all("/v1/deliveries"), Vec::<Value>::new());
    let requests = case.receiver.requests_to("/in");
    assert_eq!(requests.len(), 2);
    serde_json::from_slice::<Value>(&requests[0].body).expect("a sample event");
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(requests[0].headers.get(name).is_some(), "{name}");
    }
}

#[test]
fn deliveries_are_listed_newest_first_by_any_filter() {
    let case = Case::with_schedule("");
    let other = case.client.create_account("bob");
    case.client.create_destination(&other, &case.receiver.url("/bob"), "POST", json!({}));
    let first = case.client.push_one(&case.account, "1");
    case.client.wait_for_state(&first, "succeeded");
    case.receiver.on("/in", Behaviour::status(503));
    let event = case.client.push(&case.account, "2");
    let second = text(&event["deliveries"][0], "delivery_id");
    case.client.wait_for_state(&second, "exhausted");
    let third = case.client.push_one(&other, "3");
    case.client.wait_for_state(&third, "succeeded");

    let list = |query: &str| -> Vec<String> {
        case.client.all(&format!("/v1/deliveries?{query}")).iter().map(|item| text(item, "delivery_id")).collect()
    };
    assert_eq!(list("limit=1"), [&third, &second, &first].map(String::clone));
    for (query, expected) in [
        (format!("account_id={}", case.account.id), vec![&second, &first]),
        (format!("destination_id={}", case.destination), vec![&second, &first]),
        (format!("event_id={}", text(&event, "event_id")), vec![&second]),
        ("state=succeeded".to_owned(), vec![&third, &first]),
        ("state=exhausted".to_owned(), vec![&second]),
        ("state=pending".to_owned(), vec![]),
        ("status_code=503".to_owned(), vec![&second]),
        ("status_code=200".to_owned(), vec![&third, &first]),
        (format!("state=succeeded&account_id={}", case.account.id), vec![&first]),
        (format!("state=exhausted&status_code=503&destination_id={}", case.destination), vec![&second]),
        ("since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z".to_owned(), vec![&third, &second, &first]),
        ("since=2100-01-01T00:00:00Z".to_owned(), vec![]),
        ("until=2000-01-01T00:00:00Z".to_owned(), vec![]),
        (format!("since={}&until={}", text(&event, "received_at"), "2100-01-01T00:00:00Z"), vec![&third, &second]),
    ] {
        assert_eq!(list(&format!("{query}&limit=1")).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    for query in ["state=sent", "status_code=x", "since=yesterday", "until=2026-13-01T00:00:00Z"] {
        case.client.get(&format!("/v1/deliveries?{query}")).problem(400);
    }
}

#[test]
fn events_are_listed_newest_first_with_their_deliveries() {
    let case = Case::new();
    let accepted: Vec<Value> = (0..3).map(|number| case.client.push(&case.account, number.to_string())).collect();
    let listed = case.client.all(&format!("/v1/accounts/{}/events?limit=2", case.account.id));
    let ids = |events: &[Value]| events.iter().map(|event| text(event, "event_id")).collect::<Vec<_>>();
    assert_eq!(ids(&listed), ids(&accepted.iter().rev().cloned().collect::<Vec<_>>()));
    let event = case.client.get(&format!("/v1/events/{}", text(&accepted[0], "event_id"))).expect(200).json();
    assert_eq!((&event["payload"], &event["received_at"]), (&json!(0), &accepted[0]["received_at"]));
    assert_eq!(event["deliveries"][0]["delivery_id"], accepted[0]["deliveries"][0]["delivery_id"]);
    for id in ["evt_0000000000000", "evt_x", "nonsense", "dlv_0000000000000"] {
        case.client.get(&format!("/v1/events/{id}")).problem(404);
    }
    for id in ["dlv_0000000000000", "dlv_x", "nonsense", "evt_0000000000000"] {
        case.client.get(&format!("/v1/deliveries/{id}")).problem(404);
        case.client.send("POST", &format!("/v1/deliveries/{id}/retry"), &[], None).problem(404);
        case.client.send("POST", &format!("/v1/deliveries/{id}/cancel"), &[], None).problem(404);
    }
}
