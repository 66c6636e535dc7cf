//! Tokens with a role: who may do what, to whom something exists, and when a token ends.

mod endings;
mod held_back;
mod making;
mod others;
mod places;
mod walk;

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Request;

use crate::harness::client::{NewAccount, text};
use crate::harness::{Client, DEADLINE, Receiver, Server, Setup};

/// The roles, in the order of what they may do.
pub const ROLES: [&str; 3] = ["viewer", "operator", "admin"];

/// What stands in a header of each destination. Only some may see it.
pub const SECRET: &str = "Bearer hidden-canary";

/// A server that asks for tokens.
pub struct World {
    pub server: Server,
    /// The holder of the admin token.
    pub owner: Client,
    pub receiver: Receiver,
    halves: AtomicUsize,
}

/// An account with one of each thing.
#[derive(Clone)]
pub struct Half {
    pub account: NewAccount,
    pub email: String,
    pub destination: String,
    pub event: String,
    /// It is pending, since the destination is paused.
    pub delivery: String,
    pub token: String,
}

/// A token that was just made.
#[derive(Clone)]
pub struct Token {
    pub id: String,
    pub text: String,
}

impl World {
    pub fn new() -> Self {
        let server = Setup::guarded().flags(&["--allow-network", "127.0.0.0/8", "--retry-schedule", "1h"]).start();
        let (owner, receiver) = (server.client(), Receiver::start());
        Self { server, owner, receiver, halves: AtomicUsize::new(0) }
    }

    /// Another account with one of each thing.
    pub fn half(&self) -> Half {
        let name = format!("half-{}", self.halves.fetch_add(1, Ordering::Relaxed));
        let account = self.owner.create_account(&name);
        let headers = json!({"Authorization": SECRET});
        let destination = self.owner.create_destination(&account, &self.receiver.url("/in"), "POST", headers);
        self.owner.send("POST", &format!("/v1/destinations/{destination}/pause"), &[], None).expect(200);
        let accepted = self.owner.push(&account, r#"{"a":1}"#);
        let token = self.token("viewer", Some(&account.id)).id;
        Half {
            email: format!("{name}@example.com"),
            destination,
            event: text(&accepted, "event_id"),
            delivery: text(&accepted["deliveries"][0], "delivery_id"),
            token,
            account,
        }
    }

    /// Makes a token with this role.
    #[track_caller]
    pub fn token(&self, role: &str, account: Option<&str>) -> Token {
        self.token_with(&json!({"name": "a token", "role": role, "account_id": account}))
    }

    /// Makes a token that ends after this long.
    #[track_caller]
    pub fn short_lived(&self, role: &str, life: Duration) -> Token {
        let end = jiff::Timestamp::now() + life;
        self.token_with(&json!({"name": "a short one", "role": role, "expires_at": end.to_string()}))
    }

    #[track_caller]
    fn token_with(&self, body: &Value) -> Token {
        let made = self.owner.post("/v1/tokens", body).expect(201).json();
        Token { id: text(&made, "token_id"), text: text(&made, "token") }
    }

    /// A client with this token.
    pub fn client(&self, token: &Token) -> Client {
        self.owner.with_admin_token(Some(&token.text))
    }

    /// A stream, read line by line, of somebody with this header.
    #[track_caller]
    pub fn follow(&self, name: &str, value: &str) -> Stream {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).build().into();
        let url = format!("http://{}/v1/deliveries/stream", self.server.address);
        let response = agent.run(Request::get(url).header(name, value).body(()).unwrap()).expect("a stream");
        let mut stream = Stream(Box::new(BufReader::new(response.into_body().into_reader())));
        assert_eq!(stream.line().as_deref(), Some("retry: 2000\n"));
        stream
    }
}

/// An open stream.
pub struct Stream(Box<dyn BufRead>);

impl Stream {
    /// The next line; `None` at the end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).expect("the stream goes on or ends well");
        (read > 0).then_some(line)
    }

    /// Reads to the end.
    pub fn ends(&mut self) {
        while self.line().is_some() {}
    }
}
