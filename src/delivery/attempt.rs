//! One HTTP request to a destination: built, signed, sent, read, classified. All of ureq is here and in the resolver.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Connector, DefaultConnector, TcpConnector};
use ureq::{Agent, Body, http::Response};

use super::buffers::LeanConnector;
use super::clock;
use super::resolver::{Guard, RefusedAddress};
use crate::domain::delivery::{Attempt, ErrorClass, LOGGED_BODY_BYTES, Outcome};
use crate::domain::destination::{Destination, HttpMethod};
use crate::domain::ids::EventId;
use crate::domain::{query, retry, signature};

/// Bytes of an answer's body that are read: a short one to its end, so that the connection can be used again.
const READ_BODY_BYTES: u64 = 64 * 1024;

/// Held by every connection, and so small; the head of an answer is put together in larger ones (see `buffers`).
const INPUT_BUFFER: usize = 1024;

/// Likewise.
const OUTPUT_BUFFER: usize = 2 * 1024;

const USER_AGENT: &str = concat!("data-pusher/", env!("CARGO_PKG_VERSION"));

/// A client for one destination: its own connections, at most `connections` of them idle.
pub fn agent(guard: &Guard, connections: usize, https: bool) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(ureq::config::AutoHeaderValue::None)
        .accept_encoding(ureq::config::AutoHeaderValue::None)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .build();
    if https {
        return Agent::with_parts(config, DefaultConnector::new().chain(LeanConnector), guard.clone());
    }
    // The chain hands its transports on by value, and room for one of TLS costs each thread 12 KB of stack.
    Agent::with_parts(config, ().chain(TcpConnector::default()).chain(LeanConnector), guard.clone())
}

/// What is sent.
pub struct Request<'a> {
    /// Where to, and how.
    pub destination: &'a Destination,
    /// The id that receivers tell repeats by.
    pub event: EventId,
    /// The document as it came.
    pub document: &'a Arc<[u8]>,
    /// For the whole exchange.
    pub timeout: Duration,
}

/// Why no request was made.
#[derive(Debug)]
pub struct NotSent(pub String);

/// Makes the request. A connection that broke before anything came is tried once more on the client that `spare` gives:
/// the peer may have closed a kept one just then, which says nothing about the destination.
///
/// # Errors
/// The GET's URL would be too long.
pub fn send(request: &Request<'_>, agent: &Agent, spare: &dyn Fn() -> Option<Agent>) -> Result<Attempt, NotSent> {
    let fields = &request.destination.fields;
    let url = match fields.method {
        HttpMethod::Get => query::url_with_document(&fields.url, request.document)
            .map_err(|too_long| NotSent(format!("the URL would have {} bytes", too_long.0)))?,
        _ => fields.url.as_str().to_owned(),
    };
    let at = clock::wall();
    let started = Instant::now();
    let mut answer = call(request, agent, &url, started);
    if answer.as_ref().is_err_and(broke)
        && started.elapsed() < request.timeout
        && let Some(spare) = spare()
    {
        answer = call(request, &spare, &url, started);
    }
    let sent = answer.and_then(read);
    let (outcome, detail, body, body_truncated) = match sent {
        Ok((outcome, body, truncated)) => (outcome, None, body, truncated),
        Err(error) => {
            let (class, detail) = classify(&error, fields.url.is_https());
            (Outcome::NoAnswer(class), Some(detail), Vec::new(), false)
        }
    };
    Ok(Attempt { at, duration: started.elapsed(), outcome, detail, body, body_truncated })
}

/// Reads an answer's body to its end, or to the limit.
fn read(response: Response<Body>) -> Result<(Outcome, Vec<u8>, bool), ureq::Error> {
    let status = response.status().as_u16();
    let retry_after = match status {
        429 | 503 => response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry::retry_after(value, clock::wall())),
        _ => None,
    };
    let mut body = Vec::new();
    // One byte more than is kept tells whether there was more.
    response.into_body().into_reader().take(READ_BODY_BYTES).read_to_end(&mut body).map_err(ureq::Error::from)?;
    let truncated = body.len() > LOGGED_BODY_BYTES;
    body.truncate(LOGGED_BODY_BYTES);
    body.shrink_to_fit();
    Ok((Outcome::Answer { status, retry_after }, body, truncated))
}

