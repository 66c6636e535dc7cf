//! How long a write waits for the file's lock while another program holds that lock. Waits of a start are in
//! `start.rs`.

use std::time::Duration;

use rusqlite::Connection;

/// How long a write waits for the lock while the server runs. After that its callers are answered 503.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the next writes wait after that. Nobody is to wait the full time for the same lock again, least of all a
/// stop.
pub const REPEATED_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

const _: () = assert!(REPEATED_LOCK_TIMEOUT.as_millis() < LOCK_TIMEOUT.as_millis(), "the second wait is shorter");

/// Sets how long writes on `connection` wait for the file's lock, as [`lock_timeout`] says.
///
/// # Errors
/// Those of SQLite.
pub fn set_lock_timeout(connection: &Connection, locked: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(lock_timeout(locked))
}

/// How long a write waits for the file's lock; less if the write before found it `locked`.
pub fn lock_timeout(locked: bool) -> Duration {
    if locked { REPEATED_LOCK_TIMEOUT } else { LOCK_TIMEOUT }
}
