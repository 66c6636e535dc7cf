//! What a failure of the database means to who asked for something.

use rusqlite::ErrorCode;

use crate::error::{Error, Kind};

/// Code of a failure after which the connection is opened anew.
pub const IO_FAILURE: &str = "storage_unavailable";

/// Code of a failure to get the file's lock: another program holds it.
pub const LOCKED: &str = "storage_locked";

/// Code of a write that found no room: the transaction it was in is lost.
pub const STORAGE_FULL: &str = "storage_full";

/// Code of a refusal below the reserve: nothing was written yet.
pub const STORAGE_LOW: &str = "storage_low";

/// What is refused below the reserve.
pub fn disk_low() -> Error {
    Error::unavailable(STORAGE_LOW, "Disk space is below the reserve; send it again when there is room.")
}

/// What a failure of SQLite means to a caller.
pub fn sql(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::unavailable(STORAGE_FULL, "The disk is full; send it again when there is room.")
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => Error::unavailable(IO_FAILURE, format!("The database cannot be written now: {error}.")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::unavailable(LOCKED, "Another program has locked the database; send it again later.")
        }
        _ => Error::new(Kind::Internal, "database_error", error.to_string()),
    }
}

/// More waits than the write thread takes.
pub fn full() -> Error {
    Error::unavailable("queue_full", "More arrives than the disk takes; send it again later.")
}

/// The write thread has ended, or is about to.
pub fn stopping() -> Error {
    Error::unavailable("stopping", "The server is stopping; send it again later.")
}
