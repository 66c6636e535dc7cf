//! What follows a failed attempt, also when a destination changes or is deleted in between.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup, wait_until};

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    server: Server,
}

impl Case {
    /// A server with this retry schedule.
    fn new(schedule: &str) -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", schedule]).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, receiver: Receiver::start(), server }
    }

    /// Creates a POST destination at `path` with this behaviour, and returns its id.
    fn destination(&self, path: &str, behaviour: Behaviour) -> String {
        self.receiver.on(path, behaviour);
        self.client.create_destination(&self.account, &self.receiver.url(path), "POST", json!({}))
    }
}

/// Times between the begins of a delivery's attempts.
fn gaps(delivery: &Value) -> Vec<Duration> {
    let at = |attempt: &Value| text(attempt, "at").parse::<jiff::Timestamp>().unwrap();
    let times: Vec<_> = delivery["attempts"].as_array().unwrap().iter().map(at).collect();
    times.windows(2).map(|pair| Duration::try_from(pair[1].duration_since(pair[0])).expect("oldest first")).collect()
}

#[test]
fn failures_walk_the_schedule_and_then_exhaust_with_each_attempt_in_the_log() {
    let case = Case::new("50ms,50ms");
    case.destination("/in", Behaviour::Answer(Reply::status(500).body("out of order")));
    let delivery = case.client.push_one(&case.account, "{}");
    let delivery = case.client.wait_for_state(&delivery, "exhausted");
    assert_eq!((&delivery["attempt_count"], &delivery["next_attempt_at"]), (&json!(3), &Value::Null));
    assert_eq!((&delivery["status_code"], &delivery["error"]), (&json!(500), &json!("status")));
    let attempts = delivery["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        assert_eq!((&attempt["status_code"], &attempt["error"]), (&json!(500), &json!("status")));
        assert_eq!(attempt["response_body"], "out of order");
        assert!(attempt["duration_ms"].is_number(), "{attempt}");
    }
    // 50 ms, minus 20 % jitter.
    assert!(gaps(&delivery).iter().all(|gap| *gap >= Duration::from_millis(39)), "{:?}", gaps(&delivery));
    assert_eq!(case.receiver.requests_to("/in").len(), 3);
}

#[test]
fn a_delivery_that_fails_first_succeeds_later() {
    let case = Case::new("50ms,50ms");
    case.destination("/in", Behaviour::status(200));
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::Reset, Behaviour::status(204)]);
    let delivery = case.client.push_one(&case.account, "{}");
    let delivery = case.client.wait_for_state(&delivery, "succeeded");
    let attempts = delivery["attempts"].as_array().unwrap();
    let errors: Vec<&Value> = attempts.iter().map(|attempt| &attempt["error"]).collect();
    assert_eq!(errors, [&json!("status"), &json!("reset"), &Value::Null]);
    assert_eq!((&delivery["status_code"], &delivery["error"]), (&json!(204), &Value::Null));
    assert_eq!(case.receiver.requests_to("/in").len(), 3);
}

#[test]
fn a_pending_delivery_says_when_it_is_tried_next() {
    let case = Case::new("1h");
    case.destination("/in", Behaviour::status(500));
    let delivery = case.client.push_one(&case.account, "{}");
    let delivery = case.client.wait_for_attempts(&delivery, 1);
    let next: jiff::Timestamp = text(&delivery, "next_attempt_at").parse().unwrap();
    let minutes = next.duration_since(jiff::Timestamp::now()).as_mins();
    assert!((46..=72).contains(&minutes), "{minutes}");
    assert_eq!(delivery["state"], "pending");
}

#[test]
fn only_2xx_is_success() {
    let case = Case::new("");
    for status in [200, 201, 204, 299, 300, 304, 400, 404, 500, 600, 999] {
        let path = format!("/{status}");
        let destination = case.destination(&path, Behaviour::status(status));
        let delivery = case.client.push_one(&case.account, "{}");
        let state = if (200..300).contains(&status) { "succeeded" } else { "exhausted" };
        assert_eq!(case.client.wait_for_state(&delivery, state)["status_code"], status);
        case.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
    }
}

#[test]
fn redirects_are_failures_and_not_followed() {
    let case = Case::new("");
    for status in [301, 302, 303, 307, 308] {
        let location = case.receiver.url("/elsewhere");
        let path = format!("/{status}");
        let reply = Reply::status(status).header("location", &location);
        let destination = case.destination(&path, Behaviour::Answer(reply));
        let delivery = case.client.push_one(&case.account, "{}");
        let delivery = case.client.wait_for_state(&delivery, "exhausted");
        assert_eq!((&delivery["status_code"], &delivery["error"]), (&json!(status), &json!("status")));
        case.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
    }
    assert_eq!(case.receiver.requests_to("/elsewhere").len(), 0);
}

