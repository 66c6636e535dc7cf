//! What takes days in production: a destination that only fails is paused, and old events are deleted.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Behaviour, Client, Receiver, Setup, wait_until};

#[test]
fn a_destination_that_only_fails_is_paused_and_goes_on_where_it_was() {
    let server = Setup::dev()
        .flags(&["--pause-after", "1s", "--retry-schedule", "300ms,300ms,300ms,300ms,300ms,300ms,1h"])
        .start();
    let (client, receiver) = (server.client(), Receiver::start());
    receiver.on("/in", Behaviour::status(500));
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let first = client.push_one(&account, "1");
    let paused = client.wait_for_destination(&destination, "paused");
    assert_eq!(paused["paused_reason"], "failing");
    assert!(paused["paused_at"].is_string(), "{paused}");
    // Events that come meanwhile stay queued.
    let second = client.push_one(&account, "2");
    let attempts = client.delivery(&first)["attempt_count"].clone();
    assert_eq!(client.delivery(&second)["attempt_count"], 0);
    receiver.on("/in", Behaviour::status(200));
    client.send("POST", &format!("/v1/destinations/{destination}/resume"), &[], None).expect(200);
    client.wait_for_state(&second, "succeeded");
    client.wait_for_state(&first, "succeeded");
    assert!(client.delivery(&first)["attempt_count"].as_u64() > attempts.as_u64());
}

#[test]
fn a_success_now_and_then_keeps_a_destination_from_being_paused() {
    let server = Setup::dev().flags(&["--pause-after", "1s", "--retry-schedule", "200ms,200ms,200ms"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    // Each delivery fails for about 600 ms and then succeeds.
    let fails = || Behaviour::status(500);
    for number in 0..4 {
        receiver.script("/in", vec![fails(), fails(), fails(), Behaviour::status(200)]);
        let delivery = client.push_one(&account, number.to_string());
        client.wait_for_state(&delivery, "succeeded");
    }
    assert_eq!(client.get(&format!("/v1/destinations/{destination}")).expect(200).json()["state"], "active");
}

/// Length of the database file.
fn size(setup: &Setup) -> u64 {
    std::fs::metadata(setup.database_path()).unwrap().len()
}

fn is_gone(client: &Client, path: &str) -> Option<()> {
    (client.get(path).status == 404).then_some(())
}

#[test]
fn what_is_old_goes_with_its_log_and_gives_its_space_back_but_never_what_is_pending() {
    let setup = Setup::dev();
    let mut server = setup.clone().flags(&["--retry-schedule", "1h"]).start();
    let (mut client, receiver) = (server.client(), Receiver::start());
    receiver.on("/fails", Behaviour::status(500));
    let (good, bad) = (client.create_account("good"), client.create_account("bad"));
    client.create_destination(&good, &receiver.url("/in"), "POST", json!({}));
    client.create_destination(&bad, &receiver.url("/fails"), "POST", json!({}));
    let fat = format!("\"{}\"", "x".repeat(100_000));
    let delivered: Vec<String> = (0..100).map(|_| client.push_one(&good, &fat)).collect();
    for delivery in &delivered {
        client.wait_for_state(delivery, "succeeded");
    }
    let pending = client.push_one(&bad, "{}");
    client.wait_for_attempts(&pending, 1);
    let event = client.delivery(&delivered[0])["event_id"].as_str().unwrap().to_owned();
    server.terminate();
    let before = size(&setup);
    assert!(before > 10_000_000, "{before}");
    server.start_again_as(&setup.clone().flags(&["--retry-schedule", "1h", "--retention", "1s"]));
    client = server.client();
    for delivery in &delivered {
        wait_until("the old delivery is gone", || is_gone(&client, &format!("/v1/deliveries/{delivery}")));
    }
    is_gone(&client, &format!("/v1/events/{event}")).expect("its event went with it");
    // A mebibyte of free pages is kept for what comes.
    wait_until("the space is given back", || (size(&setup) < before / 5).then_some(()));
    let kept = client.delivery(&pending);
    assert_eq!((&kept["state"], &kept["attempts"].as_array().map(Vec::len)), (&json!("pending"), &Some(1)));
    // Once the delivery has succeeded, it is deleted too.
    receiver.on("/fails", Behaviour::status(200));
    client.send("POST", &format!("/v1/deliveries/{pending}/retry"), &[], None).expect(202);
    receiver.wait_for("/fails", 2);
    wait_until("the last one is gone", || is_gone(&client, &format!("/v1/deliveries/{pending}")));
}

#[test]
fn what_is_younger_than_the_retention_stays() {
    let server = Setup::dev().flags(&["--retention", "1h"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "{}");
    client.wait_for_state(&delivery, "succeeded");
    // Longer than the interval at which the server looks for events to delete.
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        assert_eq!(client.delivery(&delivery)["state"], "succeeded");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_idempotency_key_holds_though_the_retention_is_shorter() {
    let server = Setup::dev().flags(&["--retention", "1s"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let push = || client.push_with(&account.token, &[("idempotency-key", "k")], b"1").expect(202).json();
    let first = push();
    let plain = client.push(&account, "2")["event_id"].as_str().unwrap().to_owned();
    wait_until("the event without a key is gone", || is_gone(&client, &format!("/v1/events/{plain}")));
    let again = push();
    assert_eq!((&again["event_id"], &again["duplicate"]), (&first["event_id"], &json!(true)));
    client.push_with(&account.token, &[("idempotency-key", "k")], b"3").problem(422);
}
