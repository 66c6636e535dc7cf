//! A start that waits for another program's lock, or carries an older file forward, and is told to end.

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};

use crate::error::{Error, Kind, Result};

/// How long another process may hold the file's lock while the server starts; also for reads, which wait only while
/// somebody recovers the log.
pub const LOCKED_AT_START: Duration = Duration::from_secs(60);

/// When a start that waits for the lock says so, and between two tries to get it.
const SAY_LOCKED: Duration = Duration::from_secs(1);
pub const TRY_LOCK: Duration = Duration::from_millis(25);

/// SQLite's busy handlers are functions without a state of their own.
static START: Mutex<Start> = Mutex::new(Start { ended: false, work: None });

struct Start {
    ended: bool,
    work: Option<InterruptHandle>,
}

fn start() -> MutexGuard<'static, Start> {
    START.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the start of this process's server as soon as it can be: what it does to the file is undone, or done to its end.
pub fn end() {
    let mut start = start();
    start.ended = true;
    if let Some(work) = &start.work {
        work.interrupt();
    }
}

/// Lets [`end`] interrupt what `connection` does, until it is dropped.
pub struct Interruptible;

impl Interruptible {
    /// Of the one connection of a start.
    ///
    /// # Errors
    /// It was told to end already.
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

/// Waits for another program's lock while the server starts, `tries` times so far; says so once.
pub fn wait(tries: c_int) -> bool {
    let waited = TRY_LOCK * tries.unsigned_abs();
    if (SAY_LOCKED..SAY_LOCKED + TRY_LOCK).contains(&waited) {
        let at_most_seconds = LOCKED_AT_START.as_secs();
        tracing::warn!(at_most_seconds, "waiting for another program that has locked the database");
    }
    std::thread::sleep(TRY_LOCK);
    waited < LOCKED_AT_START && !start().ended
}
