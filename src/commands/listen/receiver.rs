//! Receives requests, decides their answers, and prints each before it is answered: who does not read the output delays
//! the answer, and no delivery is lost unseen.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use poem::error::ReadBodyError;
use poem::http::header::{CONTENT_TYPE, RETRY_AFTER};
use poem::http::{HeaderMap, HeaderValue, StatusCode};
use poem::{Endpoint, Request, Response};
use tokio::sync::watch;

use super::folded::Bounds;
use super::forward::Forward;
use super::received::{Received, Verdict};
use super::show::Shown;
use crate::delivery::clock;
use crate::domain::secret::SigningSecret;
use crate::process::harmless::harmless;
use crate::process::output;

/// Longest body. No server can be told to take a longer document.
const MAX_BODY_BYTES: usize = 64 << 20;

/// How requests are answered and shown.
pub struct Rules {
    /// Status of every answer, if nothing is passed on.
    pub status: StatusCode,
    /// Seconds of `Retry-After` in every answer.
    pub retry_after: Option<u32>,
    /// How long each answer waits.
    pub delay: Duration,
    /// Share of the requests that are answered with 500, from 0 to 1.
    pub fail: f64,
    /// Secrets of the destination.
    pub secrets: Vec<SigningSecret>,
    /// Where requests are passed on.
    pub forward: Option<Forward>,
    /// One JSON object a line.
    pub json: bool,
    /// How much of a body is shown.
    pub bounds: Bounds,
    /// Whether the output has colours.
    pub colours: bool,
}

/// Why nothing more can be printed.
#[derive(Debug, Clone)]
pub enum Ended {
    /// Nobody reads standard output any more.
    Closed,
    /// Standard output cannot be written.
    Failed(String),
}

/// The receiver's endpoint. Clones are the same receiver.
#[derive(Clone)]
pub struct Receiver(Arc<Shared>);

struct Shared {
    rules: Rules,
    random: Mutex<fastrand::Rng>,
    /// Requests by the status that answered them.
    counts: Mutex<BTreeMap<u16, u64>>,
    output: Mutex<io::Stdout>,
    ended: watch::Sender<Option<Ended>>,
}

/// An answer, and how it came about.
struct Outcome {
    answer: Answer,
    /// The target got the request, or may have.
    passed_on: bool,
    /// Why the target did not answer.
    failure: Option<String>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Receiver {
    /// A receiver, and what reports the end of its output. `random` chooses the requests that fail.
    pub fn new(rules: Rules, random: fastrand::Rng) -> (Self, watch::Receiver<Option<Ended>>) {
        let (ended, ends) = watch::channel(None);
        let shared = Shared {
            rules,
            random: Mutex::new(random),
            counts: Mutex::default(),
            output: Mutex::new(io::stdout()),
            ended,
        };
        (Self(Arc::new(shared)), ends)
    }

    /// Nobody reads the output any more.
    pub fn close(&self) {
        self.0.end(Ended::Closed);
    }

    /// Requests by the status that answered them.
    pub fn counts(&self) -> BTreeMap<u16, u64> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Endpoint for Receiver {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = match request.take_body().into_bytes_limit(MAX_BODY_BYTES).await {
            Ok(body) => body,
            Err(error) => return Ok(self.0.unread(&error).into_response()),
        };
        if let Some(forward) = self.0.rules.forward.as_ref().filter(|forward| forward.has_passed_on(request.headers()))
        {
            // Whoever passed it on prints it, with this status.
            if let Some(line) = forward.loop_to_say() {
                output::log_line(format!("{line}\n").as_bytes());
            }
            return Ok(Answer::text(StatusCode::LOOP_DETECTED, "listen passed this request on, and got it back\n")
                .into_response());
        }
        let received = Received {
            at: clock::wall(),
            method: request.method().clone(),
            target: request.original_uri().clone(),
            headers: request.headers().clone(),
            body,
        };
        let shared = Arc::clone(&self.0);
        let answer = tokio::task::spawn_blocking(move || shared.take(&received)).await;
        let answer = answer.unwrap_or_else(|_| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "listen failed\n"));
        tokio::time::sleep(self.0.rules.delay).await;
        Ok(answer.into_response())
    }
}

