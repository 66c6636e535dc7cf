//! Has a running server import a document: only the server may change its file, and what it has in memory of it. The
//! server is found by its login file, which proves as well that the caller is the user of that file. Before the
//! document is sent, the server proves that it has the key in that file.

use std::time::Duration;

use poem::http::header::{AUTHORIZATION, CONTENT_TYPE};
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;

use super::{ImportConfig, failed};
use crate::api::{IMPORT_CHALLENGE, IMPORT_MAX_BYTES, IMPORT_PATH, ImportReport, SKIP_EXISTING};
use crate::app::login_file::{self, RunningServer};
use crate::delivery::{HttpClient, HttpRequest, HttpResponse, Trust};
use crate::domain::login::LoginKey;
use crate::error::{Error, FieldError, Result};
use crate::process::harmless::harmless;

/// Longest response that is read, in bytes: it names every account that was left out.
const MAX_RESPONSE_BYTES: u64 = 10 << 20;

/// How long the server may take.
const WITHIN: Duration = Duration::from_secs(120);

/// What is read of a refusal (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    field: String,
    message: String,
}

/// Hands a document to the server that runs on the database. `None` if what uses the database has no login file: it is a
/// server with `--dev`, or one that starts, or no server.
///
/// # Errors
/// Says why nothing was imported.
pub fn import(config: &ImportConfig, document: &[u8]) -> Result<Option<ImportReport>> {
    let found = login_file::running_server(&config.database).map_err(|error| {
        failed(format!("a server uses the database, and cannot be asked to import: {}", error.detail()))
    })?;
    let Some(server) = found else { return Ok(None) };
    if !config.allow_network.is_empty() {
        return Err(failed(
            "a server uses the database, and its own --allow-network holds; leave out --allow-network here",
        ));
    }
    if config.is_key_given {
        return Err(failed(
            "a server uses the database, and its own key opens and seals secrets; leave out --secrets-key-file here",
        ));
    }
    if document.len() > IMPORT_MAX_BYTES {
        let most = IMPORT_MAX_BYTES >> 20;
        return Err(failed(format!(
            "a running server takes at most {most} MiB; export with --account and import one account after the other, or \
             stop the server"
        )));
    }
    let unanswered = |error: String| {
        failed(format!(
            "the server at {} gave no answer: {error}; look there whether the accounts exist",
            server.address
        ))
    };
    if !is_the_server(&server) {
        return Err(failed(format!(
            "another program uses the database, and what listens at {} does not prove to be its server, so it was sent \
             nothing; try again when that program has ended",
            server.address
        )));
    }
    let skip_existing = config.skip_existing.then_some((SKIP_EXISTING, "yes"));
    let response = ask(&server, skip_existing, Some(document)).map_err(unanswered)?;
    let body = response.body;
    if response.status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| failed(format!("the server's answer is unknown: {error}")));
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if !problem.errors.is_empty() => {
            let faults = problem.errors.into_iter().map(|fault| FieldError::new(fault.field, fault.message));
            Err(Error::invalid(faults.collect()))
        }
        Ok(problem) => Err(failed(format!("the server refuses the import: {}", harmless(&problem.detail)))),
        Err(_) => Err(failed(format!("the server refuses the import with status {}", response.status))),
    }
}

/// Whether the server that wrote the login file listens at its address. After a crash another program may do so, and must
/// not be sent secrets.
fn is_the_server(server: &RunningServer) -> bool {
    let challenge = LoginKey::challenge();
    let answer = ask(server, Some((IMPORT_CHALLENGE, &challenge)), None).ok();
    let answer = answer.and_then(|response| serde_json::from_slice::<String>(&response.body).ok());
    answer.is_some_and(|answer| server.key.is_answer(&challenge, &answer))
}

fn ask(
    server: &RunningServer,
    header: Option<(&str, &str)>,
    body: Option<&[u8]>,
) -> std::result::Result<HttpResponse, String> {
    let mut headers = HeaderMap::new();
    let code = HeaderValue::try_from(format!("Login {}", server.code().reveal())).map_err(|error| error.to_string())?;
    headers.insert(AUTHORIZATION, code);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, value)) = header {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
    }
    let uri = format!("http://{}{IMPORT_PATH}", server.address).parse::<Uri>().map_err(|error| error.to_string())?;
    let client = HttpClient::new(false, &Trust::load(&[])?, 0, WITHIN);
    client.send(&HttpRequest { method: Method::POST, uri, headers, body }, MAX_RESPONSE_BYTES)
}
