//! Removes what SQLite leaves of earlier values in parts of the file that nothing uses: free pages, the gap between the
//! cells of a page, the end of an overflow page, and old frames of the WAL. `secure_delete` does not reach all of them:
//! where SQLite builds a page anew because it splits or merges pages, stale copies of cells stay in the gap. How a page
//! is made is in `pages.rs`.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::pages;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::error::sql;
use crate::store::file::error::{cannot_start, explain};
use crate::store::file::held::HeldFile;
use crate::store::file::identity::marker::Marker;
use crate::store::file::{disk_space, start, wal};

/// How long the end waits for other programs that read the WAL. Debug builds wait less, so that a test sees the end of
/// it.
const READERS_WAIT: Duration =
    if cfg!(debug_assertions) { Duration::from_millis(500) } else { Duration::from_secs(60) };

/// Why the WAL cannot be cut.
const LOG_IN_USE: &str = "another program reads its log, which is to be cut; end that program";

/// Frames of a WAL that holds nothing but a mark, at most.
const MARK_FRAMES: u64 = 4;
/// Bytes before the first frame of a WAL (<https://sqlite.org/fileformat2.html>, section 4.1).
const LOG_HEADER: u64 = 32;
/// Bytes before the page in a frame.
const FRAME_HEADER: u64 = 24;

/// Zeroes in the file itself what nothing uses, while no other program can write. Returns whether that was done:
/// otherwise the file has pages that this program does not know, and [`rewrite`] is left. The WAL is cut first.
/// Afterwards `connection` may still have pages in memory as they were, so it is to be closed before anything is
/// written.
///
/// # Errors
/// Says in one line what failed. What was zeroed was not used.
pub fn zero_unused(held: &HeldFile, connection: &Connection, marker: &mut Marker) -> Result<bool> {
    let explained = |error: rusqlite::Error| explain(held.path(), &error);
    // A test asks for the other way.
    if cfg!(debug_assertions) && std::env::var_os("DATA_PUSHER_TEST_NO_ZEROING").is_some() {
        return Ok(false);
    }
    cut_log(held, connection, marker)?;
    wal::checkpoint(connection)?;
    let began = Instant::now();
    connection.execute_batch("BEGIN IMMEDIATE").map_err(explained)?;
    let zeroed = zero_locked(held, connection);
    kill_point("sealing-zeroed");
    connection.execute_batch("ROLLBACK").map_err(explained)?;
    let written = zeroed?;
    if let Some(pages) = written {
        let took_ms = began.elapsed().as_millis() as u64;
        tracing::info!(pages, took_ms, "unused parts of the database are zeroed");
    }
    Ok(written.is_some())
}

/// The same under the lock of writers, with a WAL of which nothing is to be copied any more.
fn zero_locked(held: &HeldFile, connection: &Connection) -> Result<Option<u32>> {
    let explained = |error: rusqlite::Error| explain(held.path(), &error);
    let log = wal::state(connection)?;
    if log.frames != log.checkpointed {
        return Err(cannot_start(held.path(), LOG_IN_USE));
    }
    let mut roots = connection.prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").map_err(explained)?;
    let roots = roots.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(explained)?;
    let goes_on = || match start::is_ended() {
        true => Err(std::io::Error::other("the start was told to end")),
        false => Ok(()),
    };
    let roots: Vec<u32> = roots;
    pages::zero_unused(held.raw().file, &roots, goes_on).map_err(|error| cannot_start(held.path(), error))
}

/// Rewrites the file from what its tables hold. In all parts that nothing uses, zeros or sealed values are left.
///
/// # Errors
/// Says in one line what failed. The file is then as it was.
pub fn rewrite(held: &HeldFile, connection: &Connection, marker: &mut Marker) -> Result<()> {
    let explained = |error: rusqlite::Error| explain(held.path(), &error);
    let number = |name: &str| {
        let number = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u64>(0));
        number.map_err(explained)
    };
    let bytes = number("page_count")? * number("page_size")?;
    let mib = bytes.div_ceil(1 << 20);
    if let Some(free) = disk_space::free(held.path())
        && free < 2 * bytes
    {
        let (needed, free) = (2 * mib, free >> 20);
        let why =
            format!("sealing rewrites it once, which needs {needed} MiB, and {free} MiB are free there; make room");
        return Err(cannot_start(held.path(), why));
    }
    let began = Instant::now();
    tracing::info!(mib, "rewriting the database once, so that no plain secret is left in it; that may take a while");
    // A temporary file gets all rows. Their secrets are sealed by now. It lies, without a name, where the room is.
    let folder = held.path().parent().and_then(|folder| folder.to_str()).unwrap_or_default().replace('\'', "''");
    let begin = format!("PRAGMA temp_store = FILE; PRAGMA temp_store_directory = '{folder}'");
    connection.execute_batch(&begin).map_err(explained)?;
    let rewritten = connection.execute_batch("VACUUM");
    let end = "PRAGMA temp_store = MEMORY; PRAGMA temp_store_directory = ''";
    connection.execute_batch(end).map_err(explained)?;
    rewritten.map_err(explained)?;
    kill_point("sealing-vacuumed");
    marker.schema_changed();
    marker.commit(connection, held, true)?;
    tracing::info!(took_ms = began.elapsed().as_millis() as u64, "the database is rewritten");
    Ok(())
}

/// Moves all of the WAL into the file and cuts it, so that nothing of it is left. SQLite writes a WAL over from its
/// beginning, and else keeps what lay behind.
///
/// # Errors
/// Another program reads the WAL, or those of the file.
pub fn cut_log(held: &HeldFile, connection: &Connection, marker: &mut Marker) -> Result<()> {
    let before = wal::state(connection)?.salt;
    wal::truncate(connection, READERS_WAIT, || marker.commit(connection, held, true))?;
    let now = wal::state(connection)?;
    let log = held.log_path().metadata().map_err(|error| cannot_start(held.path(), error))?;
    let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(sql)?;
    let used = u64::from(now.frames);
    if now.salt == before || used > MARK_FRAMES || log.len() > LOG_HEADER + used * (FRAME_HEADER + page) {
        return Err(cannot_start(held.path(), LOG_IN_USE));
    }
    Ok(())
}
