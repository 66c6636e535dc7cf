//! What ends a backup, a check or a restore, each in one line for people that says what to do.

use std::fmt::Display;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, Kind};
use crate::store::file::shell_word::word;

fn failed(line: String) -> Error {
    Error::new(Kind::Internal, "upkeep_failed", line)
}

/// Code of an error that says nothing about the file: it is another user's, or another program has locked it.
pub const NO_ACCESS: &str = "upkeep_no_access";

/// A file cannot be read.
pub fn cannot_read(path: &Path, why: impl Display) -> Error {
    failed(format!("cannot read the database {}: {why}", word(path)))
}

/// The copy cannot be written.
pub fn cannot_copy(to: &Path, why: impl Display) -> Error {
    failed(format!("cannot write the copy {}: {why}", word(to)))
}

/// The restore cannot go on. Nothing was changed.
pub fn cannot_restore(database: &Path, why: impl Display) -> Error {
    failed(format!("cannot restore the database {}: {why}", word(database)))
}

/// The rotation of the key cannot go on.
pub fn cannot_rotate(database: &Path, why: impl Display) -> Error {
    failed(format!("cannot rotate the key of the database {}: {why}", word(database)))
}

/// The key of a file cannot be forgotten. Nothing was changed.
pub fn cannot_forget(database: &Path, why: impl Display) -> Error {
    failed(format!("cannot forget the key of the database {}: {why}", word(database)))
}

/// A sealed copy cannot be opened.
pub fn cannot_open_copy(copy: &Path, why: impl Display) -> Error {
    failed(format!("cannot open the sealed copy {}: {why}", word(copy)))
}

/// A signal asked for the end.
pub fn interrupted() -> Error {
    failed("interrupted; nothing was changed".to_owned())
}

/// A server's log grows while its file is read, and the server must keep its reserve.
pub fn low_disk(database: &Path) -> Error {
    let database = word(database);
    failed(format!(
        "stopped, because the disk of {database} is nearly full, and a server's log grows while its file is read; make room"
    ))
}

/// Why SQLite cannot read a file.
pub fn unreadable(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => cannot_read(path, "it is not a SQLite database"),
        Some(ErrorCode::DatabaseCorrupt) => {
            cannot_read(path, "it is damaged; data-pusher check says where; restore a backup")
        }
        Some(ErrorCode::DatabaseBusy) => no_access(path, "another program holds its lock"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            no_access(path, &format!("{error}; run this as the user that the server runs as"))
        }
        _ => cannot_read(path, error),
    }
}

fn no_access(path: &Path, why: &str) -> Error {
    Error::new(Kind::Internal, NO_ACCESS, cannot_read(path, why).detail())
}

/// Why SQLite cannot write the copy at `to`, or read its original.
pub fn unwritable(to: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => cannot_copy(to, "the disk is full"),
        Some(ErrorCode::DatabaseCorrupt) => {
            cannot_copy(to, "its original is damaged; data-pusher check says where; restore a backup")
        }
        Some(ErrorCode::SystemIoFailure) => {
            cannot_copy(to, format!("{error}; the disk may be failing, or files may have a limited size (ulimit -f)"))
        }
        _ => cannot_copy(to, error),
    }
}

/// A copy has `count` faults, and so has its original. The copy is not kept.
pub fn not_whole(original: &Path, first: &str, count: usize) -> Error {
    let original = word(original);
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    failed(format!(
        "the copy of {original} has a fault and was not kept: {first}{more}; data-pusher check --database {original} says what to do"
    ))
}
