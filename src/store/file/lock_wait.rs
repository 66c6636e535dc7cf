//! How long a write waits for the file's lock while another program holds that lock. Waits of a start are in
//! `start.rs`.

use std::time::Duration;

use rusqlite::Connection;

use super::checkpoints::Checkpoints;

/// How long a write waits for the lock while the server runs. After that its callers are answered 503.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The same where a replicator checkpoints. Litestream holds the lock while it copies the whole file, which takes some
/// seconds for each GB (its issue 1332). That ends, so it is worth a longer wait.
const REPLICATOR_LOCK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the next writes wait after that. Nobody is to wait the full time for the same lock again, least of all a
/// stop.
pub const REPEATED_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

const _: () = assert!(REPEATED_LOCK_TIMEOUT.as_millis() < LOCK_TIMEOUT.as_millis(), "the second wait is shorter");

/// Sets how long writes on `connection` wait for the file's lock, as [`lock_timeout`] says.
///
/// # Errors
/// Those of SQLite.
pub fn set_lock_timeout(connection: &Connection, checkpoints: Checkpoints, locked: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(lock_timeout(checkpoints, locked))
}

/// How long a write waits for the file's lock; less if the write before found it `locked`.
pub fn lock_timeout(checkpoints: Checkpoints, locked: bool) -> Duration {
    match (locked, checkpoints) {
        (true, _) => REPEATED_LOCK_TIMEOUT,
        (false, Checkpoints::Own) => LOCK_TIMEOUT,
        (false, Checkpoints::External) => REPLICATOR_LOCK_TIMEOUT,
    }
}