impl Shared {
    /// Answers a request and prints it. What nobody saw is answered 503, so that it comes again; unless the target got
    /// it, for then it would get it twice.
    fn take(&self, received: &Received) -> Answer {
        if output::is_closed() {
            self.end(Ended::Closed);
        }
        let unseen = || Answer::text(StatusCode::SERVICE_UNAVAILABLE, "listen cannot print any more\n");
        if self.ended.borrow().is_some() {
            return unseen();
        }
        let Outcome { answer, passed_on, failure } = self.answer(received);
        let verdict: Verdict = received.verdict(&self.rules.secrets);
        let shown = Shown { received, verdict, status: answer.status, failure: failure.as_deref() };
        let text = if self.rules.json { shown.json() } else { shown.text(self.rules.bounds, self.rules.colours) };
        if let Err(error) = self.print(&text) {
            self.end(match error.kind() {
                ErrorKind::BrokenPipe => Ended::Closed,
                _ => Ended::Failed(error.to_string()),
            });
            if !passed_on {
                return unseen();
            }
        }
        self.count(answer.status);
        answer
    }

    /// Nothing more can be printed. The first reason counts.
    fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(why);
            is_first
        });
    }

    fn answer(&self, received: &Received) -> Outcome {
        let rules = &self.rules;
        let own = |answer| Outcome { answer, passed_on: false, failure: None };
        let fails = rules.fail > 0.0 && self.random.lock().unwrap_or_else(PoisonError::into_inner).f64() < rules.fail;
        if fails {
            return own(Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "failed, as --fail asks\n"));
        }
        let Some(forward) = &rules.forward else { return own(self.fixed()) };
        let (answer, failure) = match forward.send(received) {
            Ok(came) => (Answer { status: came.status, headers: came.headers, body: came.body.into() }, None),
            Err(why) => (Answer::text(StatusCode::BAD_GATEWAY, &format!("{why}\n")), Some(why)),
        };
        Outcome { answer, passed_on: true, failure }
    }

    fn fixed(&self) -> Answer {
        let status = self.rules.status;
        let text = if status.is_success() { "ok\n" } else { "refused, as --status asks\n" };
        let mut answer = Answer::text(status, text);
        if let Some(seconds) = self.rules.retry_after {
            answer.headers.insert(RETRY_AFTER, seconds.into());
        }
        answer
    }

    /// The answer to a body that did not come whole, which is said, but not printed as a delivery.
    fn unread(&self, error: &ReadBodyError) -> Answer {
        let (status, why) = match error {
            ReadBodyError::PayloadTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("its body is longer than {MAX_BODY_BYTES} bytes"))
            }
            error => (StatusCode::BAD_REQUEST, format!("its body did not come whole: {error}")),
        };
        output::log_line(format!("a request was answered {}: {}\n", status.as_u16(), harmless(&why)).as_bytes());
        self.count(status);
        Answer::text(status, &format!("{why}\n"))
    }

    fn count(&self, status: StatusCode) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(status.as_u16()).or_default() += 1;
    }

    /// Writes all of it at once, so that requests of several connections do not mix.
    fn print(&self, text: &str) -> io::Result<()> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(text.as_bytes())?;
        output.flush()
    }
}

impl Answer {
    fn text(status: StatusCode, text: &str) -> Self {
        let mut headers = HeaderMap::new();
        let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        Self { status, headers, body: if has_body { Bytes::copy_from_slice(text.as_bytes()) } else { Bytes::new() } }
    }

    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status).body(self.body);
        *response.headers_mut() = self.headers;
        response
    }
}
