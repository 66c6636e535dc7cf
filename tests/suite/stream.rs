//! The stream of deliveries: server-sent events for every change.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};
use ureq::http::Request;

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, DEADLINE, Gate, Receiver, Reply, Server, Setup};
use crate::sessions::cookie;

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    server: Server,
}

/// An open stream, after its first block.
struct Stream(Box<dyn BufRead>);

impl Case {
    fn new() -> Self {
        let server = Setup::dev().flags(&["--retry-schedule", "1h"]).start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        Self { client, receiver, account, server }
    }

    fn destination(&self, path: &str) -> String {
        self.client.create_destination(&self.account, &self.receiver.url(path), "POST", json!({}))
    }

    fn follow(&self, query: &str) -> Stream {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).build().into();
        let url = format!("http://{}/v1/deliveries/stream{query}", self.server.address);
        let response = agent.run(Request::get(url).body(()).unwrap()).expect("a stream");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let mut stream = Stream(Box::new(BufReader::new(response.into_body().into_reader())));
        assert_eq!(stream.block(), Some(vec!["retry: 2000".to_owned()]));
        stream
    }
}

impl Stream {
    /// The lines up to the next empty one; `None` at the end.
    fn block(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("the stream goes on or ends well") == 0 {
                return None;
            }
            match line.trim_end_matches('\n') {
                "" => return Some(lines),
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The next delivery.
    fn delivery(&mut self) -> Option<Value> {
        loop {
            let block = self.block()?;
            match block.as_slice() {
                // A comment that keeps the connection alive.
                [comment] if comment.starts_with(':') => {}
                [event, data] => {
                    assert_eq!(event, "event: delivery");
                    return Some(serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next delivery that has this id and is in this state.
    fn until(&mut self, id: &str, state: &str) -> Value {
        loop {
            let delivery = self.delivery().expect("the stream goes on");
            if delivery["delivery_id"] == id && delivery["state"] == state {
                return delivery;
            }
        }
    }
}

#[test]
fn a_delivery_is_seen_when_it_is_made_and_when_it_has_arrived() {
    let case = Case::new();
    let gate = Gate::default();
    case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    case.destination("/in");
    let mut stream = case.follow("");
    let id = case.client.push_one(&case.account, "{}");
    assert_eq!(stream.until(&id, "pending")["attempt_count"], 0);
    gate.open();
    let seen = stream.until(&id, "succeeded");
    let mut listed = case.client.delivery(&id);
    for only_here in ["attempts", "manual_actions"] {
        listed.as_object_mut().unwrap().remove(only_here);
    }
    assert_eq!(seen, listed);
}

#[test]
fn what_people_do_by_hand_is_seen() {
    let case = Case::new();
    case.receiver.on("/in", Behaviour::status(500));
    case.destination("/in");
    let mut stream = case.follow("");
    let id = case.client.push_one(&case.account, "{}");
    case.client.wait_for_attempts(&id, 1);
    case.client.send("POST", &format!("/v1/deliveries/{id}/cancel"), &[], None).expect(202);
    assert_eq!(stream.until(&id, "cancelled")["attempt_count"], 1);
    case.receiver.on("/in", Behaviour::status(204));
    case.client.send("POST", &format!("/v1/deliveries/{id}/retry"), &[], None).expect(202);
    assert_eq!(stream.until(&id, "succeeded")["attempt_count"], 2);
}

#[test]
fn filters_hold_also_for_a_destination_that_is_made_later() {
    let case = Case::new();
    let first = case.destination("/first");
    let other = case.client.create_account("bob");
    case.client.create_destination(&other, &case.receiver.url("/other"), "POST", json!({}));
    let mut of_account = case.follow(&format!("?account_id={}&state=succeeded", case.account.id));
    let mut of_destination = case.follow(&format!("?destination_id={first}"));
    let second = case.destination("/second");
    case.client.push(&other, "1");
    case.receiver.wait_for("/other", 1);
    case.client.push(&case.account, "2");
    let mut seen: Vec<String> =
        (0..2).map(|_| text(&of_account.delivery().expect("one of two"), "destination_id")).collect();
    seen.sort();
    let mut both = vec![first.clone(), second];
    both.sort();
    assert_eq!(seen, both);
    assert_eq!(of_destination.delivery().expect("its own")["destination_id"], first.as_str());
}

#[test]
fn an_account_that_does_not_exist_cannot_be_followed() {
    let case = Case::new();
    case.client.get("/v1/deliveries/stream?account_id=nobody").problem(404);
    case.client.get("/v1/deliveries/stream?destination_id=dst_nothing").problem(404);
    case.client.get("/v1/deliveries/stream?status=pending").problem(400);
    case.client.get("/v1/deliveries/stream?state=done").problem(400);
}

#[test]
fn more_streams_than_there_may_be_are_refused_until_one_is_closed() {
    let case = Case::new();
    let mut streams: Vec<Stream> = (0..64).map(|_| case.follow("")).collect();
    let refused = case.client.get("/v1/deliveries/stream").problem(503);
    assert_eq!(refused["code"], "too_many_streams");
    streams.pop();
    // The server notices that a client has gone only when it next writes to that client.
    case.destination("/in");
    crate::harness::wait_until("a place is free", || {
        case.client.push(&case.account, "1");
        let url = format!("http://{}/v1/deliveries/stream", case.server.address);
        ureq::get(&url).call().ok()
    });
}

#[test]
fn an_open_stream_ends_with_the_server_and_does_not_hold_it_up() {
    let mut case = Case::new();
    let mut stream = case.follow("");
    case.server.terminate();
    assert!(stream.delivery().is_none());
}

#[test]
fn a_stream_ends_with_what_it_is_of_and_gives_its_place_back() {
    let case = Case::new();
    let destination = case.destination("/in");
    let other = case.client.create_account("bob");
    let mut of_account = case.follow(&format!("?account_id={}", other.id));
    let mut of_destination = case.follow(&format!("?destination_id={destination}"));
    case.client.delete(&format!("/v1/accounts/{}", other.id)).expect(204);
    assert_eq!(of_account.block(), None);
    case.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
    assert_eq!(of_destination.block(), None);
    // All 64 places are free again.
    let _all: Vec<Stream> = (0..64).map(|_| case.follow("")).collect();
}

#[test]
fn a_stream_ends_with_the_session_that_opened_it() {
    let server = Setup::guarded().start();
    let client = server.client();
    let token = server.admin_token().unwrap();
    let session = cookie(&client.with_admin_token(None).post("/login", &json!({"token": token})).expect(204));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).build().into();
    let follow = |name: &str, value: &str| {
        let url = format!("http://{}/v1/deliveries/stream", server.address);
        let response = agent.run(Request::get(url).header(name, value).body(()).unwrap()).expect("a stream");
        let mut stream = Stream(Box::new(BufReader::new(response.into_body().into_reader())));
        assert_eq!(stream.block(), Some(vec!["retry: 2000".to_owned()]));
        stream
    };
    let mut by_session = follow("cookie", &session);
    let mut by_token = follow("authorization", &format!("Bearer {token}"));
    let left = client.with_admin_token(None).send("POST", "/logout", &[("cookie", &session)], None);
    assert!(left.status < 300, "{left:?}");
    assert_eq!(by_session.block(), None);
    let account = client.create_account("ada");
    client.create_destination(&account, "https://example.com/", "POST", json!({}));
    client.push(&account, "{}");
    assert!(by_token.delivery().is_some(), "it goes on");
}
