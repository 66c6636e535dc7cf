//! The checks of the data handler and their order: a request with several faults gets the answer to the first.

use serde_json::json;

use crate::harness::client::{INCOMING, NewAccount, text};
use crate::harness::wire;
use crate::harness::{Answer, Client, Gate, Receiver, Server, Setup};
use crate::harness::{Behaviour, Reply};

const JSON: (&str, &str) = ("content-type", "application/json");
/// Limit of a body in this file. Small, so that a body over the limit still fits into the buffers of a connection that
/// is not drained.
const MAX_BODY_BYTES: usize = 1_000;

struct Case {
    client: Client,
    account: NewAccount,
    server: Server,
}

impl Case {
    fn new() -> Self {
        let server = Setup::dev().flags(&["--max-body", &MAX_BODY_BYTES.to_string()]).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, server }
    }

    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.client.send("POST", INCOMING, headers, Some(body))
    }

    fn events(&self) -> usize {
        self.client.all(&format!("/v1/accounts/{}/events", self.account.id)).len()
    }
}

#[track_caller]
fn titled(answer: &Answer, status: u16, title: &str) {
    assert_eq!(answer.problem(status)["title"], title, "{}", answer.text());
}

#[test]
fn any_method_but_post_is_405_before_everything_else() {
    let case = Case::new();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        // No token, no content type, and a body that is too long and no JSON.
        for body in [None, Some(vec![b'x'; 2 * MAX_BODY_BYTES])] {
            let answer = case.client.send(method, INCOMING, &[], body.as_deref());
            titled(&answer, 405, "Invalid Data");
            assert_eq!(answer.header("allow"), Some("POST"), "{method}");
        }
    }
    let head =
        wire::send(case.server.address, format!("HEAD {INCOMING} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
    let head = head.expect("an answer").expect(405);
    assert_eq!(head.header("allow"), Some("POST"));
}

#[test]
fn no_token_is_401_before_content_type_size_and_form() {
    let case = Case::new();
    for headers in [
        vec![],
        vec![("content-type", "text/plain")],
        vec![JSON],
        vec![("cl-xtoken", "")],
        vec![("cl-xtoken", "no"), JSON],
    ] {
        for body in [b"{".to_vec(), vec![b'x'; 2 * MAX_BODY_BYTES]] {
            let answer = case.post(&headers, &body);
            titled(&answer, 401, "Un Authenticate");
            assert!(answer.header("www-authenticate").is_some_and(|value| !value.is_empty()), "{:?}", answer.headers);
        }
    }
}

#[test]
fn the_alias_of_the_token_header_works_in_any_case() {
    let case = Case::new();
    let token = case.account.token.as_str();
    for name in ["CL-XTOKEN", "CL-X-TOKEN", "cl-x-token", "Cl-XToken"] {
        let head = format!(
            "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\n{name}: {token}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        wire::send(case.server.address, head.as_bytes()).expect("an answer").expect(202);
    }
    case.post(&[("cl-xtoken", token), ("cl-x-token", token), JSON], b"{}").expect(202);
    assert_eq!(case.events(), 5);
}

#[test]
fn two_token_headers_that_differ_are_401() {
    let case = Case::new();
    let other = case.client.create_account("bob").token;
    let (token, other) = (case.account.token.as_str(), other.as_str());
    for pair in [
        [("cl-xtoken", token), ("cl-x-token", other)],
        [("cl-xtoken", other), ("cl-x-token", token)],
        [("cl-xtoken", token), ("cl-xtoken", other)],
        [("cl-x-token", token), ("cl-x-token", other)],
        [("cl-xtoken", token), ("cl-x-token", "")],
        [("cl-xtoken", token), ("cl-xtoken", "nonsense")],
    ] {
        titled(&case.post(&[pair[0], pair[1], JSON], b"{}"), 401, "Un Authenticate");
    }
    assert_eq!(case.events(), 0);
}

#[test]
fn a_content_type_that_is_not_json_is_415_before_size_and_form() {
    let case = Case::new();
    let token = ("cl-xtoken", case.account.token.as_str());
    for media_type in [
        "text/plain",
        "text/json",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
        "application/json5",
        "application/x-ndjson",
        "json",
        "",
        "application/json; charset=latin1",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=latin1",
        "application/json; profile=\"a;b\"; charset=latin1",
        "application/vnd.x+xml",
        "image/svg+json",
    ] {
        for body in [b"{".to_vec(), vec![b'x'; 2 * MAX_BODY_BYTES]] {
            titled(&case.post(&[token, ("content-type", media_type)], &body), 415, "Invalid Data");
        }
    }
    titled(&case.post(&[token], b"{}"), 415, "Invalid Data");
    for encoding in ["gzip", "br", "deflate", "gzip, identity"] {
        titled(&case.post(&[token, JSON, ("content-encoding", encoding)], b"{}"), 415, "Invalid Data");
    }
    assert_eq!(case.events(), 0);
}

#[test]
fn every_way_to_say_json_is_taken() {
    let case = Case::new();
    let token = ("cl-xtoken", case.account.token.as_str());
    for media_type in [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "application/cloudevents+json",
        "application/vnd.api+json; charset=utf-8",
        "application/problem+json",
        "application/json; version=1",
        "application/json; charset=utf8",
        "application/json; charset=us-ascii",
        "application/json; charset=ascii",
        "application/json; profile=\"a;charset=latin1\"; charset=\"utf-8\"",
    ] {
        case.post(&[token, ("content-type", media_type)], b"{}").expect(202);
    }
}

#[test]
fn a_body_over_the_limit_is_413_before_its_form_matters() {
    let case = Case::new();
    let token = ("cl-xtoken", case.account.token.as_str());
    let key = ("idempotency-key", "k");
    case.post(&[token, JSON, key], b"{}").expect(202);
    titled(&case.post(&[token, JSON, key], &vec![b'x'; MAX_BODY_BYTES + 1]), 413, "Payload Too Large");
    assert_eq!(case.events(), 1);
}

#[test]
fn a_broken_document_is_400_before_its_idempotency_key_matters() {
    let case = Case::new();
    let token = ("cl-xtoken", case.account.token.as_str());
    let key = ("idempotency-key", "k");
    case.post(&[token, JSON, key], b"{}").expect(202);
    titled(&case.post(&[token, JSON, key], b"{"), 400, "Invalid Data");
    titled(&case.post(&[token, JSON, key], b"[]"), 422, "Idempotency Key Reused");
}

#[test]
fn what_is_taken_is_answered_with_its_ids() {
    let (case, receiver) = (Case::new(), Receiver::start());
    let destinations =
        ["/a", "/b"].map(|path| case.client.create_destination(&case.account, &receiver.url(path), "POST", json!({})));
    let accepted = case.client.push(&case.account, "{}");
    assert!(text(&accepted, "event_id").starts_with("evt_"));
    assert_eq!((&accepted["account_id"], &accepted["duplicate"]), (&json!(case.account.id), &json!(false)));
    assert!(text(&accepted, "received_at").parse::<jiff::Timestamp>().is_ok());
    let deliveries = accepted["deliveries"].as_array().unwrap();
    let to: Vec<String> = deliveries.iter().map(|delivery| text(delivery, "destination_id")).collect();
    assert_eq!(to, destinations);
    for delivery in deliveries {
        assert!(text(delivery, "delivery_id").starts_with("dlv_"));
        assert_eq!((&delivery["state"], &delivery["event_id"]), (&json!("pending"), &accepted["event_id"]));
        assert_eq!((&delivery["account_id"], &delivery["attempt_count"]), (&json!(case.account.id), &json!(0)));
    }
}

#[test]
fn an_event_goes_to_the_destinations_that_there_are_when_it_comes() {
    let (case, receiver) = (Case::new(), Receiver::start());
    let came = |number: u32| {
        let accepted = case.client.push_with(&case.account.token, &[("prefer", "wait=30")], b"{}").expect(200).json();
        let states: Vec<_> = accepted["deliveries"].as_array().unwrap().iter().map(|d| text(d, "state")).collect();
        assert_eq!(case.events(), number as usize);
        states
    };
    assert!(came(1).is_empty());
    let [first, second] =
        ["/a", "/b"].map(|path| case.client.create_destination(&case.account, &receiver.url(path), "POST", json!({})));
    assert_eq!(came(2), ["succeeded", "succeeded"]);
    case.client.post(&format!("/v1/destinations/{first}/pause"), &json!({})).expect(200);
    assert_eq!(came(3), ["pending", "succeeded"]);
    case.client.delete(&format!("/v1/destinations/{second}")).expect(204);
    assert_eq!(came(4), ["pending"]);
    case.client.post(&format!("/v1/destinations/{first}/resume"), &json!({})).expect(200);
    assert_eq!(came(5), ["succeeded"]);
    case.client.patch(&format!("/v1/accounts/{}", case.account.id), &json!({"account_name": "other"})).expect(200);
    assert_eq!(came(6), ["succeeded"]);
    case.client.delete(&format!("/v1/accounts/{}", case.account.id)).expect(204);
    case.client.push_with(&case.account.token, &[], b"{}").expect(401);
}

#[test]
fn an_account_without_destinations_still_keeps_what_it_is_sent() {
    let case = Case::new();
    let accepted = case.client.push(&case.account, "[ 1]");
    assert_eq!(accepted["deliveries"], json!([]));
    let event = case.client.get(&format!("/v1/events/{}", text(&accepted, "event_id"))).expect(200);
    assert!(event.text().contains("[ 1]"), "{}", event.text());
}

#[test]
fn prefer_wait_answers_after_the_first_attempt_whatever_came_of_it() {
    let (case, receiver) = (Case::new(), Receiver::start());
    case.client.create_destination(&case.account, &receiver.url("/good"), "POST", json!({}));
    case.client.create_destination(&case.account, &receiver.url("/bad"), "POST", json!({}));
    receiver.on("/bad", Behaviour::status(500));
    let answer = case.client.push_with(&case.account.token, &[("prefer", "wait=20")], b"{}").expect(200);
    assert_eq!(answer.header("preference-applied"), Some("wait=20"));
    let accepted = answer.json();
    let states: Vec<_> =
        accepted["deliveries"].as_array().unwrap().iter().map(|d| (&d["state"], &d["attempt_count"])).collect();
    assert_eq!(states, [(&json!("succeeded"), &json!(1)), (&json!("pending"), &json!(1))]);
}

#[test]
fn prefer_wait_is_202_when_the_time_passes_first() {
    let (case, receiver, gate) = (Case::new(), Receiver::start(), Gate::default());
    case.client.create_destination(&case.account, &receiver.url("/slow"), "POST", json!({}));
    receiver.on("/slow", Behaviour::Hold(gate.clone(), Reply::status(200)));
    let answer = case.client.push_with(&case.account.token, &[("prefer", "respond-async, wait=1")], b"{}").expect(202);
    assert_eq!(answer.json()["deliveries"][0]["state"], "pending");
    gate.open();
    case.client.wait_for_state(&text(&answer.json()["deliveries"][0], "delivery_id"), "succeeded");
}

#[test]
fn prefer_wait_waits_for_no_paused_destination() {
    let (case, receiver) = (Case::new(), Receiver::start());
    // A paused destination that was waited for would keep the answer for the full 30 s, and the status would be 202.
    let paused = case.client.create_destination(&case.account, &receiver.url("/paused"), "POST", json!({}));
    case.client.post(&format!("/v1/destinations/{paused}/pause"), &json!({})).expect(200);
    case.client.push_with(&case.account.token, &[("prefer", "wait=30")], b"1").expect(200);
    case.client.create_destination(&case.account, &receiver.url("/active"), "POST", json!({}));
    let accepted = case.client.push_with(&case.account.token, &[("prefer", "wait=30")], b"2").expect(200).json();
    let states: Vec<_> = accepted["deliveries"].as_array().unwrap().iter().map(|d| &d["state"]).collect();
    assert_eq!(states, [&json!("pending"), &json!("succeeded")]);
    assert_eq!(receiver.requests_to("/paused").len(), 0);
}

#[test]
fn a_preference_that_makes_no_sense_is_ignored() {
    let case = Case::new();
    for prefer in ["wait", "wait=", "wait=x", "wait=-1", "handling=strict", "respond-async", ",,", "wait=1.5"] {
        let answer = case.client.push_with(&case.account.token, &[("prefer", prefer)], b"{}").expect(202);
        assert_eq!(answer.header("preference-applied"), None, "{prefer}");
    }
    let answer = case.client.push_with(&case.account.token, &[("prefer", "wait=100000")], b"{}").expect(200);
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
}

#[test]
fn query_parameters_are_refused_and_say_how_to_wait() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    for (query, hint) in [("wait=5", "Prefer: wait=5"), ("a=secret", "it has none")] {
        let path = format!("/server/incoming_data?{query}");
        let headers = [("cl-xtoken", account.token.as_str()), JSON];
        let refused = client.send("POST", &path, &headers, Some(b"{}"));
        let problem = refused.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(hint) && problem["title"] == "Invalid Data", "{problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    client.push(&account, "{}");
}
