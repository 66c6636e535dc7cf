//! Requests whose body comes after their caller has lost its rights.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::endings::{by_session, log_in};
use super::{Half, World};
use crate::harness::{wait_until, wire};

/// A request that was let in, and whose body is still to come.
struct Held {
    stream: BufReader<TcpStream>,
    body: String,
}

impl World {
    /// Sends the head of a request. The server asks for the body (100) only after it has let the caller in.
    #[track_caller]
    fn held(&self, start: &str, caller: &str, media: &str, body: &str) -> Held {
        let (host, length) = (self.server.address, body.len());
        let head = format!(
            "{start} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{caller}\r\nContent-Type: {media}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        let mut stream = BufReader::new(wire::open(host, head.as_bytes()));
        let (first, _) = wire::read_head(&mut stream).expect("an answer to the head");
        assert!(first.starts_with("HTTP/1.1 100"), "{first}");
        Held { stream, body: body.to_owned() }
    }

    #[track_caller]
    fn held_json(&self, start: &str, caller: &str, body: &serde_json::Value) -> Held {
        self.held(start, caller, "application/json", &body.to_string())
    }

    /// Every kind of change with a body, by this caller.
    fn held_changes(&self, caller: &str, half: &Half) -> Vec<Held> {
        let account = format!("/v1/accounts/{}", half.account.id);
        let url = self.receiver.url("/new");
        vec![
            self.held_json("POST /v1/tokens", caller, &json!({"name": "evil", "role": "admin"})),
            self.held_json(&format!("PATCH {account}"), caller, &json!({"account_name": "evil"})),
            self.held_json(
                &format!("POST {account}/destinations"),
                caller,
                &json!({"url": url, "http_method": "POST", "headers": {}}),
            ),
            self.held_json(&format!("PATCH /v1/destinations/{}", half.destination), caller, &json!({"url": url})),
            self.held_json(&format!("POST /v1/deliveries/{}/retry", half.delivery), caller, &json!({})),
        ]
    }

    fn held_forms(&self, caller: &str, half: &Half) -> Vec<Held> {
        let account = format!("/accounts/{}", half.account.id);
        [
            ("/tokens".to_owned(), "name=evil&role=admin"),
            (account.clone(), "account_name=evil"),
            (format!("{account}/rotate-token"), "a=b"),
            (format!("{account}/delete"), "a=b"),
            (format!("/deliveries/{}/retry", half.delivery), "a=b"),
        ]
        .map(|(path, form)| self.held(&format!("POST {path}"), caller, "application/x-www-form-urlencoded", form))
        .into()
    }
}

impl Held {
    /// Sends the body. Returns the status and the body of the response.
    #[track_caller]
    fn go_on(mut self) -> (String, String) {
        self.stream.get_mut().write_all(self.body.as_bytes()).unwrap();
        let (first, fields) = wire::read_head(&mut self.stream).expect("an answer");
        let body = wire::read_body(&mut self.stream, &fields).expect("a whole answer");
        (first[9..12].to_owned(), String::from_utf8(body).unwrap())
    }

    #[track_caller]
    fn refused(self) {
        let (status, body) = self.go_on();
        assert!(status == "401" && !body.contains("dpt_"), "{status} {body}");
    }
}

fn all_refused(held: Vec<Held>) {
    held.into_iter().for_each(Held::refused);
}

#[test]
fn a_token_that_goes_on_may_send_its_body_late() {
    let world = World::new();
    let half = world.half();
    let token = world.token("admin", Some(&half.account.id));
    let cookie = log_in(&world, &token);
    for caller in [format!("Authorization: Bearer {}", token.text), format!("Cookie: {cookie}")] {
        let held = world.held_json("POST /v1/tokens", &caller, &json!({"name": "x", "role": "viewer"}));
        assert_eq!(held.go_on().0, "201");
    }
}

#[test]
fn a_revoked_token_changes_nothing_with_a_body_that_it_held_back() {
    let world = World::new();
    let half = world.half();
    let token = world.token("admin", None);
    let session = log_in(&world, &token);
    let mut held = world.held_changes(&format!("Authorization: Bearer {}", token.text), &half);
    held.extend(world.held_changes(&format!("Cookie: {session}"), &half));
    held.extend(world.held_forms(&format!("Cookie: {session}"), &half));
    let before = world.owner.get(&format!("/v1/accounts/{}", half.account.id)).expect(200).text();
    world.owner.delete(&format!("/v1/tokens/{}", token.id)).expect(204);
    all_refused(held);
    assert_eq!(world.owner.all("/v1/tokens").len(), 1, "that of the account");
    assert_eq!(world.owner.get(&format!("/v1/accounts/{}", half.account.id)).expect(200).text(), before);
    assert_eq!(world.owner.all(&format!("/v1/accounts/{}/destinations", half.account.id)).len(), 1);
}

#[test]
fn a_session_that_was_logged_out_of_changes_nothing_with_a_body_that_it_held_back() {
    let world = World::new();
    let half = world.half();
    let session = log_in(&world, &world.token("admin", None));
    let mut held = world.held_changes(&format!("Cookie: {session}"), &half);
    held.extend(world.held_forms(&format!("Cookie: {session}"), &half));
    by_session(&world.owner, &session, "POST", "/logout").expect(204);
    all_refused(held);
}

#[test]
fn the_end_of_a_token_and_of_its_account_counts_for_bodies_that_were_held_back() {
    let world = World::new();
    let half = world.half();
    let token = world.token("admin", Some(&half.account.id));
    let session = log_in(&world, &token);
    let bearer = format!("Authorization: Bearer {}", token.text);
    let mut held = world.held_changes(&bearer, &half);
    held.extend(world.held_forms(&format!("Cookie: {session}"), &half));
    world.owner.delete(&format!("/v1/accounts/{}", half.account.id)).expect(204);
    let again = json!({"account_id": half.account.id, "account_name": "new", "email": "new@example.com"});
    world.owner.post("/v1/accounts", &again).expect(201);
    all_refused(held);
    let half = world.half();
    let short = world.short_lived("admin", Duration::from_secs(4));
    let held = world.held_changes(&format!("Authorization: Bearer {}", short.text), &half);
    wait_until("it has expired", || (world.client(&short).get("/v1/accounts").status == 401).then_some(()));
    all_refused(held);
}
