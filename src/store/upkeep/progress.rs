//! How far long work has come, and when it must end early.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{interrupted, low_disk};
use crate::error::{Error, Result};
use crate::process::interrupt;
use crate::store::error::sql;
use crate::store::file::disk_space;

/// Instructions of SQLite between two looks at what may end a statement.
const INSTRUCTIONS: i32 = 10_000;

/// Time between two looks at the disk space.
const LOOK_AT_DISK: Duration = Duration::from_millis(200);

/// What long work is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Copying pages.
    Copying {
        /// Bytes copied so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Checking: one part after the other, and each takes another time.
    Checking(&'static str),
}

/// Is told how far the work has come.
pub type Progress<'a> = &'a dyn Fn(Step);

/// What must end long work that reads a file.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The file that is read, if a server uses it. While it is read, the log beside it grows.
    served: Option<PathBuf>,
    looked: Instant,
}

impl Limits {
    /// Limits of reading a file that a server uses, if it is `served`.
    pub fn new(served: Option<PathBuf>) -> Self {
        Self { served, looked: Instant::now() }
    }

    /// Why the work must end now, if it must. The disk is looked at only now and then.
    pub fn reached(&mut self) -> Option<Error> {
        if !interrupt::is_asked() && self.looked.elapsed() < LOOK_AT_DISK {
            return None;
        }
        self.looked = Instant::now();
        self.look()
    }

    fn look(&self) -> Option<Error> {
        if interrupt::is_asked() {
            return Some(interrupted());
        }
        self.served.as_deref().filter(|database| disk_space::is_near_reserve(database)).map(low_disk)
    }

    /// Runs `act`. Its statements on `connection` are interrupted once a limit is reached.
    ///
    /// # Errors
    /// The limit that was reached. What `act` returns is returned as it is.
    pub fn during<T>(
        &self,
        connection: &Connection,
        act: impl FnOnce() -> rusqlite::Result<T>,
    ) -> Result<rusqlite::Result<T>> {
        let mut limits = self.clone();
        connection.progress_handler(INSTRUCTIONS, Some(move || limits.reached().is_some())).map_err(sql)?;
        let done = act();
        connection.progress_handler(0, None::<fn() -> bool>).map_err(sql)?;
        match done {
            Err(error) => self.look().map_or(Ok(Err(error)), Err),
            done => Ok(done),
        }
    }
}