#[test]
fn a_410_pauses_the_destination_and_loses_nothing() {
    let case = Case::new("50ms");
    let destination = case.destination("/in", Behaviour::status(410));
    let first = case.client.push_one(&case.account, "1");
    let paused = case.client.wait_for_destination(&destination, "paused");
    assert_eq!(paused["paused_reason"], "gone");
    assert!(paused["paused_at"].is_string());
    let kept = case.client.delivery(&first);
    assert_eq!(
        (&kept["state"], &kept["attempt_count"], &kept["status_code"]),
        (&json!("pending"), &json!(1), &json!(410))
    );
    let logged = wait_until("the pause is logged", || {
        let mut records =
            case.server.log.lines().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        records.find(|record| record["message"] == "destination paused")
    });
    assert_eq!((&logged["destination.id"], &logged["reason"]), (&json!(destination), &json!("gone")));
    assert!(logged.get("destination.key").is_none());
    let second = case.client.push_one(&case.account, "2");
    case.receiver.on("/in", Behaviour::status(200));
    case.client.post(&format!("/v1/destinations/{destination}/resume"), &json!({})).expect(200);
    for delivery in [first, second] {
        case.client.wait_for_state(&delivery, "succeeded");
    }
    assert_eq!(case.receiver.requests_to("/in").len(), 3);
}

#[test]
fn retry_after_holds_the_whole_destination_back() {
    for (status, value) in [(429, Some("2")), (503, Some("2")), (503, None)] {
        let case = Case::new("50ms");
        let destination = case.destination("/in", Behaviour::status(200));
        let value = value.map_or_else(|| http_date(3), str::to_owned);
        let asks = Behaviour::Answer(Reply::status(status).header("retry-after", &value));
        case.receiver.script("/in", vec![asks, Behaviour::status(200)]);
        let held = case.client.push_one(&case.account, "1");
        case.client.wait_for_attempts(&held, 1);
        let late = case.client.push_one(&case.account, "2");
        let held = case.client.wait_for_state(&held, "succeeded");
        let late = case.client.wait_for_state(&late, "succeeded");
        // A date has whole seconds, so the wait may be up to one second shorter.
        assert!(gaps(&held)[0] >= Duration::from_millis(1_950), "{value}: {:?}", gaps(&held));
        let first_of_late = text(&late["attempts"][0], "at").parse::<jiff::Timestamp>().unwrap();
        let first_of_held = text(&held["attempts"][0], "at").parse::<jiff::Timestamp>().unwrap();
        let wait = first_of_late.duration_since(first_of_held);
        assert!(wait.as_millis() >= 1_950, "{value}: the other event went after {wait:?}");
        assert_eq!(case.client.get(&format!("/v1/destinations/{destination}")).expect(200).json()["state"], "active");
    }
}

fn http_date(seconds_from_now: u64) -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(seconds_from_now))
}

#[test]
fn retry_after_never_shortens_the_schedule_and_nonsense_is_ignored() {
    for (status, value) in
        [(503, "0"), (429, "soon"), (429, "-1"), (503, "1.5"), (500, "3600"), (429, "Thu, 01 Jan 1970 00:00:00 GMT")]
    {
        let case = Case::new("500ms");
        case.destination("/in", Behaviour::status(200));
        let asks = Behaviour::Answer(Reply::status(status).header("retry-after", value));
        case.receiver.script("/in", vec![asks, Behaviour::status(200)]);
        let delivery = case.client.push_one(&case.account, "1");
        let delivery = case.client.wait_for_state(&delivery, "succeeded");
        assert!(gaps(&delivery)[0] >= Duration::from_millis(399), "{status} {value}: {:?}", gaps(&delivery));
    }
}

#[test]
fn the_next_attempt_goes_where_the_destination_points_by_then() {
    let (case, gate) = (Case::new("50ms"), Gate::default());
    let destination = case.destination("/old", Behaviour::Hold(gate.clone(), Reply::status(500)));
    let delivery = case.client.push_one(&case.account, "{\"a\":1}");
    case.receiver.wait_for("/old", 1);
    let change = json!({"url": case.receiver.url("/new"), "http_method": "PUT", "headers": {"X-New": "yes"}});
    case.client.patch(&format!("/v1/destinations/{destination}"), &change).expect(200);
    gate.open();
    case.client.wait_for_state(&delivery, "succeeded");
    let request = case.receiver.wait_for("/new", 1).remove(0);
    assert_eq!((request.method.as_str(), request.headers.get("x-new")), ("PUT", Some("yes")));
    assert_eq!((case.receiver.requests_to("/old").len(), request.body.as_slice()), (1, b"{\"a\":1}".as_slice()));
}

