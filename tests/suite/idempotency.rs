//! `Idempotency-Key`: a repeat is recognised, and the event is accepted once, whatever happens in between.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Receiver, Setup};

fn push(client: &Client, account: &NewAccount, key: &str, body: &str) -> Value {
    client.push_with(&account.token, &[("idempotency-key", key)], body.as_bytes()).expect(202).json()
}

/// Id of the event, and ids of its deliveries.
fn ids(accepted: &Value) -> (String, Vec<String>) {
    let deliveries = accepted["deliveries"].as_array().unwrap();
    (text(accepted, "event_id"), deliveries.iter().map(|delivery| text(delivery, "delivery_id")).collect())
}

#[test]
fn a_repeat_gets_the_same_ids_and_sends_nothing() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/a"), "POST", json!({}));
    client.create_destination(&account, &receiver.url("/b"), "POST", json!({}));
    let first = push(&client, &account, "key 1", "{\"a\":1}");
    assert_eq!(first["duplicate"], json!(false));
    for _ in 0..3 {
        let again = push(&client, &account, "key 1", "{\"a\":1}");
        assert_eq!((ids(&again), &again["duplicate"]), (ids(&first), &json!(true)));
        assert_eq!(again["received_at"], first["received_at"]);
    }
    // This event is sent after anything that a repeat would have created.
    client.push(&account, "\"last\"");
    assert_eq!(receiver.wait_for("/a", 2).len() + receiver.wait_for("/b", 2).len(), 4);
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", account.id)).len(), 2);
}

#[test]
fn a_repeat_is_told_the_present_states() {
    let server = Setup::dev().flags(&["--retry-schedule", ""]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/good"), "POST", json!({}));
    client.create_destination(&account, &receiver.url("/bad"), "POST", json!({}));
    receiver.on("/bad", Behaviour::status(500));
    let first = push(&client, &account, "k", "{}");
    client.wait_for_state(&text(&first["deliveries"][0], "delivery_id"), "succeeded");
    client.wait_for_state(&text(&first["deliveries"][1], "delivery_id"), "exhausted");
    let again = push(&client, &account, "k", "{}");
    let states: Vec<&Value> =
        again["deliveries"].as_array().unwrap().iter().map(|delivery| &delivery["state"]).collect();
    assert_eq!(states, [&json!("succeeded"), &json!("exhausted")]);
    let headers = [("idempotency-key", "k"), ("prefer", "wait=20")];
    let waited = client.push_with(&account.token, &headers, b"{}").expect(200).json();
    assert_eq!((ids(&waited), &waited["duplicate"]), (ids(&first), &json!(true)));
}

#[test]
fn the_same_key_with_another_body_is_422() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    push(&client, &account, "k", "{\"a\":1}");
    // The bytes are compared, not their meaning.
    for body in ["{\"a\":2}", "{\"a\": 1}", "{\"a\":1.0}", "{\"a\":1}\n"] {
        let answer = client.push_with(&account.token, &[("idempotency-key", "k")], body.as_bytes());
        let problem = answer.problem(422);
        assert_eq!(
            (&problem["title"], &problem["code"]),
            (&json!("Idempotency Key Reused"), &json!("idempotency_key_reused"))
        );
    }
    assert_eq!(push(&client, &account, "k", "{\"a\":1}")["duplicate"], json!(true));
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", account.id)).len(), 1);
}

#[test]
fn keys_belong_to_their_account_and_case_counts() {
    let server = Setup::dev().start();
    let client = server.client();
    let (ada, bob) = (client.create_account("ada"), client.create_account("bob"));
    let accepted = [
        push(&client, &ada, "k", "1"),
        push(&client, &bob, "k", "2"),
        push(&client, &ada, "K", "3"),
        client.push(&ada, "1"),
        client.push(&ada, "1"),
    ];
    assert!(accepted.iter().all(|accepted| accepted["duplicate"] == json!(false)), "{accepted:?}");
    assert_eq!(accepted.iter().map(|accepted| ids(accepted).0).collect::<HashSet<_>>().len(), 5);
}

#[test]
fn of_many_at_the_same_moment_one_is_taken() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    for round in 0..5 {
        let key = format!("round {round}");
        let answers: Vec<Value> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..16).map(|_| scope.spawn(|| push(&client, &account, &key, &round.to_string()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().map(ids).collect::<HashSet<_>>().len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|accepted| accepted["duplicate"] == json!(false)).count(), 1);
    }
    receiver.wait_for("/", 5);
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", account.id)).len(), 5);
    assert_eq!(client.all("/v1/deliveries").len(), 5);
}

#[test]
fn of_many_bodies_with_one_key_at_the_same_moment_one_is_taken() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = |number: usize| {
            client.push_with(&account.token, &[("idempotency-key", "k")], number.to_string().as_bytes()).status
        };
        let threads: Vec<_> = (0..16).map(|number| scope.spawn(move || send(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(202), count(422)), (1, 15), "{statuses:?}");
}

#[test]
fn a_key_is_remembered_over_a_crash() {
    let mut server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let first = push(&client, &account, "k", "{}");
    server.kill();
    server.start_again();
    let client = server.client();
    let again = push(&client, &account, "k", "{}");
    assert_eq!((ids(&again), &again["duplicate"]), (ids(&first), &json!(true)));
    client.push_with(&account.token, &[("idempotency-key", "k")], b"[]").problem(422);
}

#[test]
fn a_key_that_cannot_be_one_is_refused_and_nothing_taken() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    for key in ["", &"k".repeat(256)] {
        let answer = client.push_with(&account.token, &[("idempotency-key", key)], b"{}");
        assert!(matches!(answer.status, 400 | 422), "{}", answer.status);
        answer.problem(answer.status);
    }
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", account.id)).len(), 0);
    push(&client, &account, &"k".repeat(255), "{}");
}
