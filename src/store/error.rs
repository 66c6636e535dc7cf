//! What a failure of the database means to the caller of a store function. Errors of a start that cannot open the file
//! are in `file/error.rs`.

use rusqlite::ErrorCode;

use crate::error::{Error, Kind, Unavailable};

/// The error for an event while free disk space is below the reserve.
pub fn disk_low() -> Error {
    Error::unavailable(Unavailable::DiskLow, "Disk space is below the reserve; send it again when there is room.")
}

/// The error where the memory budget has no place for a document.
pub fn no_memory() -> Error {
    Error::unavailable(Unavailable::NoMemory, "There is no memory for the document now; see --memory.")
}

/// Converts an error of SQLite to what the caller gets.
pub fn sql(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::unavailable(Unavailable::DiskFull, "The disk is full; send it again when there is room.")
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => Error::unavailable(Unavailable::Io, format!("The database cannot be written now: {error}.")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::unavailable(Unavailable::Locked, "Another program has locked the database; send it again later.")
        }
        _ => Error::new(Kind::Internal, "database_error", error.to_string()),
    }
}

/// The error for a caller that finds the queue of the write thread full.
pub fn full() -> Error {
    Error::unavailable(Unavailable::QueueFull, "More arrives than the disk takes; send it again later.")
}

/// The error for a caller while the server stops.
pub fn stopping() -> Error {
    Error::unavailable(Unavailable::Stopping, "The server is stopping; send it again later.")
}