#[test]
fn deleting_a_destination_in_flight_leaves_no_orphan() {
    let (mut case, gate) = (Case::new("50ms"), Gate::default());
    let destination = case.destination("/in", Behaviour::Hold(gate.clone(), Reply::status(500)));
    case.destination("/kept", Behaviour::status(200));
    let accepted = case.client.push(&case.account, "{}");
    case.receiver.wait_for("/in", 1);
    case.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
    gate.open();
    // There is one writer, so this event is written after the late outcome.
    case.client.push(&case.account, "{}");
    case.receiver.wait_for("/kept", 2);
    let event = case.client.get(&format!("/v1/events/{}", text(&accepted, "event_id"))).expect(200).json();
    assert_eq!(event["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(case.receiver.requests_to("/in").len(), 1);
    sound_after_the_end(&mut case.server);
}

#[test]
fn deleting_an_account_in_flight_leaves_no_orphan() {
    let (mut case, gate) = (Case::new("50ms"), Gate::default());
    case.destination("/in", Behaviour::Hold(gate.clone(), Reply::status(500)));
    for number in 0..5 {
        case.client.push(&case.account, number.to_string());
    }
    case.receiver.wait_for("/in", 1);
    case.client.delete(&format!("/v1/accounts/{}", case.account.id)).expect(204);
    let before = case.receiver.requests_to("/in").len();
    gate.open();
    let other = case.client.create_account("bob");
    case.client.create_destination(&other, &case.receiver.url("/bob"), "POST", json!({}));
    case.client.push(&other, "{}");
    case.receiver.wait_for("/bob", 1);
    assert_eq!(case.client.all("/v1/deliveries").len(), 1);
    // Only attempts in progress at the moment of deletion may still arrive.
    assert!(case.receiver.requests_to("/in").len() <= before.max(5));
    sound_after_the_end(&mut case.server);
}

/// Checks that nothing panicked, that the stop is clean, and that the file has no dangling row.
fn sound_after_the_end(server: &mut Server) {
    server.terminate();
    let panics: Vec<String> = server.log.lines().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
    let file = rusqlite::Connection::open(server.setup().database_path()).unwrap();
    let dangling: i64 = file.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    let result: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((dangling, result.as_str()), (0, "ok"));
}

#[test]
fn connections_are_kept_and_used_again() {
    let case = Case::new("50ms");
    case.destination("/in", Behaviour::Answer(Reply::status(200).body("thanks")));
    for nth in 1..=50 {
        case.client.push_with(&case.account.token, &[("prefer", "wait=20")], b"{}").expect(200);
        assert_eq!(case.receiver.requests_to("/in").len(), nth);
    }
    assert!(
        case.receiver.connections() <= 3,
        "{} connections for 50 requests, one by one",
        case.receiver.connections()
    );
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| drop(case.client.push(&case.account, "{}"))));
        }
    });
    case.receiver.wait_for("/in", 450);
    // By default a destination gets at most 32 attempts at once.
    assert!(case.receiver.connections() <= 40, "{} connections for 450 requests", case.receiver.connections());
}

#[test]
fn a_stale_connection_burns_no_attempt() {
    let case = Case::new("");
    case.destination("/in", Behaviour::ResetWhenReused(Reply::status(200)));
    for number in 0..10 {
        let delivery = case.client.push_one(&case.account, number.to_string());
        let delivery = case.client.wait_for_state(&delivery, "succeeded");
        assert_eq!(delivery["attempt_count"], 1, "{delivery}");
    }
    let requests = case.receiver.requests_to("/in");
    assert!(requests.len() > 10, "no connection was used twice, so none was stale");
    assert_eq!(requests[1].connection, requests[0].connection);
    assert_ne!(requests[2].connection, requests[1].connection);
}

#[test]
fn destinations_of_one_host_share_connections_one_after_the_other() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    for number in 0..20 {
        let account = client.create_account(&format!("account-{number}"));
        let path = format!("/{number}");
        client.create_destination(&account, &receiver.url(&path), "POST", json!({}));
        for _ in 0..2 {
            let delivery = client.push_one(&account, "{}");
            client.wait_for_state(&delivery, "succeeded");
        }
        assert_eq!(receiver.requests_to(&path).len(), 2);
    }
    assert!(receiver.connections() <= 2, "{} connections", receiver.connections());
}
