//! `--account-rate`: how much an account may send, and the answer when that is used up.

use serde_json::json;

use crate::harness::client::INCOMING;
use crate::harness::{Setup, wait_until, wire};

#[test]
fn an_account_that_sends_too_fast_is_429_and_others_are_not() {
    let server = Setup::dev().flags(&["--account-rate", "3/h"]).start();
    let client = server.client();
    let (ada, bob) = (client.create_account("ada"), client.create_account("bob"));
    for _ in 0..3 {
        client.push(&ada, "{}");
    }
    let refused = client.push_with(&ada.token, &[], b"{}");
    let problem = refused.problem(429);
    assert_eq!((&problem["code"], &problem["title"]), (&json!("rate_limited"), &json!("Too Many Requests")));
    let wait: u64 = refused.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=1_200).contains(&wait), "{wait}");
    client.push(&bob, "{}");
    client.get("/v1/accounts").expect(200);
    assert_eq!(client.all(&format!("/v1/accounts/{}/events", ada.id)).len(), 3, "nothing of it was taken");
}

#[test]
fn the_rate_comes_after_the_token_and_before_the_body() {
    let server = Setup::dev().flags(&["--account-rate", "1/h"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    for _ in 0..3 {
        client.push_with("nobody", &[], b"{}").problem(401);
    }
    client.push(&account, "{}");
    client.push_with("nobody", &[], b"{}").problem(401);
    client.push_with(&account.token, &[], b"no json").problem(429);
    let token = &account.token;
    let head = format!(
        "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: text/plain\r\n\
         expect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    );
    wire::send(server.address, head.as_bytes()).expect("an answer without the body").problem(429);
}

#[test]
fn after_the_time_it_was_told_an_account_may_send_again() {
    let server = Setup::dev().flags(&["--account-rate", "1/s"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    wait_until("it is too fast", || (client.push_with(&account.token, &[], b"{}").status == 429).then_some(()));
    wait_until("it may send again", || (client.push_with(&account.token, &[], b"{}").status == 202).then_some(()));
}

#[test]
fn without_the_flag_nobody_is_held_back() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    for _ in 0..200 {
        client.push(&account, "{}");
    }
}
