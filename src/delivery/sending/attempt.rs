//! One HTTP request to a destination: builds, signs and sends it, reads the response, and classifies the outcome. What
//! follows from an outcome is decided in `domain`, not here.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};

use super::connections::{DestinationConnections, LaneConnections, Lease};
use super::resolver::RefusedAddress;
use super::transport;
use super::transport::failure::Failure;
use crate::delivery::clock;
use crate::domain::delivery::{Attempt, ErrorClass, LOGGED_BODY_BYTES, Outcome};
use crate::domain::destination::{Destination, HttpMethod};
use crate::domain::outgoing::{self, Content, OutgoingEvent};
use crate::domain::retry;

/// Most bytes of a response's body that are read. A body up to this limit is read to its end, so that the connection
/// can be used again.
const READ_BODY_BYTES: u64 = 64 * 1024;

/// What sends to one destination as it is now: the lane's connections, and the parts that all requests have in common.
pub struct Client {
    agents: Arc<LaneConnections>,
    destination: Arc<Destination>,
    /// What all requests have in common, without signature and body. An error where URL or headers make no valid
    /// request.
    head: Result<RequestTemplate, http::Error>,
    timeout: Duration,
}

struct RequestTemplate {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Client {
    /// A client whose connections are shared with other lanes to the same origin. `timeout` is for a whole exchange.
    pub fn new(connections: &DestinationConnections, destination: Arc<Destination>, timeout: Duration) -> Self {
        Self::of(connections.to(&destination.fields.url, timeout), destination, timeout)
    }

    /// A client with a connection of its own, shared with nobody.
    pub fn isolated(connections: &DestinationConnections, destination: Arc<Destination>, timeout: Duration) -> Self {
        Self::of(connections.isolated(&destination.fields.url, timeout), destination, timeout)
    }

    fn of(agents: LaneConnections, destination: Arc<Destination>, timeout: Duration) -> Self {
        Self { agents: Arc::new(agents), head: RequestTemplate::of(&destination), destination, timeout }
    }

    /// The same connections for a destination whose origin and timeout have not changed.
    pub fn with(&self, destination: Arc<Destination>) -> Self {
        Self {
            agents: Arc::clone(&self.agents),
            head: RequestTemplate::of(&destination),
            destination,
            timeout: self.timeout,
        }
    }

    /// Leases a connection for requests one after the other. Where `shared`, it may be one that another lane has used.
    pub fn session(&self, shared: bool) -> Session<'_> {
        Session { client: self, lease: self.agents.lease(shared) }
    }

    /// Cancels the exchanges that are in progress on this client.
    pub fn shutdown(&self) {
        self.agents.shutdown();
    }
}

/// A connection of a client, used by one worker.
pub struct Session<'a> {
    client: &'a Client,
    lease: Lease<'a>,
}

impl Session<'_> {
    /// The destination that is sent to.
    pub fn destination(&self) -> &Arc<Destination> {
        &self.client.destination
    }
}

