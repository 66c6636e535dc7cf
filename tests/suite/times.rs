//! The first and the last time that RFC 3339 can express, in every place where a time is read.

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::{Receiver, Setup};

const FIRST: &str = "0001-01-01T00:00:00Z";
const LAST: &str = "9999-12-31T23:59:59Z";

/// Valid RFC 3339 times that are outside the years 1 to 9999 in UTC.
const BEYOND: [&str; 3] = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z"];

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[test]
fn lists_and_counts_take_the_first_and_the_last_time() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "{}");
    client.wait_for_state(&delivery, "succeeded");
    for filter in [vec![], vec![("account_id", account.id.as_str())], vec![("destination_id", destination.as_str())]] {
        let count = |window: &[(&str, &str)]| {
            client.all(&format!("/v1/deliveries?{}", query(&[&filter[..], window].concat()))).len()
        };
        assert_eq!(count(&[("since", FIRST), ("until", LAST)]), 1);
        assert_eq!(count(&[("since", "0001-01-01T01:00:00+01:00"), ("until", "9999-12-31T22:59:59-01:00")]), 1);
        assert_eq!((count(&[("since", LAST)]), count(&[("until", FIRST)])), (0, 0));
        assert_eq!((count(&[("since", FIRST)]), count(&[("until", LAST)])), (1, 1));
        assert_eq!(count(&[("since", "1969-12-31T23:59:59Z"), ("until", "1970-01-01T00:00:00Z")]), 0);
    }
    let window = query(&[("since", FIRST), ("until", LAST), ("bucket", "3650d")]);
    let stats = client.get(&format!("/v1/stats?{window}")).expect(200).json();
    let buckets = stats["buckets"].as_array().unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket["succeeded"].as_u64().unwrap()).sum::<u64>(), 1);
    let starts: Vec<String> = buckets.iter().map(|bucket| text(bucket, "start")).collect();
    assert!(starts.is_sorted() && starts[0].starts_with("00"), "{}", starts[0]);
    assert_eq!(
        (text(&stats, "since"), text(&stats, "until").as_str()),
        (starts[0].clone(), "9999-12-31T23:59:59.999Z")
    );
    // The window would begin before the first time. A window that ends with the last hour is accepted.
    client.get(&format!("/v1/stats?{}", query(&[("until", FIRST)]))).problem(400);
    let last = query(&[("since", "9999-12-31T22:00:00Z"), ("until", LAST), ("bucket", "1h")]);
    assert_eq!(client.get(&format!("/v1/stats?{last}")).expect(200).json()["buckets"].as_array().unwrap().len(), 2);
}

#[test]
fn a_time_beyond_them_is_refused_by_name() {
    let server = Setup::dev().start();
    let client = server.client();
    let destination =
        client.create_destination(&client.create_account("ada"), "http://127.0.0.1:9/", "POST", json!({}));
    for time in BEYOND {
        for path in ["/v1/deliveries", "/v1/stats"] {
            for name in ["since", "until"] {
                let problem = client.get(&format!("{path}?{}", query(&[(name, time)]))).problem(400);
                assert!(text(&problem, "detail").contains(name), "{problem}");
            }
        }
        let replay = format!("/v1/destinations/{destination}/replay");
        assert_eq!(client.post(&replay, &json!({"since": time})).faults(), ["since"], "{time}");
        assert_eq!(client.post(&replay, &json!({"since": FIRST, "until": time})).faults(), ["until"], "{time}");
    }
}

#[test]
fn a_replay_takes_the_first_and_the_last_time() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "{}");
    client.wait_for_state(&delivery, "succeeded");
    let path = format!("/v1/destinations/{destination}/replay");
    let count = |window: Value| {
        let mut dry = window.clone();
        dry["dry_run"] = json!(true);
        let dry = client.post(&path, &dry).expect(200).json()["count"].clone();
        let done = client.post(&path, &window).expect(202).json()["count"].clone();
        assert_eq!(dry, done, "{window}");
        client.wait_for_state(&delivery, "succeeded");
        done
    };
    assert_eq!(count(json!({"since": LAST})), 0);
    assert_eq!(count(json!({"since": FIRST, "until": "1970-01-01T00:00:00Z"})), 0);
    assert_eq!(count(json!({"since": FIRST, "until": LAST})), 1);
    assert_eq!(count(json!({"since": FIRST})), 1);
    receiver.wait_for("/in", 3);
    assert_eq!(client.post(&path, &json!({"since": LAST, "until": FIRST})).faults(), ["until"]);
}
