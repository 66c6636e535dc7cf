//! The lock that keeps a second server off a file, whatever name, link or mount that server uses. Locks of transactions
//! are SQLite's own.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Result;
#[cfg(not(target_os = "linux"))]
use crate::store::file::companions::owner_only;
use crate::store::file::companions::sibling_path;
use crate::store::file::error::{cannot_start, in_use};

/// How long a start tries to get the lock: a server that is just ending releases its lock in a moment.
const ENDS_WITHIN: Duration = Duration::from_millis(200);
/// Time between two tries to get the lock.
const TRY_AGAIN: Duration = Duration::from_millis(20);

const _: () = assert!(TRY_AGAIN.as_millis() < ENDS_WITHIN.as_millis(), "there is more than one try");

/// Options that open a file for reading and writing.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// A locked file beside the database, which is removed together with the lock.
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

/// Locks the file itself with `flock`, which SQLite's own locks do not see. Servers of earlier versions lock a
/// companion file. If that exists, it is locked too: such a server may run, or may start later.
#[cfg(target_os = "linux")]
pub fn lock(file: &File, path: &Path) -> Result<Option<CompanionLock>> {
    lock_one(file, path)?;
    let earlier = sibling_path(path, ".lock");
    if earlier.exists() { CompanionLock::take(earlier, &mut options(), path).map(Some) } else { Ok(None) }
}

/// On other systems `flock` and SQLite's locks are the same, so a companion file is locked.
#[cfg(not(target_os = "linux"))]
pub fn lock(_: &File, path: &Path) -> Result<Option<CompanionLock>> {
    let path_of_lock = sibling_path(path, ".lock");
    CompanionLock::take(path_of_lock, owner_only(options().create(true)), path).map(Some)
}

/// Whether a server, or another program that needs the file for itself, has locked it. `file` only has to be open for
/// reading.
///
/// # Errors
/// Those of the file system.
pub fn is_taken(file: &File, path: &Path) -> Result<bool> {
    let is_locked = |file: &File| match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    };
    let failed = |error: std::io::Error| cannot_start(path, error);
    // On other systems than Linux, and by earlier versions, a companion file is locked.
    if cfg!(target_os = "linux") && is_locked(file).map_err(failed)? {
        return Ok(true);
    }
    match File::open(sibling_path(path, ".lock")) {
        Ok(companion) => is_locked(&companion).map_err(failed),
        // There is none, or it is another user's, and nothing is known of it.
        Err(_) => Ok(false),
    }
}

fn lock_one(file: &File, path: &Path) -> Result<()> {
    let end = Instant::now() + ENDS_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(TRY_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(error)) => return Err(cannot_start(path, error)),
        }
    }
}