impl RequestTemplate {
    fn of(destination: &Destination) -> Result<Self, http::Error> {
        let fields = &destination.fields;
        let method = match fields.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Patch => Method::PATCH,
            HttpMethod::Delete => Method::DELETE,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in outgoing::common_headers(fields) {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        Ok(Self { method, uri: Uri::try_from(fields.url.as_str())?, headers })
    }
}

/// Why no request was made.
#[derive(Debug)]
pub struct RequestNotSent(pub String);

/// Makes one attempt. A kept connection may break before the peer took anything of the request. Then the peer had just
/// closed the connection, which says nothing about the destination. In this case the request is made once more, on the
/// client that `spare` makes for the time that is left.
///
/// # Errors
/// The URL of a GET would be too long.
pub fn send(
    event: &OutgoingEvent<'_>,
    line: &Session<'_>,
    fallback: &dyn Fn(Duration) -> Option<Client>,
) -> Result<Attempt, RequestNotSent> {
    let client = line.client;
    let content = Content::of(&client.destination.fields, event.document)
        .map_err(|too_long| RequestNotSent(format!("the URL would have {} bytes", too_long.0)))?;
    let at = clock::wall();
    let started = Instant::now();
    line.lease.begin();
    let mut answer = call(event, &content, line);
    let stale = answer.as_ref().is_err_and(|error| Failure::of(error).is_some_and(|failure| failure.stale));
    if stale {
        let left = client.timeout.saturating_sub(started.elapsed());
        if !left.is_zero()
            && let Some(fallback) = fallback(left)
        {
            answer = call(event, &content, &fallback.session(false));
        }
    }
    let came = match answer.map(read) {
        Ok(came) => came,
        Err(error) => {
            let (class, detail) = classify(&error);
            ReceivedAnswer { outcome: Outcome::NoAnswer(class), flaw: Some(detail), body: Vec::new(), truncated: false }
        }
    };
    if came.flaw.is_none() && !stale {
        line.lease.done();
    }
    Ok(Attempt {
        at,
        duration: started.elapsed(),
        outcome: came.outcome,
        detail: came.flaw.map(short),
        body: came.body,
        body_truncated: came.truncated,
        made_body: None,
    })
}

/// What came back.
struct ReceivedAnswer {
    outcome: Outcome,
    /// What is wrong with the response, or why there is none.
    flaw: Option<String>,
    /// The first bytes of the body, as many as the log keeps.
    body: Vec<u8>,
    truncated: bool,
}

/// Reads a response's body to its end or to the limit. The status counts even if the body is broken, because the body
/// is only for the log.
fn read(response: Response<Body>) -> ReceivedAnswer {
    let status = response.status().as_u16();
    let field = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = match status {
        429 | 503 => field("retry-after").and_then(|value| retry::retry_after(value, clock::wall())),
        _ => None,
    };
    let said = field("content-length").and_then(|value| value.parse::<u64>().ok());
    let mut body = Vec::new();
    // More is read than the log keeps, which shows whether the body was longer.
    let end = response.into_body().into_reader().take(READ_BODY_BYTES).read_to_end(&mut body);
    let flaw = end.err().map(|error| flaw(&ureq::Error::from(error), body.len(), said));
    let truncated = body.len() > LOGGED_BODY_BYTES;
    body.truncate(LOGGED_BODY_BYTES);
    body.shrink_to_fit();
    ReceivedAnswer { outcome: Outcome::Answer { status, retry_after }, flaw, body, truncated }
}

/// Describes a broken body of which `came` bytes could be read. `said` is the length that the headers promised.
fn flaw(error: &ureq::Error, came: usize, said: Option<u64>) -> String {
    let of = said.map_or_else(String::new, |said| format!(" of {said}"));
    let (class, why) = classify(error);
    match class {
        ErrorClass::Timeout => format!("the answer's body did not end in time; {came}{of} bytes of it came"),
        ErrorClass::Reset => format!("the answer's body broke off after {came}{of} bytes: {why}"),
        _ => format!("the answer's body cannot be read beyond {came}{of} bytes: {why}"),
    }
}

/// Signs and sends the request.
fn call(event: &OutgoingEvent<'_>, content: &Content<'_>, line: &Session<'_>) -> Result<Response<Body>, ureq::Error> {
    let (client, agent) = (line.client, line.lease.agent());
    let head = client.head.as_ref().map_err(|_| ureq::Error::BadUri("it or a header is not valid".to_owned()))?;
    let mut headers = head.headers.clone();
    for (name, value) in event.made_headers {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?,
            HeaderValue::from_str(value).map_err(http::Error::from)?,
        );
    }
    for (name, value) in outgoing::webhook_headers(&client.destination, event, content, clock::wall()) {
        headers.append(HeaderName::from_static(name), HeaderValue::try_from(value).map_err(http::Error::from)?);
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = head.method.clone();
    parts.headers = headers;
    match content.body {
        None => {
            parts.uri = Uri::try_from(&*content.url).map_err(http::Error::from)?;
            agent.run(http::Request::from_parts(parts, ()))
        }
        Some(body) => {
            parts.uri = head.uri.clone();
            agent.run(http::Request::from_parts(parts, body))
        }
    }
}

/// Whether this machine had no file, port or memory left for the attempt. That says nothing about the destination.
fn is_local_exhaustion(error: &io::Error) -> bool {
    const OURS: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

/// The class of a failure, and a description for people. Neither contains a URL, a header or a body.
pub(super) fn classify(error: &ureq::Error) -> (ErrorClass, String) {
    use io::ErrorKind;
    let class = match error {
        ureq::Error::Timeout(_) => return (ErrorClass::Timeout, "no answer within the time".to_owned()),
        ureq::Error::HostNotFound => return (ErrorClass::Dns, "the host name does not resolve".to_owned()),
        ureq::Error::ConnectionFailed => ErrorClass::Connect,
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) | ureq::Error::BodyStalled => {
            ErrorClass::InvalidResponse
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            let detail = "the request cannot be built from this URL and headers";
            return (ErrorClass::InvalidRequest, detail.to_owned());
        }
        ureq::Error::Other(inner) => match (inner.downcast_ref::<RefusedAddress>(), Failure::of(error)) {
            (Some(refused), _) => return (ErrorClass::RefusedAddress, refused.to_string()),
            (_, Some(failure)) => return (failure.class, failure.detail.clone()),
            _ => ErrorClass::InvalidResponse,
        },
        ureq::Error::Io(io) if is_local_exhaustion(io) => {
            return (ErrorClass::Cut, format!("the server itself has no connection left to make: {io}"));
        }
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => ErrorClass::Timeout,
            ErrorKind::UnexpectedEof => return (ErrorClass::Reset, "the connection was closed".to_owned()),
            _ if transport::socket::is_reset(io) => ErrorClass::Reset,
            ErrorKind::InvalidData => ErrorClass::InvalidResponse,
            _ => ErrorClass::Connect,
        },
        _ => ErrorClass::InvalidResponse,
    };
    (class, error.to_string())
}

/// Shortens a description to the 300 characters that the log keeps.
pub fn short(mut detail: String) -> String {
    if let Some((end, _)) = detail.char_indices().nth(300) {
        detail.truncate(end);
    }
    detail
}

#[cfg(test)]
mod tests;
