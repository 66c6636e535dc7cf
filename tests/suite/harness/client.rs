//! A blocking client: any status is an answer, no redirect is followed, nothing is retried.

use std::net::SocketAddr;

use serde_json::{Value, json};
use ureq::http;

use super::wire::Fields;
use super::{DEADLINE, wait_until};

/// Path to which events are sent.
pub const INCOMING: &str = "/server/incoming_data";

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    /// Address of the server.
    pub address: SocketAddr,
    admin_token: Option<String>,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request, for failure messages.
    pub what: String,
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
}

/// An account with its token, which is shown only once.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub id: String,
    pub token: String,
}

impl Client {
    pub fn new(address: SocketAddr, admin_token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .allow_non_standard_methods(true)
            .max_idle_connections(0)
            .timeout_global(Some(DEADLINE))
            .build();
        Self { agent: config.new_agent(), address, admin_token }
    }

    /// The same client with another admin token, or none.
    pub fn with_admin_token(&self, token: Option<&str>) -> Self {
        Self { admin_token: token.map(str::to_owned), ..self.clone() }
    }

    /// Sends any request. The test fails if no answer comes.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends any request to a server that may have ended.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.admin_token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = match body {
            Some(body) => self.agent.run(request.body(body)?),
            None => self.agent.run(request.body(())?),
        }?;
        let (head, mut body) = response.into_parts();
        let fields = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Ok(Answer {
            what: format!("{method} {path}"),
            status: head.status.as_u16(),
            headers: Fields(fields.collect()),
            body: body.with_config().limit(64 << 20).read_to_vec()?,
        })
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body)
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.json("PUT", path, body)
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json("PATCH", path, body)
    }

    #[track_caller]
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], Some(body.to_string().as_bytes()))
    }

    /// Creates an account named `name`.
    #[track_caller]
    pub fn create_account(&self, name: &str) -> NewAccount {
        let account = self
            .post("/v1/accounts", &json!({"email": format!("{name}@example.com"), "account_name": name}))
            .expect(201)
            .json();
        NewAccount { id: text(&account, "account_id"), token: text(&account, "app_secret_token") }
    }

    /// Creates a destination and returns its id.
    #[track_caller]
    pub fn create_destination(&self, account: &NewAccount, url: &str, method: &str, headers: Value) -> String {
        let body = json!({"url": url, "http_method": method, "headers": headers});
        let path = format!("/v1/accounts/{}/destinations", account.id);
        text(&self.post(&path, &body).expect(201).json(), "destination_id")
    }

    /// Sends one event, with `headers` besides token and content type.
    #[track_caller]
    pub fn push_with(&self, token: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_push(token, headers, body).unwrap_or_else(|error| panic!("POST {INCOMING}: {error}"))
    }

    /// Sends one event to a server that may have ended.
    pub fn try_push(&self, token: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
        let mut all = vec![("cl-xtoken", token), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.with_admin_token(None).try_send("POST", INCOMING, &all, Some(body))
    }

    /// Sends one event, which must be accepted. Returns the answer.
    #[track_caller]
    pub fn push(&self, account: &NewAccount, body: impl AsRef<[u8]>) -> Value {
        self.push_with(&account.token, &[], body.as_ref()).expect(202).json()
    }

    /// Sends one event, which must be accepted and have one delivery. Returns the delivery's id.
    #[track_caller]
    pub fn push_one(&self, account: &NewAccount, body: impl AsRef<[u8]>) -> String {
        let accepted = self.push(account, body);
        let deliveries = accepted["deliveries"].as_array().expect("deliveries");
        assert_eq!(deliveries.len(), 1, "{accepted}");
        text(&deliveries[0], "delivery_id")
    }

    /// A delivery with its attempts.
    #[track_caller]
    pub fn delivery(&self, id: &str) -> Value {
        self.get(&format!("/v1/deliveries/{id}")).expect(200).json()
    }

    /// Waits until the delivery is in `state`.
    #[track_caller]
    pub fn wait_for_state(&self, id: &str, state: &str) -> Value {
        self.wait_for_delivery(id, &format!("it is {state}"), |delivery| delivery["state"] == state)
    }

    /// Waits until the delivery has had `count` attempts.
    #[track_caller]
    pub fn wait_for_attempts(&self, id: &str, count: u64) -> Value {
        self.wait_for_delivery(id, &format!("it has had {count} attempts"), |delivery| {
            delivery["attempt_count"].as_u64().is_some_and(|attempts| attempts >= count)
        })
    }

    #[track_caller]
    fn wait_for_delivery(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let end = std::time::Instant::now() + DEADLINE;
        loop {
            let delivery = self.delivery(id);
            if fits(&delivery) {
                return delivery;
            }
            assert!(std::time::Instant::now() < end, "gave up waiting for {id} until {what}; last {last}");
            last = delivery;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Waits until the destination is in `state`.
    #[track_caller]
    pub fn wait_for_destination(&self, id: &str, state: &str) -> Value {
        wait_until(&format!("destination {id} is {state}"), || {
            let destination = self.get(&format!("/v1/destinations/{id}")).expect(200).json();
            (destination["state"] == state).then_some(destination)
        })
    }

    /// All items of a list, from all its pages.
    #[track_caller]
    pub fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let next = cursor.map_or(path.to_owned(), |cursor| format!("{path}{join}cursor={cursor}"));
            let page = self.get(&next).expect(200).json();
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }
}

impl Answer {
    /// This answer if it has the expected status; otherwise the test fails and prints the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}: {}", self.what, self.status, self.text());
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The problem (RFC 9457) of an error answer, after checks of its form.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {}: {}", self.what, self.status, self.text());
        let media_type = self.header("content-type").unwrap_or_default();
        assert_eq!(media_type, "application/problem+json", "{} answered {}", self.what, self.text());
        let problem = self.json();
        assert_eq!(problem["status"], status, "{}: {problem}", self.what);
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{}: {field}: {problem}", self.what);
        }
        let code = problem["code"].as_str().unwrap_or_default();
        let snake = code.starts_with(|c: char| c.is_ascii_lowercase())
            && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(snake, "{}: code {code:?} is not snake_case", self.what);
        problem
    }

    /// The fields that a validation error names, sorted.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{}: no errors: {problem}", self.what));
        assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty())), "{problem}");
        let mut fields: Vec<String> = errors.iter().map(|error| text(error, "field")).collect();
        fields.sort();
        fields
    }
}

/// A text field of a JSON object.
#[track_caller]
pub fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {object}")).to_owned()
}
