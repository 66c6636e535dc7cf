//! Has a running server import a document: only the server may change its file, and what it has in memory of it. The
//! server is found by its login file, which proves as well that the caller is the user of that file.

use std::path::Path;
use std::time::Duration;

use poem::http::header::{AUTHORIZATION, CONTENT_TYPE};
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;

use super::failed;
use crate::api::{IMPORT_MAX_BYTES, IMPORT_PATH, ImportReport, SKIP_EXISTING};
use crate::app::login_file::{self, RunningServer};
use crate::delivery::{HttpClient, HttpRequest, HttpResponse, Trust};
use crate::error::{Error, FieldError, Result};

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

/// Hands a document to the server that runs on `database`.
///
/// # Errors
/// Says why nothing was imported.
pub fn import(database: &Path, document: &[u8], skip_existing: bool) -> Result<ImportReport> {
    let server = login_file::running_server(database)
        .map_err(|error| {
            failed(format!("a server uses the database, and cannot be asked to import: {}", error.detail()))
        })?
        .ok_or_else(|| {
            failed(
                "a server uses the database, and takes no import: it runs with --dev, or has only begun to start; stop \
                 it, or try again",
            )
        })?;
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
    let response = ask(&server, document, skip_existing).map_err(unanswered)?;
    let body = response.body;
    if response.status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map_err(|error| failed(format!("the server's answer is unknown: {error}")));
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if !problem.errors.is_empty() => {
            let faults = problem.errors.into_iter().map(|fault| FieldError::new(fault.field, fault.message));
            Err(Error::invalid(faults.collect()))
        }
        Ok(problem) => Err(failed(format!("the server refuses the import: {}", problem.detail))),
        Err(_) => Err(failed(format!("the server refuses the import with status {}", response.status))),
    }
}

fn ask(server: &RunningServer, document: &[u8], skip_existing: bool) -> std::result::Result<HttpResponse, String> {
    let mut headers = HeaderMap::new();
    let code = HeaderValue::try_from(format!("Login {}", server.code.reveal())).map_err(|error| error.to_string())?;
    headers.insert(AUTHORIZATION, code);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if skip_existing {
        let name = HeaderName::try_from(SKIP_EXISTING).map_err(|error| error.to_string())?;
        headers.insert(name, HeaderValue::from_static("yes"));
    }
    let uri = format!("http://{}{IMPORT_PATH}", server.address).parse::<Uri>().map_err(|error| error.to_string())?;
    let client = HttpClient::new(false, &Trust::load(&[])?, 0, WITHIN);
    client.send(&HttpRequest { method: Method::POST, uri, headers, body: Some(document) }, MAX_RESPONSE_BYTES)
}
