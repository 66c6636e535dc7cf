//! How long a write waits for the file's lock while another program holds it.

use std::time::Duration;

use rusqlite::Connection;

/// How long it may hold the lock while the server runs, before what waits for it is answered 503.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the next ones wait after that: nobody is to pay for the same lock again and again, a stop least of all.
pub const REPEATED_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// From now on a write waits for the file's lock only for as long as clients may be kept waiting; less if it was found
/// `locked` just before.
///
/// # Errors
/// As SQLite gives them.
pub fn set_lock_timeout(connection: &Connection, locked: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(lock_timeout(locked))
}

/// How long that is.
pub fn lock_timeout(locked: bool) -> Duration {
    if locked { REPEATED_LOCK_TIMEOUT } else { LOCK_TIMEOUT }
}
