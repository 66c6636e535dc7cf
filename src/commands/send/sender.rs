//! Sends one document until its fate is known, and reads what the server answers.

use std::time::{Duration, Instant};

use poem::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::run::{End, Pending, Run};
use crate::commands::redirect::location;
use crate::delivery::{HttpClient, HttpRequest, HttpResponse, clock};
use crate::domain::duration;
use crate::domain::event_type::EventType;
use crate::domain::retry;
use crate::domain::secret::AppToken;
use crate::process::harmless::harmless;

/// Most bytes of an answer: the receipt of 1,000 deliveries has 400 KB.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Tries of one document that the server answers with an error of its own.
const MAX_SERVER_ERRORS: u32 = 5;

/// Most characters of what a server says in one line.
const MAX_SAID: usize = 400;

/// What became of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is on the server's disk.
    Taken { status: u16, receipt: Receipt },
    /// The server refuses it, and would again.
    Refused { status: u16, code: String, why: String },
    /// It is longer than any server takes.
    TooLong,
    /// The run ended before.
    NotSent,
}

/// What the server says of an event that it has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Receipt {
    /// Id of the event.
    pub event_id: String,
    /// The server knew the key already.
    pub duplicate: bool,
    /// As the API shows them.
    pub deliveries: Vec<Value>,
    /// Destinations that it is not for, as the API shows them.
    #[serde(default)]
    pub skipped: Vec<Value>,
}

/// An error of the API (RFC 9457).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

/// What all requests of a run have in common.
pub struct Sender {
    client: HttpClient,
    uri: Uri,
    headers: HeaderMap,
    /// How long the server waits before its answer.
    wait: Duration,
}

/// Says that the server does not answer, or that it does again.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

impl Sender {
    /// Sends to `uri`. With `wait`, the server answers after the first attempts, or that many seconds.
    ///
    /// # Errors
    /// The token cannot be sent.
    pub fn new(
        client: HttpClient,
        uri: Uri,
        token: &AppToken,
        event_type: Option<&EventType>,
        wait: Option<u16>,
    ) -> Result<Self, String> {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "a header cannot be sent".to_owned());
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("data-pusher/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("cl-xtoken", value(token.reveal())?);
        if let Some(event_type) = event_type {
            headers.insert("event-type", value(event_type.as_str())?);
        }
        if let Some(seconds) = wait {
            headers.insert("prefer", value(&format!("wait={seconds}"))?);
        }
        Ok(Self { client, uri, headers, wait: Duration::from_secs(wait.unwrap_or_default().into()) })
    }

    /// Sends the document, again and again while the server cannot take it.
    pub fn send(&self, run: &Run, document: &Pending, say: Say<'_>) -> Fate {
        let (mut unanswered, mut server_errors) = (false, 0);
        loop {
            if !run.begin() {
                return Fate::NotSent;
            }
            let began = Instant::now() + self.wait;
            let response = match self.request(document) {
                Ok(response) => response,
                Err(why) => {
                    unanswered = true;
                    let why = format!("the server at {} does not answer: {}", self.authority(), harmless(&why));
                    self.trouble(run, began, None, &why, say);
                    continue;
                }
            };
            let again = match self.meaning(&response) {
                Meaning::Taken(mut receipt) => {
                    // If an earlier answer was lost, this run itself had sent the document.
                    receipt.duplicate &= !unanswered;
                    self.well(run, say);
                    return Fate::Taken { status: response.status.as_u16(), receipt };
                }
                Meaning::Refused { code, why } => {
                    self.well(run, say);
                    return Fate::Refused { status: response.status.as_u16(), code, why };
                }
                Meaning::NoServer(why) => {
                    run.end(End::Failed(why));
                    return Fate::NotSent;
                }
                Meaning::Broken(why) => {
                    unanswered = true;
                    server_errors += 1;
                    if server_errors >= MAX_SERVER_ERRORS {
                        let status = response.status.as_u16();
                        return Fate::Refused { status, code: "internal_error".to_owned(), why };
                    }
                    (None, why)
                }
                Meaning::Later { wait, why } => {
                    // Only a 429 says for sure that nothing was stored.
                    unanswered |= response.status != StatusCode::TOO_MANY_REQUESTS;
                    (wait, why)
                }
            };
            self.trouble(run, began, again.0, &again.1, say);
        }
    }

