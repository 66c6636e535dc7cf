//! Has a running server import a document: only the server may change its file, and what it has in memory of it. The
//! server is found by its login file, which proves as well that the caller is the user of that file.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::StatusCode;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::failed;
use crate::api::{IMPORT_MAX_BYTES, IMPORT_PATH, ImportReport, SKIP_EXISTING};
use crate::app::login_file;
use crate::error::{Error, FieldError, Result};

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
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(WITHIN))
        .build();
    let mut request = config
        .new_agent()
        .post(format!("http://{}{IMPORT_PATH}", server.address))
        .header(AUTHORIZATION, format!("Login {}", server.code.reveal()))
        .header(CONTENT_TYPE, "application/json");
    if skip_existing {
        request = request.header(SKIP_EXISTING, "yes");
    }
    let unanswered = |error: ureq::Error| {
        failed(format!(
            "the server at {} gave no answer: {error}; look there whether the accounts exist",
            server.address
        ))
    };
    let mut response = request.send(document).map_err(unanswered)?;
    let body = response.body_mut().read_to_vec().map_err(unanswered)?;
    if response.status() == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map_err(|error| failed(format!("the server's answer is unknown: {error}")));
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if !problem.errors.is_empty() => {
            let faults = problem.errors.into_iter().map(|fault| FieldError::new(fault.field, fault.message));
            Err(Error::invalid(faults.collect()))
        }
        Ok(problem) => Err(failed(format!("the server refuses the import: {}", problem.detail))),
        Err(_) => Err(failed(format!("the server refuses the import with status {}", response.status()))),
    }
}
