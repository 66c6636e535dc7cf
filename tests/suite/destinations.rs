//! One destination: created, read, replaced, patched, listed, deleted.

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Client, Receiver, Setup};

fn list(account: &NewAccount) -> String {
    format!("/v1/accounts/{}/destinations", account.id)
}

fn plain(url: &str) -> Value {
    json!({"url": url, "http_method": "POST", "headers": {}})
}

fn made(client: &Client, account: &NewAccount, body: &Value) -> (String, Value) {
    let created = client.post(&list(account), body).expect(201).json();
    (format!("/v1/destinations/{}", text(&created, "destination_id")), created)
}

#[test]
fn a_created_destination_is_where_location_says() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let body =
        json!({"url": "http://127.0.0.1:9/in?k=v", "http_method": "PUT", "headers": {"X-Env": "test", "X-B": "2"}});
    let answer = client.post(&list(&account), &body).expect(201);
    let created = answer.json();
    let id = text(&created, "destination_id");
    assert!(id.starts_with("dst_"), "{id}");
    assert_eq!(answer.header("location"), Some(format!("/v1/destinations/{id}").as_str()));
    let read = client.get(answer.header("location").unwrap()).expect(200).json();
    assert_eq!(read["account_id"], json!(account.id));
    for field in ["url", "http_method", "headers"] {
        assert_eq!(read[field], body[field], "{field}");
    }
    assert_eq!(
        (&read["state"], &read["paused_reason"], &read["paused_at"]),
        (&json!("active"), &Value::Null, &Value::Null)
    );
    assert!(text(&read, "created_at").parse::<jiff::Timestamp>().is_ok());
    assert_eq!(read["updated_at"], created["updated_at"]);
}

#[test]
fn every_fault_of_a_destination_comes_at_once() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let body = json!({"url": "ftp://x", "http_method": "HEAD", "headers": {"X A": "1", "Host": "x", "X-Ok": "1"}, "colour": 1});
    let faults = client.post(&list(&account), &body).faults();
    assert_eq!(faults, ["colour", "headers.Host", "headers.X A", "http_method", "url"]);
    assert_eq!(client.post(&list(&account), &json!({})).faults(), ["headers", "http_method", "url"]);
    let body = json!({"url": 1, "http_method": true, "headers": []});
    assert_eq!(client.post(&list(&account), &body).faults(), ["headers", "http_method", "url"]);
    let body = json!({"url": "http://127.0.0.1:9/", "http_method": "POST", "headers": {"X-A": 1, "X-B": null}});
    assert_eq!(client.post(&list(&account), &body).faults(), ["headers.X-A", "headers.X-B"]);
    assert_eq!(client.all(&list(&account)), Vec::<Value>::new());
}

#[test]
fn the_five_methods_are_taken_and_no_other() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let with = |method: &str| json!({"url": "http://127.0.0.1:9/", "http_method": method, "headers": {}});
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "get", "Post"] {
        let made = client.post(&list(&account), &with(method)).expect(201).json();
        assert_eq!(made["http_method"], method.to_uppercase());
    }
    for method in ["HEAD", "OPTIONS", "CONNECT", "TRACE", "", " POST", "POS", "GET\r\n"] {
        assert_eq!(client.post(&list(&account), &with(method)).faults(), ["http_method"], "{method:?}");
    }
}

#[test]
fn put_replaces_the_whole_destination() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let body = json!({"url": "http://127.0.0.1:9/a", "http_method": "POST", "headers": {"X-A": "1"}});
    let (path, created) = made(&client, &account, &body);
    let other = json!({"url": "http://127.0.0.1:9/b", "http_method": "GET", "headers": {"X-B": "2"}});
    let replaced = client.put(&path, &other).expect(200).json();
    for field in ["url", "http_method", "headers"] {
        assert_eq!(replaced[field], other[field], "{field}");
    }
    assert_eq!(replaced["created_at"], created["created_at"]);
    assert_eq!(client.get(&path).expect(200).json(), replaced);
    assert_eq!(client.put(&path, &json!({"url": "http://127.0.0.1:9/"})).faults(), ["headers", "http_method"]);
    client.put("/v1/destinations/dst_nobody", &other).problem(404);
}

#[test]
fn patch_merges_and_null_removes_a_header() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let body =
        json!({"url": "http://127.0.0.1:9/a", "http_method": "POST", "headers": {"X-A": "1", "X-B": "1", "X-C": "1"}});
    let (path, _) = made(&client, &account, &body);
    let merge = [("content-type", "application/merge-patch+json")];
    let patch = br#"{"headers": {"X-A": null, "X-B": "2", "X-D": "4", "X-None": null}}"#;
    let patched = client.send("PATCH", &path, &merge, Some(patch)).expect(200).json();
    assert_eq!(patched["headers"], json!({"X-B": "2", "X-C": "1", "X-D": "4"}));
    assert_eq!((&patched["url"], &patched["http_method"]), (&body["url"], &body["http_method"]));
    let patched = client.patch(&path, &json!({"http_method": "PUT"})).expect(200).json();
    assert_eq!((&patched["http_method"], &patched["url"]), (&json!("PUT"), &body["url"]));
    assert_eq!(client.patch(&path, &json!({})).expect(200).json()["headers"], patched["headers"]);
}

#[test]
fn a_header_is_patched_whatever_its_case() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let body = json!({"url": "http://127.0.0.1:9/a", "http_method": "POST", "headers": {"X-A": "1", "X-B": "1"}});
    let (path, _) = made(&client, &account, &body);
    let patched = client.patch(&path, &json!({"headers": {"x-a": "2", "x-b": null}})).expect(200).json();
    assert_eq!(patched["headers"], json!({"x-a": "2"}));
}

