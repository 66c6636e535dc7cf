//! Counts over time, as a chart needs them.

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::{Behaviour, Client, Receiver, Setup, wait_until};

const KINDS: [&str; 4] = ["accepted", "succeeded", "failed", "exhausted"];

/// Each kind of count, summed over the window.
fn sums(client: &Client, query: &str) -> [u64; 4] {
    let stats = client.get(&format!("/v1/stats?{query}")).expect(200).json();
    let buckets = stats["buckets"].as_array().expect("buckets");
    KINDS.map(|kind| buckets.iter().map(|bucket| bucket[kind].as_u64().expect(kind)).sum())
}

/// Events received in the window; `None` if no bucket says it.
fn events(client: &Client, query: &str) -> Option<u64> {
    let stats = client.get(&format!("/v1/stats?{query}")).expect(200).json();
    let said: Vec<u64> =
        stats["buckets"].as_array().expect("buckets").iter().filter_map(|bucket| bucket["events"].as_u64()).collect();
    (!said.is_empty()).then(|| said.iter().sum())
}

#[test]
fn each_outcome_is_counted_once_by_account_and_destination_also_over_a_crash() {
    let mut server = Setup::dev().flags(&["--retry-schedule", "50ms"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let (ada, bob) = (client.create_account("ada"), client.create_account("bob"));
    receiver.on("/bad", Behaviour::status(500));
    let good = client.create_destination(&ada, &receiver.url("/good"), "POST", json!({}));
    let bad = client.create_destination(&ada, &receiver.url("/bad"), "POST", json!({}));
    client.create_destination(&bob, &receiver.url("/bob"), "POST", json!({}));
    for _ in 0..3 {
        for delivery in client.push(&ada, "{}")["deliveries"].as_array().unwrap() {
            let state = if delivery["destination_id"] == json!(bad) { "exhausted" } else { "succeeded" };
            client.wait_for_state(&text(delivery, "delivery_id"), state);
        }
    }
    let last = client.push_one(&bob, "{}");
    client.wait_for_state(&last, "succeeded");
    for _ in 0..2 {
        let client = server.client();
        for (query, expected) in [
            (String::new(), [7, 4, 6, 3]),
            (format!("account_id={}", ada.id), [6, 3, 6, 3]),
            (format!("account_id={}", bob.id), [1, 1, 0, 0]),
            (format!("destination_id={good}"), [3, 3, 0, 0]),
            (format!("destination_id={bad}&bucket=1m"), [3, 0, 6, 3]),
            ("since=2000-01-01T00:00:00Z&until=2000-01-02T00:00:00Z".to_owned(), [0, 0, 0, 0]),
        ] {
            wait_until(&format!("{query:?} counts {expected:?}"), || (sums(&client, &query) == expected).then_some(()));
        }
        let by = |id: &str| events(&client, &format!("account_id={id}"));
        assert_eq!((events(&client, ""), by(&ada.id), by(&bob.id)), (Some(4), Some(3), Some(1)));
        assert_eq!(events(&client, &format!("destination_id={good}")), None, "an event may have many destinations");
        server.kill();
        server.start_again();
    }
}

#[test]
fn buckets_are_in_a_row_and_cover_the_window() {
    let server = Setup::dev().start();
    let query = "since=2026-01-01T10:30:00Z&until=2026-01-01T13:00:00Z&bucket=1h";
    let stats = server.client().get(&format!("/v1/stats?{query}")).expect(200).json();
    assert_eq!(stats["bucket_seconds"], 3_600);
    let starts: Vec<&Value> = stats["buckets"].as_array().unwrap().iter().map(|bucket| &bucket["start"]).collect();
    assert_eq!(starts, ["2026-01-01T10:00:00.000Z", "2026-01-01T11:00:00.000Z", "2026-01-01T12:00:00.000Z"]);
}

#[test]
fn windows_that_cannot_be_are_400() {
    let server = Setup::dev().start();
    for query in
        ["since=yesterday", "bucket=1", "bucket=0m", "bucket=30s", "bucket=-1h", "since=2000-01-01T00:00:00Z&bucket=1m"]
    {
        server.client().get(&format!("/v1/stats?{query}")).problem(400);
    }
}
