//! How long a write waits for the file's lock while another program holds it.

use std::time::Duration;

use rusqlite::Connection;

/// How long it may hold the lock while the server runs, before what waits for it is answered 503.
const LOCKED: Duration = Duration::from_secs(5);

/// How long the next ones wait after that: nobody is to pay for the same lock again and again, a stop least of all.
pub const STILL_LOCKED: Duration = Duration::from_millis(250);

/// From now on a write waits for the file's lock only for as long as clients may be kept waiting; less if it was found
/// `locked` just before.
///
/// # Errors
/// As SQLite gives them.
pub fn wait_less(connection: &Connection, locked: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(usual_wait(locked))
}

/// How long that is.
pub fn usual_wait(locked: bool) -> Duration {
    if locked { STILL_LOCKED } else { LOCKED }
}
