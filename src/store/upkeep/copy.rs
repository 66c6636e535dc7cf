//! Copies a database file page by page, while a server may write to it.
//!
//! The whole copy is made in one read transaction. Without it, SQLite would begin again after each commit of the server,
//! and under load would never end. The price: meanwhile the server's log grows by all that the server writes, since no
//! page that the reader may still need leaves the log. So copying goes as fast as the disks allow, and ends early where
//! the server's disk gets full.

use std::os::unix::fs::FileExt as _;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{cannot_copy, cannot_read, unreadable, unwritable};
use super::partial::Partial;
use super::progress::{Progress, Step};
use super::source::Source;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::file::disk_space;
use crate::store::file::identity::mark::Mark;
use crate::store::file::identity::marker;
use crate::store::file::schema::MARKED_SINCE;

/// Pages that are copied between two looks at what may end the copy (2 MiB).
const PAGES_PER_STEP: i32 = 512;

/// Bytes that are copied between two syncs of the copy. One sync at the end would send everything to the disk at once,
/// and a server's commits would wait for that.
const SYNC_EACH: u64 = 16 << 20;

const MIB: u64 = 1 << 20;

/// Cache of the connection that writes the copy, in KiB. Each page is written once.
const CACHE_KIB: i64 = 2 * 1024;

/// Offset in the file of the two bytes that say how SQLite writes it
/// (<https://sqlite.org/fileformat2.html>, section 1.3).
const WRITE_VERSIONS: u64 = 18;

/// Value of these bytes for a file that has no WAL.
const WITHOUT_WAL: u8 = 1;

/// Copies `source` into `to`, and sends the copy to the disk. The copy needs no log and has no log. Returns the version
/// of its schema.
///
/// # Errors
/// Says in one line what failed.
pub fn copy(source: &Source, to: &Partial, progress: Progress<'_>) -> Result<i64> {
    let version = copy_pages(source, to, progress)?;
    // The copy is a plain file until a server opens it: nothing has to be made beside it to read it.
    to.file.write_all_at(&[WITHOUT_WAL; 2], WRITE_VERSIONS).map_err(|error| cannot_copy(to.path(), error))?;
    let marked = open(to).and_then(|connection| marker::mark_copy(&connection));
    marked.map_err(|error| unwritable(to.path(), &error))?;
    to.sync()?;
    Ok(version)
}

fn copy_pages(source: &Source, to: &Partial, progress: Progress<'_>) -> Result<i64> {
    let sql = |error: rusqlite::Error| unwritable(to.path(), &error);
    let reading = source.read()?;
    let from = reading.connection();
    from.execute_batch("BEGIN").map_err(|error| unreadable(source.path(), &error))?;
    // The first read of the transaction decides what the copy holds.
    let version = reading.version()?;
    let number = |name: &str| from.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u64>(0)).map_err(sql);
    let (pages, page_size) = (number("page_count")?, number("page_size")?);
    let total = pages * page_size;
    if let Some(free) = disk_space::free(to.path())
        && free < total
    {
        let (total, free) = (total.div_ceil(MIB), free / MIB);
        return Err(cannot_copy(to.path(), format!("it needs {total} MiB, and {free} MiB are free there")));
    }
    check_mark(source, from, version)?;
    let mut copy = open(to).map_err(sql)?;
    let backup = Backup::new(from, &mut copy).map_err(sql)?;
    let mut limits = source.limits();
    let mut synced = 0;
    let mut is_first = true;
    loop {
        let step = backup.step(PAGES_PER_STEP).map_err(sql)?;
        let left = u64::try_from(backup.progress().remaining).unwrap_or(0) * page_size;
        let done = total.saturating_sub(left);
        progress(Step::Copying { done, total });
        if std::mem::take(&mut is_first) {
            kill_point("copying");
        }
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(cannot_copy(to.path(), "another program has locked it")),
        }
        if done - synced >= SYNC_EACH {
            to.file.sync_data().map_err(|error| cannot_copy(to.path(), error))?;
            synced = done;
        }
        if let Some(reason) = limits.reached() {
            return Err(reason);
        }
    }
    Ok(version)
}

/// Refuses a file that somebody wrote over while a server uses it: SQLite would read a mixture of both. The file's mark
/// may be one step ahead of the transaction, or behind.
fn check_mark(source: &Source, from: &Connection, version: i64) -> Result<()> {
    if !source.is_served() || version < MARKED_SINCE {
        return Ok(());
    }
    let sql = |error: rusqlite::Error| unreadable(source.path(), &error);
    let bytes: Vec<u8> = from.query_row("SELECT mark FROM log_mark", [], |row| row.get(0)).map_err(sql)?;
    let in_file = source.raw().header().ok().flatten().and_then(|header| source.raw().mark(header.page_size).ok()?);
    let fits = match (Mark::parse(&bytes), in_file) {
        (Some(read), Some((found, _))) => read.is(&found) || found.before == read.own || read.before == found.own,
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(cannot_read(
            source.path(),
            "somebody wrote over it while a server uses it; stop the server, then restore a backup",
        ))
    }
}

/// Opens the copy. It needs no journal: one that is not whole is removed.
fn open(to: &Partial) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(to.path(), flags)?;
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}