fn call(request: &Request<'_>, agent: &Agent, url: &str, started: Instant) -> Result<Response<Body>, ureq::Error> {
    let timeout = request.timeout.saturating_sub(started.elapsed());
    let fields = &request.destination.fields;
    let body: &[u8] = request.document;
    let signed = if fields.method == HttpMethod::Get { query::query_part(url).as_bytes() } else { body };
    let now = clock::wall();
    let signatures = signature::signatures(request.destination.secrets.valid_at(now), request.event, now, signed);
    macro_rules! with_headers {
        ($builder:expr) => {{
            let mut builder = $builder;
            if fields.headers.get("user-agent").is_none() {
                builder = builder.header("user-agent", USER_AGENT);
            }
            if fields.method != HttpMethod::Get && fields.headers.get("content-type").is_none() {
                builder = builder.header("content-type", "application/json");
            }
            for (name, value) in fields.headers.iter() {
                builder = builder.header(name, value);
            }
            builder
                .header("webhook-id", request.event.to_string())
                .header("webhook-timestamp", now.seconds().to_string())
                .header("webhook-signature", &signatures)
                .config()
                .timeout_global(Some(timeout.max(Duration::from_millis(1))))
                .build()
        }};
    }
    match fields.method {
        HttpMethod::Get => with_headers!(agent.get(url)).call(),
        HttpMethod::Post => with_headers!(agent.post(url)).send(body),
        HttpMethod::Put => with_headers!(agent.put(url)).send(body),
        HttpMethod::Patch => with_headers!(agent.patch(url)).send(body),
        HttpMethod::Delete => with_headers!(agent.delete(url).force_send_body()).send(body),
    }
}

/// Whether the connection broke.
fn broke(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error) if is_reset(error.kind()))
}

fn is_reset(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected)
}

/// Whether this machine could not even try: no file, port or memory is left. That says nothing about the destination.
fn is_ours(error: &io::Error) -> bool {
    const OURS: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

/// The class of a failure, and what happened for people. Neither holds a URL, a header or a body.
fn classify(error: &ureq::Error, https: bool) -> (ErrorClass, String) {
    use io::ErrorKind;
    let class = match error {
        ureq::Error::Timeout(_) => ErrorClass::Timeout,
        ureq::Error::HostNotFound => return (ErrorClass::Dns, "the host name does not resolve".to_owned()),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => ErrorClass::Tls,
        ureq::Error::ConnectionFailed => ErrorClass::Connect,
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) | ureq::Error::BodyStalled => {
            ErrorClass::InvalidResponse
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => ErrorClass::InvalidRequest,
        ureq::Error::Other(inner) => match inner.downcast_ref::<RefusedAddress>() {
            Some(refused) => return (ErrorClass::RefusedAddress, refused.to_string()),
            None => ErrorClass::InvalidResponse,
        },
        ureq::Error::Io(io) if is_ours(io) => {
            return (ErrorClass::Cut, format!("the server itself has no connection left to make: {io}"));
        }
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => ErrorClass::Timeout,
            kind if is_reset(kind) => ErrorClass::Reset,
            // What is wrong with HTTP comes as a protocol error, so this is what rustls says.
            ErrorKind::InvalidData if https => ErrorClass::Tls,
            ErrorKind::InvalidData | ErrorKind::InvalidInput => ErrorClass::InvalidResponse,
            _ => ErrorClass::Connect,
        },
        _ => ErrorClass::InvalidResponse,
    };
    let mut detail = match error {
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            "the request cannot be built from this URL and headers".to_owned()
        }
        error => error.to_string(),
    };
    if let Some((end, _)) = detail.char_indices().nth(300) {
        detail.truncate(end);
    }
    (class, detail)
}
