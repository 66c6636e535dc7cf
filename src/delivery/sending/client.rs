//! Requests of commands: to a server, or to where `listen` passes requests on. They use the connections and the TLS of
//! deliveries. Any address may be reached, because whoever runs a command has named it. What a response means belongs
//! in the command.

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::{HeaderMap, Method, Request, StatusCode, Uri};
use ureq::unversioned::resolver::DefaultResolver;

use super::attempt::classify;
use super::tls::TlsConnector;
use super::tls::trust::Trust;
use super::transport::TcpConnector;
use super::transport::failure::Failure;

/// A client of one origin. It may be used by many threads.
pub struct HttpClient {
    config: Config,
    /// `None` for plain HTTP.
    tls: Option<TlsConnector>,
    agent: Agent,
}

/// A request. Nothing is added to `headers`, except for `Host` and `Content-Length`.
pub struct HttpRequest<'a> {
    /// The method, which may be any.
    pub method: Method,
    /// The whole URL.
    pub uri: Uri,
    /// All header lines in their order.
    pub headers: HeaderMap,
    /// The body. `None` sends no `Content-Length`.
    pub body: Option<&'a [u8]>,
}

/// A response of any status.
pub struct HttpResponse {
    /// The status. Redirects are not followed.
    pub status: StatusCode,
    /// All header lines.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// A client that keeps up to `connections` idle connections. `timeout` is for a whole exchange. With `https` it
    /// accepts servers whose certificates `trust` leads to.
    pub fn new(https: bool, trust: &Trust, connections: usize, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .timeout_global(Some(timeout.max(Duration::from_millis(1))))
            .build();
        let tls = https.then(|| TlsConnector::new(trust));
        Self { agent: agent(&config, tls.as_ref()), config, tls }
    }

    /// Sends the request and reads the response, with a body of at most `most` bytes. If a kept connection turns out to
    /// be closed, the request is sent on a new one.
    ///
    /// # Errors
    /// Why there is no whole response, for people.
    pub fn send(&self, request: &HttpRequest<'_>, most: u64) -> Result<HttpResponse, String> {
        let mut sent = exchange(&self.agent, request, most);
        if sent.as_ref().is_err_and(|error| Failure::of(error).is_some_and(|failure| failure.stale)) {
            sent = exchange(&agent(&self.config, self.tls.as_ref()), request, most);
        }
        let response = sent.map_err(|error| classify(&error).1)?;
        if response.body.len() as u64 > most {
            return Err(format!("the response has more than {most} bytes"));
        }
        Ok(response)
    }
}

fn agent(config: &Config, tls: Option<&TlsConnector>) -> Agent {
    let resolver = DefaultResolver::default();
    match tls {
        Some(tls) => Agent::with_parts(config.clone(), tls.clone(), resolver),
        None => Agent::with_parts(config.clone(), TcpConnector, resolver),
    }
}

fn exchange(agent: &Agent, request: &HttpRequest<'_>, most: u64) -> Result<HttpResponse, ureq::Error> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method.clone();
    parts.uri = request.uri.clone();
    parts.headers = request.headers.clone();
    let response = match request.body {
        None => agent.run(Request::from_parts(parts, ())),
        Some(body) => agent.run(Request::from_parts(parts, body)),
    }?;
    let (head, body) = response.into_parts();
    let mut bytes = Vec::new();
    // One byte more shows that the body is too long.
    body.into_reader().take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(ureq::Error::from)?;
    Ok(HttpResponse { status: head.status, headers: head.headers, body: bytes })
}
