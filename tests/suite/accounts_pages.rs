//! Lists and their pages, with accounts as the example.

use serde_json::json;

use crate::harness::client::text;
use crate::harness::{Client, Setup};

fn make(client: &Client, count: usize) -> Vec<String> {
    (0..count).map(|number| client.create_account(&format!("user{number}")).id).collect()
}

fn follow(client: &Client, path: &str) -> Vec<String> {
    client.all(path).iter().map(|item| text(item, "account_id")).collect()
}

#[test]
fn pages_hold_every_account_once_and_end_with_a_null_cursor() {
    let server = Setup::dev().start();
    let client = server.client();
    let made = make(&client, 5);
    assert_eq!(follow(&client, "/v1/accounts?limit=2"), made);
    assert_eq!(follow(&client, "/v1/accounts?limit=5"), made);
    assert_eq!(follow(&client, "/v1/accounts"), made);
    let first = client.get("/v1/accounts?limit=2").expect(200).json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert!(first["next_cursor"].is_string());
    let all = client.get("/v1/accounts?limit=200").expect(200).json();
    assert!(all.as_object().unwrap().contains_key("next_cursor") && all["next_cursor"].is_null(), "{all}");
}

#[test]
fn a_page_is_not_disturbed_by_what_comes_and_goes() {
    let server = Setup::dev().start();
    let client = server.client();
    let made = make(&client, 4);
    let first = client.get("/v1/accounts?limit=2").expect(200).json();
    client.delete(&format!("/v1/accounts/{}", made[1])).expect(204);
    let late = client.create_account("late").id;
    let rest = client.get(&format!("/v1/accounts?cursor={}", text(&first, "next_cursor"))).expect(200).json();
    let rest: Vec<String> = rest["items"].as_array().unwrap().iter().map(|item| text(item, "account_id")).collect();
    assert_eq!(rest, [made[2].clone(), made[3].clone(), late]);
}

#[test]
fn limits_and_cursors_that_cannot_be_are_400() {
    let server = Setup::dev().start();
    let client = server.client();
    for query in
        ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=1.5", "limit=", "cursor=x", "cursor=%00", "cursor=MTIz"]
    {
        client.get(&format!("/v1/accounts?{query}")).problem(400);
        client.get(&format!("/v1/deliveries?{query}")).problem(400);
    }
    client.get("/v1/accounts?limit=1").expect(200);
    client.get("/v1/accounts?limit=200").expect(200);
}

#[test]
fn an_account_is_found_by_its_email_case_aside() {
    let server = Setup::dev().start();
    let client = server.client();
    let made = make(&client, 3);
    assert_eq!(follow(&client, "/v1/accounts?email=USER1@example.com"), made[1..2]);
    assert_eq!(follow(&client, "/v1/accounts?email=user@example.com"), Vec::<String>::new());
}

#[test]
fn fifty_is_a_page_when_nothing_is_asked_for() {
    let server = Setup::dev().start();
    let client = server.client();
    let made = make(&client, 51);
    let page = client.get("/v1/accounts").expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    let next = client.get(&format!("/v1/accounts?cursor={}", text(&page, "next_cursor"))).expect(200).json();
    assert_eq!((text(&next["items"][0], "account_id"), &next["next_cursor"]), (made[50].clone(), &json!(null)));
}
