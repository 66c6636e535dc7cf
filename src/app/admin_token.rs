//! The admin token where none is given: made at the first start and kept beside the database.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::domain::secret::AdminToken;
use crate::error::{Error, Kind, Result};
use crate::store;

/// Reads `DATABASE.admin-token`, or makes it with mode 0600.
///
/// # Errors
/// One line that says why it can be neither read nor made.
pub fn load_or_make(database: &Path) -> Result<AdminToken> {
    let path = store::companion(database, ".admin-token");
    let failed = |why: String| {
        Error::new(
            Kind::Internal,
            "cannot_read_admin_token",
            format!("cannot use the admin token file {}: {why}", path.display()),
        )
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => return AdminToken::parse(text.trim()).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    let token = AdminToken::generate();
    let written = store::private(OpenOptions::new().create_new(true).write(true)).open(&path).and_then(|mut file| {
        writeln!(file, "{}", token.reveal())?;
        file.sync_all()
    });
    written.map_err(|error| failed(error.to_string()))?;
    tracing::info!(path = %path.display(), "admin token made");
    Ok(token)
}
