//! The write-ahead log on the write thread: when it is moved into the file, and what is not believed of it after a
//! failure.
//!
//! SQLite's own automatic checkpoint says nothing of its failures. And while readers hold snapshots it moves a part,
//! counts that as moved, and syncs the file only with the last part. If that sync fails the kernel may drop the pages of
//! all parts, yet only the last is moved again: once the log begins anew, the others would be gone.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result, Unavailable};
use crate::store::error::sql;

/// Size of the first part of the log's index, and in it the place of the number of frames that were moved
/// (<https://sqlite.org/walformat.html>, section 2.1), and the lock that a checkpoint takes (section 2.3).
const INDEX_PART: c_int = 32_768;
const FRAMES: usize = 16;
const SALT: usize = 32;
const MOVED_FRAMES: usize = 96;
const CHECKPOINT_LOCK: c_int = 1;

/// What tells a log from the one before it under the same name, as it lies in both the log and its index.
pub type Salt = [u8; 8];

/// Where it lies in the log (<https://sqlite.org/fileformat2.html>, section 4.1).
pub const SALT_OFFSET: u64 = 16;

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalState {
    /// Changes when it begins anew.
    pub salt: Salt,
    /// Its frames.
    pub frames: u32,
    /// Those of them that are in the file.
    pub checkpointed: u32,
}

thread_local! {
    /// Pages of the log after the last commit of this thread.
    static PAGES: Cell<c_int> = const { Cell::new(0) };
}

/// Counts the log's pages with each commit of `connection`, in place of SQLite's automatic checkpoint.
pub fn install_hook(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(pages);
        Ok(())
    }));
}

/// Pages of the log after the last commit of this thread, whether they were moved since or not.
pub fn pages() -> c_int {
    PAGES.get()
}

/// Moves what the log holds into the file, as far as readers allow: it waits for nobody. Gives how many of its pages
/// are moved now; less than none where another connection is at it. The file is synced where that is all of them.
///
/// # Errors
/// Those of the file system. After one that is not a full disk, see [`distrust`].
pub fn checkpoint(connection: &Connection) -> Result<c_int> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)).map_err(sql)
}

/// Syncs the file itself.
///
/// # Errors
/// Those of the file system; then see [`distrust`].
pub fn sync_file(connection: &Connection) -> Result<()> {
    let (file, methods) = opened_file(connection)?;
    let code = match methods.xSync {
        // SAFETY: the open file of this connection, which nobody else uses meanwhile.
        Some(sync) => unsafe { sync(file, ffi::SQLITE_SYNC_FULL) },
        None => ffi::SQLITE_OK,
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failed("file", "synced", code)) }
}

fn failed(what: &str, done: &str, code: c_int) -> Error {
    Error::unavailable(Unavailable::Io, format!("The database's {what} cannot be {done} now ({code})."))
}

/// SQLite's own handle of the database file, and its methods.
fn opened_file(connection: &Connection) -> Result<(*mut ffi::sqlite3_file, &ffi::sqlite3_io_methods)> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: SQLite gives the open file of a connection that outlives what is given back, and with it the methods of
    // its VFS.
    unsafe {
        let control = ffi::SQLITE_FCNTL_FILE_POINTER;
        let code = ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), control, (&raw mut file).cast());
        let methods = if code == ffi::SQLITE_OK && !file.is_null() { (*file).pMethods.as_ref() } else { None };
        methods.map(|methods| (file, methods)).ok_or_else(|| failed("file", "found", code))
    }
}

/// Moves all that an earlier process left in the log into the file, so that the next commit begins the log anew. A commit
/// whose fsync failed just before that process ended may be there, but only in the page cache, since a failed fsync marks as
/// clean what it could not write; commits that came after it in the log would be lost with it. Where another program reads an
/// old snapshot for longer than `patience`, the log goes on as it is.
///
/// The log is not cut to nothing: were only a part of it left after a power cut, its older pages would be read in place of
/// the file's newer ones. The next commit writes a new header over it, which takes all of it away at once.
///
/// # Errors
/// Those of the file system.
pub fn checkpoint_whole(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    with_lock_timeout(connection, timeout, || connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())))?
}

