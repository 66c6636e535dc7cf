//! The admin token where no option gives one. The token is made at the first start and kept in a file next to the
//! database.

use std::path::Path;

use crate::domain::secret::AdminToken;
use crate::error::{Error, Kind, Result};
use crate::store;

/// Reads the token from `DATABASE.admin-token`, or makes the file with mode 0600. `database` is the canonical path of
/// the database file. `named` is the path that the operator gave, which may be a link. Earlier versions kept the token
/// next to `named`, so a token there is copied.
///
/// # Errors
/// One line that says why the token can be neither read nor made.
pub fn load_or_make(database: &Path, named: &Path) -> Result<AdminToken> {
    let path = store::sibling_path(database, ENDING);
    let earlier = store::sibling_path(named, ENDING);
    let failed = |why: String| {
        Error::new(
            Kind::Internal,
            "cannot_read_admin_token",
            format!("cannot use the admin token file {}: {why}", path.display()),
        )
    };
    for place in [&path, &earlier] {
        let text = match std::fs::read_to_string(place) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error.to_string())),
        };
        if text.trim().is_empty() {
            return Err(failed("it is empty; remove it, and the next start makes a new token".to_owned()));
        }
        let token = AdminToken::parse(text.trim()).map_err(failed)?;
        if place != &path {
            store::write_whole(&path, text.as_bytes()).map_err(|error| failed(error.to_string()))?;
            tracing::info!(path = %path.display(), from = %earlier.display(), "admin token copied to where the database lies");
        }
        return Ok(token);
    }
    let token = AdminToken::generate();
    store::write_whole(&path, format!("{}\n", token.reveal()).as_bytes()).map_err(|error| failed(error.to_string()))?;
    tracing::info!(path = %path.display(), "admin token made");
    Ok(token)
}

/// Ending of the token file's name.
const ENDING: &str = ".admin-token";
