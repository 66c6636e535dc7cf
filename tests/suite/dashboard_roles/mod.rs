//! Sessions of every role in the dashboard: what each may see and do, and that it learns nothing else. Here is what the
//! tests share: two accounts with the same things in them, and sessions.

mod canary;
mod endings;
mod offered;
mod tokens;
mod walk;

use serde_json::{Value, json};

use crate::harness::client::{NewAccount, text};
use crate::harness::{Answer, Behaviour, Client, Receiver, Reply, Server, Setup};
use crate::sessions::cookie;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Every browser says so of a form on a page of this server.
const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

/// What a session may do, in the order of the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Viewer,
    Operator,
    Admin,
}

const ROLES: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A browser that has logged in.
struct Session {
    client: Client,
    cookie: String,
    role: Role,
    /// Whether it sees only the account `own`.
    is_scoped: bool,
    /// For failure messages.
    name: String,
}

/// An account and one of each thing in it.
struct Place {
    account: NewAccount,
    /// A destination that is active. Its delivery is exhausted.
    active: String,
    /// A destination that is paused. Its delivery is pending.
    paused: String,
    event: String,
    exhausted: String,
    pending: String,
}

/// A server with two accounts.
struct House {
    client: Client,
    own: Place,
    foreign: Place,
    server: Server,
    #[expect(dead_code, reason = "listens as long as it is kept")]
    receiver: Receiver,
}

impl House {
    fn new() -> Self {
        let server = Setup::guarded().flags(&["--allow-network", "127.0.0.0/8"]).start();
        let (client, receiver) = (server.client(), Receiver::start());
        let [own, foreign] = ["own", "foreign"].map(|name| Place::new(&client, &receiver, name));
        Self { client, own, foreign, server, receiver }
    }

    /// A session with the admin token of the command line.
    fn owner(&self) -> Session {
        self.log_in(&self.server.admin_token().unwrap(), Role::Admin, false, "owner".to_owned())
    }

    /// A session with a token of this role, for all accounts or for `own` alone.
    fn session(&self, role: Role, is_scoped: bool) -> Session {
        let account = is_scoped.then_some(&self.own);
        let name = format!("{}{}", if is_scoped { "scoped " } else { "" }, role.word());
        self.log_in(&text(&self.token(role, account), "token"), role, is_scoped, name)
    }

    /// Sessions of all kinds.
    fn sessions(&self) -> Vec<Session> {
        let roles = ROLES.into_iter().flat_map(|role| [(role, false), (role, true)]);
        roles.map(|(role, is_scoped)| self.session(role, is_scoped)).chain([self.owner()]).collect()
    }

    /// A new token with a role.
    fn token(&self, role: Role, account: Option<&Place>) -> Value {
        let name = account.map_or("all", |place| place.account.id.as_str());
        let mut body = json!({"name": format!("{name} {}", role.word()), "role": role.word()});
        if let Some(place) = account {
            body["account_id"] = json!(place.account.id);
        }
        self.client.post("/v1/tokens", &body).expect(201).json()
    }

    #[track_caller]
    fn log_in(&self, token: &str, role: Role, is_scoped: bool, name: String) -> Session {
        let client = self.client.with_admin_token(None);
        let cookie = cookie(&client.post("/login", &json!({ "token": token })).expect(204));
        Session { client, cookie, role, is_scoped, name }
    }
}

impl Place {
    /// Every text of it holds `NAME-canary`, and so do the answers that its destinations give. Values of headers hold
    /// `NAME-secret`. Both documents hold `common`.
    fn new(client: &Client, receiver: &Receiver, name: &str) -> Self {
        let canary = format!("{name}-canary");
        let account = json!({
            "account_id": canary, "email": format!("{canary}@example.com"), "account_name": canary,
            "website": format!("https://{canary}.example.com/")
        });
        let account = client.post("/v1/accounts", &account).expect(201).json();
        let account = NewAccount { id: text(&account, "account_id"), token: text(&account, "app_secret_token") };
        let path = format!("/{canary}");
        receiver.on(&path, Behaviour::Answer(Reply::status(500).body(format!("{canary}-answer"))));
        let secret = format!("{name}-secret");
        let destination = |number: u8| {
            let body = json!({
                "url": receiver.url(&format!("{path}?number={number}")), "http_method": "POST", "retry_schedule": [],
                "headers": {"Authorization": secret, "X-Api-Key": secret, format!("X-{canary}"): canary},
                "event_types": [format!("{canary}.*")],
                "filter": format!("data.name != 'not {canary}'"),
                "body_template": format!("{{\"made\": \"{canary}\", \"name\": {{{{ data.name }}}}}}"),
                "header_templates": {"X-Token": secret, "X-Made": canary},
            });
            let made = client.post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201).json();
            text(&made, "destination_id")
        };
        let (active, paused) = (destination(1), destination(2));
        client.post(&format!("/v1/destinations/{paused}/pause"), &json!({})).expect(200);
        let document = json!({ "name": canary, "common": "common" }).to_string();
        let event_type = format!("{canary}.made");
        let sent = client.push_with(&account.token, &[("event-type", &event_type)], document.as_bytes());
        let sent = sent.expect(202).json();
        let delivery = |destination: &str| {
            let deliveries = sent["deliveries"].as_array().unwrap();
            let found = deliveries.iter().find(|one| one["destination_id"] == destination);
            text(found.expect("a delivery"), "delivery_id")
        };
        let (exhausted, pending) = (delivery(&active), delivery(&paused));
        client.wait_for_state(&exhausted, "exhausted");
        Self { account, active, paused, event: text(&sent, "event_id"), exhausted, pending }
    }
}

impl Session {
    /// Asks for a page.
    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.client.send("GET", path, &[("cookie", &self.cookie), ("accept", "text/html")], None)
    }

    /// Sends a form.
    #[track_caller]
    fn post(&self, path: &str, form: &str) -> Answer {
        let lines = [("cookie", self.cookie.as_str()), ("accept", "text/html"), FORM, SAME_ORIGIN];
        self.client.send("POST", path, &lines, Some(form.as_bytes()))
    }
}

/// The values of an attribute in a page.
fn attributes(page: &str, name: &str) -> Vec<String> {
    let begin = format!(" {name}=\"");
    let values = page.split(&begin).skip(1).filter_map(|rest| rest.split_once('"'));
    values.map(|(value, _)| value.replace("&#38;", "&").replace("&amp;", "&")).collect()
}