/// What `act` gives while `connection` waits for locks of other programs for `timeout`. Afterwards it waits as before, also
/// where `act` failed: the connection may go on.
///
/// # Errors
/// As SQLite gives them.
pub fn with_lock_timeout<T>(
    connection: &Connection,
    timeout: Duration,
    act: impl FnOnce() -> T,
) -> rusqlite::Result<T> {
    let before: i64 = connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
    connection.busy_timeout(timeout)?;
    let given = act();
    connection.busy_timeout(Duration::from_millis(before.unsigned_abs()))?;
    Ok(given)
}

/// Gives the room that the log takes back to the disk, once all of it is moved: `commit` begins it anew, and cuts what lies
/// behind. Where somebody reads an old snapshot for longer than `patience` the log stays as it is.
///
/// # Errors
/// Those of the file system, and of the commit.
pub fn truncate(connection: &Connection, timeout: Duration, commit: impl FnOnce() -> Result<()>) -> Result<()> {
    let limit = |bytes: i64| {
        let set = format!("PRAGMA journal_size_limit = {bytes}");
        connection.query_row(&set, [], |row| row.get::<_, i64>(0)).map_err(sql)
    };
    let usual = connection.query_row("PRAGMA journal_size_limit", [], |row| row.get(0)).map_err(sql)?;
    limit(0)?;
    let begun = checkpoint_whole(connection, timeout).map_err(sql).and_then(|()| commit());
    limit(usual)?;
    begun
}

/// Where the log stands. What is asked inside a write transaction holds until its end, but for `moved`, which may grow.
///
/// # Errors
/// The log's index cannot be read.
pub fn state(connection: &Connection) -> Result<WalState> {
    let (file, methods) = opened_file(connection)?;
    let index = index(file, methods)?;
    // SAFETY: see `index`; each number is aligned and lies in the index's first part.
    let number = |at: usize| unsafe { (*index.add(at).cast::<AtomicU32>()).load(Ordering::SeqCst) };
    let mut salt = Salt::default();
    let (first, second) = salt.split_at_mut(4);
    first.copy_from_slice(&number(SALT).to_ne_bytes());
    second.copy_from_slice(&number(SALT + 4).to_ne_bytes());
    Ok(WalState { salt, frames: number(FRAMES), checkpointed: number(MOVED_FRAMES) })
}

/// The first part of the log's index, mapped into memory while the connection is open, since it has read in WAL mode.
fn index(file: *mut ffi::sqlite3_file, methods: &ffi::sqlite3_io_methods) -> Result<*mut u8> {
    let map = methods.xShmMap.ok_or_else(|| failed("index", "found", ffi::SQLITE_OK))?;
    let mut index: *mut std::ffi::c_void = ptr::null_mut();
    // SAFETY: the open file of a connection, which nobody else uses meanwhile.
    let code = unsafe { map(file, 0, INDEX_PART, 0, (&raw mut index).cast()) };
    if code != ffi::SQLITE_OK || index.is_null() {
        return Err(failed("index", "read", code));
    }
    Ok(index.cast())
}