    fn request(&self, document: &Pending) -> Result<HttpResponse, String> {
        let mut headers = self.headers.clone();
        let key = HeaderValue::from_str(&document.key).map_err(|error| error.to_string())?;
        headers.insert(HeaderName::from_static("idempotency-key"), key);
        let request = HttpRequest { method: Method::POST, uri: self.uri.clone(), headers, body: Some(&document.body) };
        self.client.send(&request, MAX_ANSWER_BYTES)
    }

    fn trouble(&self, run: &Run, began: Instant, asked: Option<Duration>, why: &str, say: Say<'_>) {
        let Some(pause) = run.trouble(began, asked, why) else { return };
        // Its own pauses are short, and become longer.
        let seconds = asked.map(|_| pause.as_secs()).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let long = seconds.map(|pause| format!(" {}", duration::format(pause))).unwrap_or_default();
        say(&format!("waiting{long}: {why}"));
    }

    fn well(&self, run: &Run, say: Say<'_>) {
        if run.well() {
            say("going on: the server takes documents again");
        }
    }

    fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// What a response means for its document.
    fn meaning(&self, response: &HttpResponse) -> Meaning {
        let status = response.status;
        let problem: Option<Problem> = serde_json::from_slice(&response.body).ok();
        let said = said(status, problem.as_ref());
        match status.as_u16() {
            200 | 202 => match serde_json::from_slice::<Receipt>(&response.body) {
                Ok(receipt) => Meaning::Taken(receipt),
                Err(_) => Meaning::NoServer(format!(
                    "{} answers {}, but not as Data Pusher does; check --url",
                    self.uri,
                    status.as_u16()
                )),
            },
            429 | 503 => {
                let value = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let wait = value.and_then(|value| retry::retry_after(value, clock::wall()));
                Meaning::Later { wait, why: format!("the server answers {said}") }
            }
            // Nothing was stored, or a proxy cannot reach the server.
            408 | 502 | 504 => Meaning::Later { wait: None, why: format!("the server answers {said}") },
            500.. => Meaning::Broken(said),
            401 => Meaning::NoServer(format!("the token is refused ({said}); check --token")),
            300..=399 => {
                let to = location(&self.uri, &response.headers);
                let to = to.map_or("elsewhere; check --url".to_owned(), |to| format!("{to}; give that as --url"));
                Meaning::NoServer(format!("{} is redirected to {to}", self.uri))
            }
            403..=405 | 421 | ..=299 => Meaning::NoServer(format!("{} answers {said}; check --url", self.uri)),
            _ => Meaning::Refused { code: problem.map(|problem| problem.code).unwrap_or_default(), why: said },
        }
    }
}

enum Meaning {
    Taken(Receipt),
    Refused {
        code: String,
        why: String,
    },
    /// The same would be answered to every document.
    NoServer(String),
    /// An error of the server itself. The document may have been stored.
    Broken(String),
    Later {
        wait: Option<Duration>,
        why: String,
    },
}

/// Status, code and detail in one line.
fn said(status: StatusCode, problem: Option<&Problem>) -> String {
    let (code, detail) = problem.map_or(("", ""), |problem| (&*problem.code, &*problem.detail));
    let mut said = status.as_u16().to_string();
    for (before, part) in [(" ", code), (": ", detail)] {
        if !part.is_empty() {
            said.push_str(before);
            said.push_str(&harmless(part));
        }
    }
    said.chars().take(MAX_SAID).collect()
}
