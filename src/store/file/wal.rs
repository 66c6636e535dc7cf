//! The write-ahead log (WAL) as the write thread uses it: how its frames are copied into the file, and what is not
//! trusted after a failure. When that happens is decided by `checkpointer.rs` and the write thread.
//!
//! SQLite's own automatic checkpoint does not report its failures. While readers hold snapshots, it copies a part,
//! counts that part as copied, and syncs the file only with the last part. If that sync fails, the kernel may drop the
//! pages of all parts, but only the last part is copied again. Once the WAL starts again, the other pages would be
//! lost.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result, Unavailable};
use crate::store::error::sql;

/// Bytes of the first part of the WAL index (<https://sqlite.org/walformat.html>, section 2.1).
const INDEX_PART: c_int = 32_768;
/// Offset in the index of the number of frames (`mxFrame`).
const FRAMES: usize = 16;
/// Offset in the index of the salt (`aSalt`).
const SALT: usize = 32;
/// Offset in the index of the number of frames that were copied into the file (`nBackfill`).
const MOVED_FRAMES: usize = 96;
/// The lock that a checkpoint takes (section 2.3 of the same page).
const CHECKPOINT_LOCK: c_int = 1;

const _: () = assert!(MOVED_FRAMES + 4 <= INDEX_PART as usize, "all numbers lie in the first part");

/// Distinguishes a WAL from the one before it under the same name. The WAL and its index contain the same bytes.
pub type Salt = [u8; 8];

/// Offset of the salt in the WAL (<https://sqlite.org/fileformat2.html>, section 4.1).
pub const SALT_OFFSET: u64 = 16;

/// The state of the WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalState {
    /// Changes when the WAL starts again.
    pub salt: Salt,
    /// Number of frames.
    pub frames: u32,
    /// How many of the frames are copied into the file.
    pub checkpointed: u32,
}

thread_local! {
    /// Pages of the WAL after the last commit of this thread.
    static PAGES: Cell<c_int> = const { Cell::new(0) };
}

/// Counts the WAL's pages at each commit of `connection`. The hook takes the place of SQLite's automatic checkpoint.
pub fn install_hook(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(pages);
        Ok(())
    }));
}

/// Pages of the WAL after the last commit of this thread, whether they were copied since or not.
pub fn pages() -> c_int {
    PAGES.get()
}

/// Copies what the WAL holds into the file, as far as readers allow; waits for nobody. Returns how many pages of the
/// WAL are copied now; negative if another connection is checkpointing. SQLite syncs the file only if all pages are
/// copied.
///
/// # Errors
/// Those of the file system. After one that is not a full disk, see [`reset_backfill`].
pub fn checkpoint(connection: &Connection) -> Result<c_int> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)).map_err(sql)
}

/// Syncs the database file itself.
///
/// # Errors
/// Those of the file system. Then see [`reset_backfill`].
pub fn sync_file(connection: &Connection) -> Result<()> {
    let (file, methods) = opened_file(connection)?;
    let code = match methods.xSync {
        // SAFETY: this is the open file of `connection`, which nobody else uses meanwhile.
        Some(sync) => unsafe { sync(file, ffi::SQLITE_SYNC_FULL) },
        None => ffi::SQLITE_OK,
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failed("file", "synced", code)) }
}

fn failed(what: &str, done: &str, code: c_int) -> Error {
    Error::unavailable(Unavailable::Io, format!("The database's {what} cannot be {done} now ({code})."))
}

/// SQLite's own handle of the database file, and the methods of that handle.
fn opened_file(connection: &Connection) -> Result<(*mut ffi::sqlite3_file, &ffi::sqlite3_io_methods)> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: SQLite returns the open file of a connection that outlives what is returned here, and with it the methods
    // of its VFS.
    unsafe {
        let control = ffi::SQLITE_FCNTL_FILE_POINTER;
        let code = ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), control, (&raw mut file).cast());
        let methods = if code == ffi::SQLITE_OK && !file.is_null() { (*file).pMethods.as_ref() } else { None };
        methods.map(|methods| (file, methods)).ok_or_else(|| failed("file", "found", code))
    }
}

/// Copies all that an earlier process left in the WAL into the file, so that the next commit starts the WAL again. That
/// process may have ended just after a failed fsync. Its last commit is then only in the page cache, since a failed
/// fsync marks as clean what it could not write. Commits that came after it in the WAL would be lost with it. If
/// another program reads an old snapshot for longer than `timeout`, the WAL goes on as it is.
///
/// The WAL is not cut to length 0. If only a part of it were left after a power cut, older pages would be read in place
/// of the file's newer ones. The next commit writes a new header, which makes all old frames invalid at once.
///
/// # Errors
/// Those of the file system.
pub fn checkpoint_whole(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    with_lock_timeout(connection, timeout, || connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())))?
}

/// Runs `act` while `connection` waits for locks of other programs for at most `timeout`. Afterwards the earlier
/// timeout is set again, also if `act` failed, since the connection may go on. A busy handler is not set again.
///
/// # Errors
/// Those of SQLite.
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

/// Gives the disk space of the WAL back. First all of the WAL is copied; then `commit` starts the WAL again and cuts
/// what lies after it. If somebody reads an old snapshot for longer than `timeout`, the WAL stays as it is.
///
/// # Errors
/// Those of the file system, and of `commit`.
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

/// The state of the WAL. Inside a write transaction it holds until the end of that, except `checkpointed`, which may
/// grow.
///
/// # Errors
/// The WAL index cannot be read.
pub fn state(connection: &Connection) -> Result<WalState> {
    let (file, methods) = opened_file(connection)?;
    let index = index(file, methods)?;
    // SAFETY: see `index`; each number is aligned and lies in the first part of the index.
    let number = |at: usize| unsafe { (*index.add(at).cast::<AtomicU32>()).load(Ordering::SeqCst) };
    let mut salt = Salt::default();
    let (first, second) = salt.split_at_mut(4);
    first.copy_from_slice(&number(SALT).to_ne_bytes());
    second.copy_from_slice(&number(SALT + 4).to_ne_bytes());
    Ok(WalState { salt, frames: number(FRAMES), checkpointed: number(MOVED_FRAMES) })
}

/// The first part of the WAL index. The mapping lives as long as the connection, which has read in WAL mode.
fn index(file: *mut ffi::sqlite3_file, methods: &ffi::sqlite3_io_methods) -> Result<*mut u8> {
    let map = methods.xShmMap.ok_or_else(|| failed("index", "found", ffi::SQLITE_OK))?;
    let mut index: *mut std::ffi::c_void = ptr::null_mut();
    // SAFETY: this is the open file of a connection, which nobody else uses meanwhile.
    let code = unsafe { map(file, 0, INDEX_PART, 0, (&raw mut index).cast()) };
    if code != ffi::SQLITE_OK || index.is_null() {
        return Err(failed("index", "read", code));
    }
    Ok(index.cast())
}

/// Counts no frame of the WAL as copied: sets `nBackfill` in the index to 0, under the lock of checkpoints. The next
/// checkpoint copies every frame again. After a failed fsync the kernel may have dropped pages that count as copied.
///
/// # Errors
/// Unavailable if another program runs a checkpoint just now.
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

    /// Frames of the WAL, and how many of them are copied now.
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
        // The connection is never closed, as after a kill.
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