/// Takes nothing that the log holds for moved: the next checkpoint moves all of it again.
///
/// # Errors
/// Unavailable where another program is at a checkpoint just now.
pub fn reset_backfill(connection: &Connection) -> Result<()> {
    let (file, methods) = opened_file(connection)?;
    let index = index(file, methods)?;
    let lock = methods.xShmLock.ok_or_else(|| failed("index", "found", ffi::SQLITE_OK))?;
    // SAFETY: the number is aligned, and SQLite too reads and writes it atomically, under this lock.
    unsafe {
        let code = lock(file, CHECKPOINT_LOCK, 1, ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_EXCLUSIVE);
        if code != ffi::SQLITE_OK {
            return Err(failed("index", "locked", code));
        }
        (*index.add(MOVED_FRAMES).cast::<AtomicU32>()).store(0, Ordering::SeqCst);
        lock(file, CHECKPOINT_LOCK, 1, ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_EXCLUSIVE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::store::file::held::HeldFile;
    use crate::store::file::identity::marker::Marker;
    use crate::store::file::opening;

    fn open(path: &std::path::Path) -> (HeldFile, Connection, Marker) {
        let held = opening::hold(path).unwrap();
        let (connection, marker) = opening::open(&held, Timestamp::EPOCH).unwrap();
        (held, connection, marker)
    }

    /// Frames of the log, and those of them that were moved now.
    fn moved(connection: &Connection) -> (i64, i64) {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?))).unwrap()
    }

    #[test]
    fn what_is_distrusted_is_moved_into_the_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (_held, connection, _) = open(&path);
        connection.execute_batch("INSERT INTO tally_recent (counts) VALUES (zeroblob(100000))").unwrap();
        let (frames, all) = moved(&connection);
        assert!(frames > 20 && all == frames);
        // As if the kernel had dropped what the checkpoint wrote.
        let whole = std::fs::read(&path).unwrap();
        let mut lacking = whole.clone();
        lacking[whole.len() - 80_000..].fill(0);
        std::fs::write(&path, lacking).unwrap();
        assert_eq!(moved(&connection), (frames, frames));
        assert!(std::fs::read(&path).unwrap() != whole, "SQLite takes it for moved");
        reset_backfill(&connection).unwrap();
        assert_eq!(moved(&connection), (frames, frames));
        assert!(std::fs::read(&path).unwrap() == whole);
    }

    #[test]
    fn what_an_earlier_process_left_in_the_log_is_in_the_file_after_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let [path, log] = ["a.db", "a.db-wal"].map(|name| folder.path().join(name));
        let (held, earlier, _) = open(&path);
        earlier.execute_batch("INSERT INTO tally_recent (counts) VALUES (zeroblob(500000))").unwrap();
        let left = log.metadata().unwrap().len();
        // A kill leaves the files as they are; the connection's own end would tidy them.
        std::mem::forget(earlier);
        drop(held);
        let (_held, now, _) = open(&path);
        assert_eq!(moved(&now).0, 2, "it began anew, with a mark");
        assert_eq!(log.metadata().unwrap().len(), left, "a part of it would be worse than all of it");
        let bytes: i64 = now.query_row("SELECT length(counts) FROM tally_recent", [], |row| row.get(0)).unwrap();
        assert_eq!(bytes, 500_000);
    }

    #[test]
    fn a_log_that_is_shortened_gives_its_room_back_and_its_usual_limit_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [path, log] = ["a.db", "a.db-wal"].map(|name| folder.path().join(name));
        let (held, connection, mut marker) = open(&path);
        let limit = || connection.query_row("PRAGMA journal_size_limit", [], |row| row.get::<_, i64>(0)).unwrap();
        let before = limit();
        connection.execute_batch("INSERT INTO tally_recent (counts) VALUES (zeroblob(5000000))").unwrap();
        checkpoint(&connection).unwrap();
        assert!(log.metadata().unwrap().len() > 5_000_000, "moved, and as long as it was");
        truncate(&connection, Duration::ZERO, || marker.commit(&connection, &held, true)).unwrap();
        assert!(log.metadata().unwrap().len() < 50_000);
        assert_eq!(limit(), before);
        let bytes: i64 = connection.query_row("SELECT length(counts) FROM tally_recent", [], |row| row.get(0)).unwrap();
        assert_eq!(bytes, 5_000_000);
    }

    #[test]
    fn the_log_s_pages_are_counted_until_it_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (_held, connection, _) = open(&folder.path().join("a.db"));
        install_hook(&connection);
        connection.execute_batch("INSERT INTO tally_recent (counts) VALUES (zeroblob(5000000))").unwrap();
        assert!(pages() > 1_200);
        assert_eq!(checkpoint(&connection).unwrap(), pages());
        sync_file(&connection).unwrap();
        connection.execute_batch("INSERT INTO tally_recent (counts) VALUES (x'00')").unwrap();
        assert!(pages() < 10, "it begins anew");
    }
}
