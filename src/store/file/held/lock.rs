//! The lock that keeps a second server off a file, whatever name, link or mount it comes by.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
#[cfg(not(target_os = "linux"))]
use crate::store::file::companions::owner_only;
use crate::store::file::companions::sibling_path;
use crate::store::file::error::cannot_start;

/// How long a start tries to get the lock, and between two tries: a server that is just ending gives its lock back in a moment.
const ENDS_WITHIN: Duration = Duration::from_millis(200);
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// For reading and writing.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

fn taken(path: &Path) -> Error {
    cannot_start(path, "another data-pusher server is using it")
}

/// A file beside the database that is locked, and goes with the lock.
#[derive(Debug)]
pub struct CompanionLock {
    path: PathBuf,
    _file: File,
}

impl CompanionLock {
    fn take(path: PathBuf, options: &mut OpenOptions, database: &Path) -> Result<Self> {
        let file = options.open(&path).map_err(|error| cannot_start(database, error))?;
        lock_one(&file, database)?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for CompanionLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `flock` on the file itself; SQLite's own locks do not see it. Servers of earlier versions lock a companion: theirs may run,
/// or have left it, and one that starts later is to find it locked.
#[cfg(target_os = "linux")]
pub fn lock(file: &File, path: &Path) -> Result<Option<CompanionLock>> {
    lock_one(file, path)?;
    let earlier = sibling_path(path, ".lock");
    if earlier.exists() { CompanionLock::take(earlier, &mut options(), path).map(Some) } else { Ok(None) }
}

/// Elsewhere `flock` and SQLite's locks are one and the same, so that a companion is locked.
#[cfg(not(target_os = "linux"))]
pub fn lock(_: &File, path: &Path) -> Result<Option<CompanionLock>> {
    let path_of_lock = sibling_path(path, ".lock");
    CompanionLock::take(path_of_lock, owner_only(options().create(true)), path).map(Some)
}

fn lock_one(file: &File, path: &Path) -> Result<()> {
    let end = Instant::now() + ENDS_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(TRY_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(taken(path)),
            Err(TryLockError::Error(error)) => return Err(cannot_start(path, error)),
        }
    }
}
