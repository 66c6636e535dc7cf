//! The server with everything in it that can be secret, each with a canary.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::client::{NewAccount, text};
use crate::harness::server::run_binary;
use crate::harness::{Behaviour, Client, Receiver, Reply, Server, Setup, wait_until};
use crate::sessions::cookie;

use super::seen::{Canary, Seen, plain_part};

/// A server that has done all that it does, its clients, and what is secret.
pub struct Scene {
    pub server: Server,
    pub admin: Client,
    /// Has no token.
    pub stranger: Client,
    /// Have tokens with roles that show no secrets: the role, the client, and a browser's session.
    pub readers: Vec<(&'static str, Client, String)>,
    /// One of their tokens.
    pub token_id: String,
    /// A token to be revoked.
    pub spare_token_id: String,
    /// A browser's session, as its cookie.
    pub session: String,
    /// Another, to log out of.
    pub second_session: String,
    pub account: NewAccount,
    /// To be deleted.
    pub spare_account: NewAccount,
    pub destination: String,
    /// To be deleted.
    pub spare_destination: String,
    pub event: String,
    pub delivery: String,
    pub canaries: Vec<Canary>,
    receiver: Receiver,
    streams: Vec<(&'static str, Arc<Mutex<Vec<u8>>>)>,
}

impl Scene {
    pub fn play() -> Self {
        let receiver = Receiver::start();
        let setup = Setup::guarded()
            .flags(&["--allow-network", "127.0.0.0/8", "--retry-schedule", "50ms", "--notify-account", "ops"])
            .variable("RUST_BACKTRACE", "full")
            // More specific directives have priority.
            .variable("RUST_LOG", "trace,ureq=trace,ureq_proto::util=trace,rustls=trace,hyper::proto=trace");
        let panics = setup.folder().join("panics");
        std::fs::create_dir(&panics).unwrap();
        let setup = setup.variable("DATA_PUSHER_TEST_PANICS", &panics.display().to_string());
        let server = setup.start();
        let admin = server.client();
        let stranger = admin.with_admin_token(None);
        let mut canaries = Vec::new();
        let mut plant = |what, text: String| canaries.push(Canary { what, text });

        let admin_token = server.admin_token().unwrap();
        let code = |link: &str| plain_part(link.split_once('#').unwrap().1);
        let database = server.setup().database_path().display().to_string();
        let asked = run_binary(&["login-link", "--database", &database]).stdout.trim().to_owned();
        plant("the login code that the start printed", code(&server.login_link()));
        plant("another login code", code(&asked));
        let redeem = |body: serde_json::Value| cookie(&stranger.post("/login", &body).expect(204));
        let session = redeem(json!({"code": asked.split_once('#').unwrap().1}));
        let second_session = redeem(json!({"token": admin_token}));
        for session in [&session, &second_session] {
            plant("a session", plain_part(session.split_once('=').unwrap().1));
        }
        plant("the admin token", plain_part(&admin_token));
        plant("something wrong in place of a token", "canary-wrong".to_owned());

        admin
            .post("/v1/accounts", &json!({"email": "ops@example.com", "account_name": "Ops", "account_id": "ops"}))
            .expect(201);
        let to_ops = json!({
            "url": receiver.url("/ops"), "http_method": "POST", "headers": {"Authorization": "Bearer canary-of-ops"},
        });
        admin.post("/v1/accounts/ops/destinations", &to_ops).expect(201);
        let mut account = admin.create_account("orders");
        let settings = json!({
            "url": receiver.url("/in?key=canary-query"),
            "http_method": "POST",
            "headers": {"Authorization": "Bearer canary-header", "X-Api-Key": "canary-header"},
            "header_templates": {"X-Token": "canary-template-{{ data.a }}"},
        });
        let path = format!("/v1/accounts/{}/destinations", account.id);
        let destination = text(&admin.post(&path, &settings).expect(201).json(), "destination_id");
        plant("the value of a header", "canary-header".to_owned());
        plant("the template of a header", "canary-template".to_owned());
        plant("the query of a URL", "canary-query".to_owned());
        plant("a document", "canary-document".to_owned());

        let secrets = format!("/v1/destinations/{destination}");
        let secret = |client: &Client| {
            let answer = client.get(&format!("{secrets}/signing-secret")).expect(200).json();
            plain_part(&text(&answer, "signing_secret")["whsec_".len()..])
        };
        plant("a signing secret before its rotation", secret(&admin));
        admin.post(&format!("{secrets}/rotate-signing-secret"), &json!({})).expect(200);
        plant("a signing secret", secret(&admin));

        plant("a token of an account", plain_part(&account.token));
        let rotated = admin
            .post(&format!("/v1/accounts/{}/rotate-token", account.id), &json!({"grace_seconds": 3_600}))
            .expect(200)
            .json();
        account.token = text(&rotated, "app_secret_token");
        plant("a token of an account", plain_part(&account.token));

        let mut readers = Vec::new();
        let mut token_id = String::new();
        for (what, role, of_one) in [("a viewer", "viewer", true), ("an operator", "operator", false)] {
            let mut wanted = json!({"name": what, "role": role});
            if of_one {
                wanted["account_id"] = json!(account.id);
            }
            let made = admin.post("/v1/tokens", &wanted).expect(201).json();
            let token = text(&made, "token");
            token_id = text(&made, "token_id");
            plant("a token with a role", plain_part(&token));
            let session = redeem(json!({"token": token}));
            plant("a session", plain_part(session.split_once('=').unwrap().1));
            readers.push((what, admin.with_admin_token(Some(&token)), session));
        }

        let made = admin.post("/v1/tokens", &json!({"name": "spare", "role": "viewer"})).expect(201).json();
        plant("a token with a role", plain_part(&text(&made, "token")));
        let spare_token_id = text(&made, "token_id");
        let spare_account = admin.create_account("spare");
        let spare_destination =
            admin.create_destination(&spare_account, &receiver.url("/spare"), "POST", json!({"X-A": "a"}));
        let mut scene = Self {
            server,
            admin,
            stranger,
            readers,
            token_id,
            spare_token_id,
            session,
            second_session,
            account,
            spare_account,
            destination,
            spare_destination,
            event: String::new(),
            delivery: String::new(),
            canaries,
            receiver,
            streams: Vec::new(),
        };
        scene.follow();
        scene.send();
        scene
    }

    /// Opens both streams.
    fn follow(&mut self) {
        let authorization = format!("authorization: Bearer {}", self.server.admin_token().unwrap());
        let cookie = format!("cookie: {}", self.session);
        for (path, line) in [("/v1/deliveries/stream", authorization), ("/live", cookie)] {
            let mut stream = TcpStream::connect(self.server.address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n{line}\r\n\r\n", self.server.address).unwrap();
            let all = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&all);
            std::thread::spawn(move || {
                let mut bytes = [0; 4_096];
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    kept.lock().unwrap().extend_from_slice(&bytes[..read]);
                }
            });
            let begun = || all.lock().unwrap().starts_with(b"HTTP/1.1 200").then_some(());
            wait_until(&format!("{path} begins"), begun);
            self.streams.push((path, all));
        }
    }

    /// Sends an event whose delivery panics once, fails and is exhausted, which is told; then pauses and resumes.
    fn send(&mut self) {
        self.receiver.on("/in", Behaviour::Answer(Reply::status(500).body("an answer")));
        // The levels of the log are changed and changed back.
        self.server.signal(libc::SIGUSR1);
        std::fs::write(self.server.setup().folder().join("panics/attempt"), "").unwrap();
        let headers = [("event-type", "order.paid"), ("idempotency-key", "order-1042")];
        let accepted =
            self.admin.push_with(&self.account.token, &headers, b"{\"a\":\"canary-document\"}").expect(202).json();
        self.event = text(&accepted, "event_id");
        self.delivery = text(&accepted["deliveries"][0], "delivery_id");
        self.admin.wait_for_state(&self.delivery, "exhausted");
        self.server.signal(libc::SIGUSR2);
        // A pause that ends at once is not told.
        let told = |count| {
            wait_until("a notice has come", || (self.receiver.requests_to("/ops").len() >= count).then_some(()))
        };
        told(1);
        for (step, count) in [("pause", 2), ("resume", 3)] {
            self.admin.post(&format!("/v1/destinations/{}/{step}", self.destination), &json!({})).expect(200);
            told(count);
        }
        let id = self.delivery.clone();
        let all = Arc::clone(&self.streams[0].1);
        wait_until("the stream has the delivery", || {
            String::from_utf8_lossy(&all.lock().unwrap()).contains(&id).then_some(())
        });
    }

    /// Ends the server by a panic of a thread that others need, and keeps what it said until then.
    pub fn end(&mut self, seen: &mut Seen) {
        std::fs::write(self.server.setup().folder().join("panics/scheduler"), "").unwrap();
        // It wakes for whatever comes.
        let _ = self.admin.try_push(&self.account.token, &[], b"{\"a\":\"canary-document\"}");
        assert_eq!(self.server.wait(), Some(101), "it ends by a panic");
        let log = self.server.log.to_end();
        assert_eq!(log.matches("a test asks for a panic here").count(), 2, "{log}");
        seen.add("log", log);
        for (path, all) in &self.streams {
            seen.add(format!("GET {path}"), &*all.lock().unwrap());
        }
        for request in self.receiver.requests_to("/ops") {
            // The destination's own headers are what it was given.
            seen.add("notices", &request.body);
        }
        assert!(!seen.with("destination.paused").is_empty(), "the notices were kept");
    }
}
