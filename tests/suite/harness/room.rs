//! Runs a test with receivers over http, and again over https: both must behave in the same way.

use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::{Value, json};

use super::client::NewAccount;
use super::played::{Played, Scene};
use super::tls::Authority;
use super::{Client, Receiver, Server, Setup};

/// A server that trusts the receivers of the test.
pub struct Room {
    pub client: Client,
    pub account: NewAccount,
    pub server: Server,
    tls: Option<Arc<ServerConfig>>,
}

impl Room {
    /// Runs `test` over http, and then over https. Deliveries are tried once unless `flags` say otherwise.
    #[track_caller]
    pub fn both(flags: &[&str], test: impl Fn(&Self)) {
        for tls in [false, true] {
            let once: &[&str] = if flags.iter().any(|flag| flag.starts_with("--retry-schedule")) {
                &[]
            } else {
                &["--retry-schedule="]
            };
            let setup = Setup::dev().flags(once).flags(flags);
            let authority = Authority::new("room");
            let file = authority.file(setup.folder());
            let server = setup.flags(&["--ca-file", &file]).start();
            let tls = tls.then(|| authority.issue(&["127.0.0.1", "localhost"]).config());
            let client = server.client();
            test(&Self { account: client.create_account("ada"), client, server, tls });
        }
    }

    pub fn played(&self, play: impl Fn(&mut Scene) + Send + Sync + 'static) -> Played {
        Played::start(self.tls.clone(), play)
    }

    pub fn receiver(&self) -> Receiver {
        self.tls.clone().map_or_else(Receiver::start, Receiver::start_tls)
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[track_caller]
    pub fn destination(&self, url: &str) -> String {
        self.client.create_destination(&self.account, url, "POST", json!({}))
    }

    /// Sends an event and returns its delivery after the first attempt. The account must have one destination.
    #[track_caller]
    pub fn delivery(&self, body: &str) -> Value {
        let delivery = self.client.push_one(&self.account, body);
        self.client.wait_for_attempts(&delivery, 1)
    }

    /// The same with a destination that exists only for this delivery.
    #[track_caller]
    pub fn delivery_to(&self, url: &str, body: &str) -> Value {
        let destination = self.destination(url);
        let delivery = self.delivery(body);
        self.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
        delivery
    }
}

/// A JSON string of `bytes` characters.
pub fn large(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes))
}

/// The detail that people see of a delivery's only attempt.
#[track_caller]
pub fn detail(delivery: &Value) -> String {
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{delivery}");
    delivery["attempts"][0]["detail"].as_str().unwrap_or_default().to_owned()
}

/// Fails unless the delivery ended in this way, with one attempt.
#[track_caller]
pub fn ended(delivery: &Value, state: &str, status: impl Into<Value>, error: impl Into<Value>) {
    let attempt = &delivery["attempts"][0];
    let expected = (json!(state), status.into(), error.into());
    let found = (delivery["state"].clone(), attempt["status_code"].clone(), attempt["error"].clone());
    assert_eq!((found, delivery["attempt_count"].clone()), (expected, json!(1)), "{delivery}");
}
