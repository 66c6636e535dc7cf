//! Lets a start be ended while it waits for another program's lock or migrates an older file. Waits of a running server
//! are in `lock_wait.rs`.

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};

use crate::error::{Error, Kind, Result};

/// How long another process may hold the file's lock while the server starts. The same holds for reads, which wait only
/// while somebody recovers the WAL.
pub const LOCKED_AT_START: Duration = Duration::from_secs(60);

/// After this long, a start that waits for the lock says so.
const SAY_LOCKED: Duration = Duration::from_secs(1);
/// Time between two tries to get the lock.
pub const TRY_LOCK: Duration = Duration::from_millis(25);

const _: () = assert!(TRY_LOCK.as_millis() < SAY_LOCKED.as_millis(), "a short wait is not logged");
const _: () = assert!(SAY_LOCKED.as_millis() < LOCKED_AT_START.as_millis(), "a long wait is logged before it ends");

/// Static, since SQLite's busy handlers are functions without a state of their own.
static START: Mutex<Start> = Mutex::new(Start { ended: false, work: None });

struct Start {
    ended: bool,
    work: Option<InterruptHandle>,
}

fn start() -> MutexGuard<'static, Start> {
    START.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the start of this process's server as soon as possible. What the start does to the file is undone, or
/// completed.
pub fn end() {
    let mut start = start();
    start.ended = true;
    if let Some(work) = &start.work {
        work.interrupt();
    }
}

/// Whether the start of this process's server was asked to end.
pub fn is_ended() -> bool {
    start().ended
}

/// While this value exists, [`end`] can interrupt what the connection does.
pub struct Interruptible;

impl Interruptible {
    /// For the one connection of a start.
    ///
    /// # Errors
    /// The start was already asked to end.
    pub fn new(connection: &Connection) -> Result<Self> {
        let mut start = start();
        if start.ended {
            return Err(Error::new(Kind::Internal, "start_ended", "the start was told to end"));
        }
        start.work = Some(connection.get_interrupt_handle());
        Ok(Self)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        start().work = None;
    }
}

/// Busy handler of a start: waits for another program's lock, for which `tries` tries have failed before. Logs that
/// once.
pub fn wait(tries: c_int) -> bool {
    let waited = TRY_LOCK * tries.unsigned_abs();
    if (SAY_LOCKED..SAY_LOCKED + TRY_LOCK).contains(&waited) {
        let at_most_seconds = LOCKED_AT_START.as_secs();
        tracing::warn!(at_most_seconds, "waiting for another program that has locked the database");
    }
    std::thread::sleep(TRY_LOCK);
    waited < LOCKED_AT_START && !start().ended
}
