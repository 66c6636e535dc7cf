//! The admin token where no option gives one. The token is made at the first start and kept in a file next to the
//! database.

use std::path::{Path, PathBuf};

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
    if let Some((place, text, token)) = find(database, named)? {
        if place != path {
            store::write_whole(&path, text.as_bytes()).map_err(|error| failed(&path, &error))?;
            tracing::info!(path = %path.display(), from = %place.display(), "admin token copied to where the database lies");
        }
        return Ok(token);
    }
    let token = AdminToken::generate();
    store::write_whole(&path, format!("{}\n", token.reveal()).as_bytes()).map_err(|error| failed(&path, &error))?;
    tracing::info!(path = %path.display(), "admin token made");
    Ok(token)
}

/// Makes sure before the database is opened that the token can be read, if there is one already.
///
/// # Errors
/// One line that says why it cannot.
pub fn check(named: &Path) -> Result<()> {
    let database = named.canonicalize().unwrap_or_else(|_| named.to_owned());
    find(&database, named).map(drop)
}

/// The token file that is used, with its text and the token in it: the one beside `database`, or else the one beside
/// `named`.
fn find(database: &Path, named: &Path) -> Result<Option<(PathBuf, String, AdminToken)>> {
    for place in [database, named] {
        let path = store::sibling_path(place, ENDING);
        if let Some((text, token)) = read(&path)? {
            return Ok(Some((path, text, token)));
        }
    }
    Ok(None)
}

/// Reads a token file: its text and the token in it. `None` if there is no such file.
fn read(path: &Path) -> Result<Option<(String, AdminToken)>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    if text.trim().is_empty() {
        return Err(failed(path, &"it is empty; remove it, and the next start makes a new token"));
    }
    let token = AdminToken::parse(text.trim()).map_err(|error| failed(path, &error))?;
    Ok(Some((text, token)))
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let line = format!("cannot use the admin token file {}: {why}", path.display());
    Error::new(Kind::Internal, "cannot_read_admin_token", line)
}

/// Ending of the token file's name.
const ENDING: &str = ".admin-token";