#[test]
fn a_patch_that_would_break_the_destination_changes_nothing() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let (path, _) = made(
        &client,
        &account,
        &json!({"url": "http://127.0.0.1:9/a", "http_method": "POST", "headers": {"X-A": "1"}}),
    );
    let before = client.get(&path).expect(200).json();
    let body =
        json!({"url": null, "http_method": "HEAD", "headers": {"webhook-id": "1", "X-B": "2"}, "state": "paused"});
    assert_eq!(client.patch(&path, &body).faults(), ["headers.webhook-id", "http_method", "state", "url"]);
    assert_eq!(client.patch(&path, &json!({"headers": null})).faults(), ["headers"]);
    client.send("PATCH", &path, &[("content-type", "text/plain")], Some(b"{}")).problem(415);
    assert_eq!(client.get(&path).expect(200).json(), before);
}

#[test]
fn pages_hold_every_destination_of_the_account_and_no_other() {
    let server = Setup::dev().start();
    let client = server.client();
    let (ada, bob) = (client.create_account("ada"), client.create_account("bob"));
    let ids = |account: &NewAccount, count: usize| -> Vec<String> {
        (0..count).map(|_| text(&made(&client, account, &plain("http://127.0.0.1:9/")).1, "destination_id")).collect()
    };
    let (of_ada, of_bob) = (ids(&ada, 5), ids(&bob, 2));
    for (account, expected) in [(&ada, of_ada), (&bob, of_bob)] {
        let listed = client.all(&format!("{}?limit=2", list(account)));
        assert_eq!(listed.iter().map(|item| text(item, "destination_id")).collect::<Vec<_>>(), expected);
    }
    client.get(&format!("{}?limit=0", list(&ada))).problem(400);
    client.post("/v1/accounts/acc_nobody/destinations", &plain("http://127.0.0.1:9/")).problem(404);
}

#[test]
fn an_account_has_at_most_1000_destinations() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let create = || client.post(&list(&account), &plain("http://127.0.0.1:9/")).status;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..126).map(|_| create()).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(201), count(409)), (1000, 8));
    let refused = client.post(&list(&account), &plain("http://127.0.0.1:9/"));
    assert_eq!(refused.problem(409)["code"], "too_many_destinations");
    let one = text(&client.all(&list(&account))[0], "destination_id");
    client.delete(&format!("/v1/destinations/{one}")).expect(204);
    client.post(&list(&account), &plain("http://127.0.0.1:9/")).expect(201);
}

#[test]
fn a_deleted_destination_is_gone_with_its_deliveries_and_gets_nothing_more() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/gone"), "POST", json!({}));
    client.create_destination(&account, &receiver.url("/kept"), "POST", json!({}));
    let accepted = client.push(&account, "1");
    receiver.wait_for("/gone", 1);
    let path = format!("/v1/destinations/{destination}");
    assert!(client.delete(&path).expect(204).body.is_empty());
    client.get(&path).problem(404);
    client.delete(&path).problem(404);
    assert_eq!(client.push(&account, "2")["deliveries"].as_array().unwrap().len(), 1);
    receiver.wait_for("/kept", 2);
    assert_eq!(receiver.requests_to("/gone").len(), 1);
    for delivery in accepted["deliveries"].as_array().unwrap() {
        let gone = delivery["destination_id"] == json!(destination);
        let id = text(delivery, "delivery_id");
        client.get(&format!("/v1/deliveries/{id}")).expect(if gone { 404 } else { 200 });
    }
    let event = client.get(&format!("/v1/events/{}", text(&accepted, "event_id"))).expect(200).json();
    assert_eq!(event["deliveries"].as_array().unwrap().len(), 1);
}

#[test]
fn pausing_and_resuming_answer_the_destination() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let (path, _) = made(&client, &account, &plain("http://127.0.0.1:9/"));
    let paused = client.send("POST", &format!("{path}/pause"), &[], None).expect(200).json();
    assert_eq!((&paused["state"], &paused["paused_reason"]), (&json!("paused"), &json!("manual")));
    assert!(text(&paused, "paused_at").parse::<jiff::Timestamp>().is_ok());
    let again = client.send("POST", &format!("{path}/pause"), &[], None).expect(200).json();
    assert_eq!(again["paused_at"], paused["paused_at"]);
    let resumed = client.send("POST", &format!("{path}/resume"), &[], None).expect(200).json();
    assert_eq!(
        (&resumed["state"], &resumed["paused_reason"], &resumed["paused_at"]),
        (&json!("active"), &Value::Null, &Value::Null)
    );
    client.send("POST", &format!("{path}/resume"), &[], None).expect(200);
    for action in ["pause", "resume", "test"] {
        client.send("POST", &format!("/v1/destinations/dst_nobody/{action}"), &[], None).problem(404);
    }
}

#[test]
fn unknown_and_malformed_ids_are_404() {
    let server = Setup::dev().start();
    let client = server.client();
    for id in ["dst_nobody", "a%20b", "%C3%A9", &"x".repeat(65)] {
        let path = format!("/v1/destinations/{id}");
        client.get(&path).problem(404);
        client.delete(&path).problem(404);
        client.put(&path, &plain("http://127.0.0.1:9/")).problem(404);
        client.get(&format!("{path}/signing-secret")).problem(404);
    }
}
