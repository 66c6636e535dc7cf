//! Why a database file cannot be used, in one line for people. Errors of a running server are in `store/error.rs`.

use std::path::Path;

use rusqlite::ErrorCode;

use super::shell_word;
use crate::error::{Error, Kind};

/// The error of a start that cannot use the database at `path`.
pub fn cannot_start(path: &Path, why: impl std::fmt::Display) -> Error {
    let path = shell_word::word(path);
    Error::new(Kind::Internal, "cannot_open_database", format!("cannot use the database {path}: {why}"))
}

/// Code of the error of a start that finds another server, or another program that needs the file for itself.
pub const DATABASE_IN_USE: &str = "database_in_use";

/// The error of a start that finds another server on the file.
pub fn in_use(path: &Path) -> Error {
    let path = shell_word::word(path);
    let why = format!("cannot use the database {path}: another data-pusher server is using it");
    Error::new(Kind::Internal, DATABASE_IN_USE, why)
}

/// Says for people why SQLite cannot open a file.
pub fn explain(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => cannot_start(path, "it is not a SQLite database"),
        Some(ErrorCode::DatabaseCorrupt) => cannot_start(path, "it is damaged; restore it from a backup"),
        Some(ErrorCode::DatabaseBusy) => cannot_start(path, "another process holds its lock"),
        _ => cannot_start(path, error),
    }
}
