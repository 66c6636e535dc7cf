//! `data-pusher healthcheck`: asks a server whether it is well, for containers and scripts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use poem::http::{HeaderMap, Method};

use super::redirect::location;
use super::server_url::ServerUrl;
use super::values::{file, listen, timeout};
use crate::app::url_of_server;
use crate::delivery::{HttpClient, HttpRequest, Trust};
use crate::error::{Error, Result};
use crate::process::harmless::harmless;

/// Most bytes of a response. Those of a server are far shorter.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// Most characters of a response in the one line.
const MAX_SHOWN: usize = 300;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the server is well, 1 it is not or does not answer, 2 a wrong flag.")]
pub struct Healthcheck {
    /// URL of the server; without one, the server on this machine. /healthz is asked, unless the URL has a path of its
    /// own
    #[arg(long, env = "DATA_PUSHER_URL", hide_env_values = true, value_parser = ServerUrl::parse)]
    url: Option<ServerUrl>,

    /// Where the server on this machine listens
    #[arg(long, env = "DATA_PUSHER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen)]
    listen: SocketAddr,

    /// Ask /readyz: whether events can be stored now, and not only whether the server runs
    #[arg(long)]
    ready: bool,

    /// Longest time for the answer
    #[arg(long, default_value = "5s", value_parser = timeout)]
    timeout: Duration,

    /// PEM file with further certificate authorities for https (repeatable)
    #[arg(long, env = "DATA_PUSHER_CA_FILE", value_delimiter = ',', value_name = "PEM", value_parser = file)]
    ca_file: Vec<PathBuf>,
}

/// What to ask.
#[derive(Debug)]
pub struct HealthcheckConfig {
    url: ServerUrl,
    path: &'static str,
    timeout: Duration,
    trust: Trust,
}

impl Healthcheck {
    /// The settings.
    ///
    /// # Errors
    /// One line that says which flags do not go together, or which file cannot be read.
    pub fn config(self) -> Result<HealthcheckConfig, String> {
        let local = || ServerUrl::parse(&url_of_server(self.listen, None));
        let url = self.url.map_or_else(local, Ok)?;
        let path = match (url.path(), self.ready) {
            ("", false) => "/healthz",
            ("", true) => "/readyz",
            (_, false) => "",
            (_, true) => {
                return Err("--ready asks /readyz, and --url has a path of its own; drop one of them".to_owned());
            }
        };
        Ok(HealthcheckConfig { url, path, timeout: self.timeout, trust: Trust::load(&self.ca_file)? })
    }
}

/// Asks the server, and returns the line that says that it is well.
///
/// # Errors
/// One line that says what is wrong.
pub fn run(config: &HealthcheckConfig) -> Result<String> {
    let client = HttpClient::new(config.url.is_https(), &config.trust, 1, config.timeout);
    let uri = config.url.join(config.path, None).map_err(Error::internal)?;
    let asked = uri.to_string();
    let request = HttpRequest { method: Method::GET, uri, headers: HeaderMap::new(), body: None };
    let response = client
        .send(&request, MAX_RESPONSE_BYTES)
        .map_err(|why| Error::internal(harmless(&format!("{asked} does not answer: {why}"))))?;
    let mut line = format!("{asked} answers {}", response.status.as_u16());
    let to = location(&request.uri, &response.headers).filter(|_| response.status.is_redirection());
    let said: String = harmless(String::from_utf8_lossy(&response.body).trim()).chars().take(MAX_SHOWN).collect();
    match to {
        Some(to) => line.push_str(&format!(" and leads to {to}; give that as --url")),
        None if said.is_empty() => {}
        None => line.push_str(&format!(": {said}")),
    }
    if response.status.is_success() { Ok(line) } else { Err(Error::internal(line)) }
}
