//! Opens the database file: what the file must be, and the pragmas of its connections. Checks before SQLite sees the
//! file are in `identity/inspect.rs`.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checkpoints::Checkpoints;
use super::error::{cannot_start, explain};
pub use super::held::HeldFile;
use super::identity::inspect;
use super::identity::marker::Marker;
use super::lock_wait::REPEATED_LOCK_TIMEOUT;
use super::schema::{APPLICATION_ID, MARKED_SINCE, SCHEMA, VERSION};
use super::start::{self, Interruptible, LOCKED_AT_START, TRY_LOCK};
use super::{companions, migrations, wal};
use crate::domain::time::Timestamp;
use crate::error::Result;

/// How long a stop tries to have the WAL and its index removed.
const LEAVE_ALONE: Duration = Duration::from_secs(2);

/// Logs a warning if others than the owner may read the file.
fn warn_if_open_to_others(path: &Path) {
    if let Ok(meta) = path.metadata() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "others can read this file; run chmod 600 on it");
        }
    }
}

/// [`hold_with`] for a file whose WAL no other program copies.
///
/// # Errors
/// As there.
#[cfg(test)]
pub fn hold(database: &Path) -> Result<HeldFile> {
    hold_with(database, Checkpoints::Own)
}

/// Locks the file, and inspects what is at its path before SQLite opens it. Nothing in the file is changed.
///
/// # Errors
/// Says in one line who holds the file, or why it cannot be used, and what to do.
pub fn hold_with(database: &Path, checkpoints: Checkpoints) -> Result<HeldFile> {
    let held = HeldFile::take(database, checkpoints)?;
    match inspect::inspect(held.raw(), checkpoints) {
        Ok(log) => {
            if checkpoints.are_external() {
                // The WAL goes on, so the replicator may copy any of its marks into the file.
                log.marks.iter().for_each(|mark| held.expect(*mark));
            }
            Ok(held)
        }
        Err(error) => {
            held.refuse();
            Err(error)
        }
    }
}

/// Opens the read-write connection, makes the schema in a new file and migrates an older one. The WAL starts again with
/// a mark that no earlier copy of the file has.
///
/// # Errors
/// Says in one line why the file cannot be used.
pub fn open(held: &HeldFile, now: Timestamp) -> Result<(Connection, Marker)> {
    let path = held.path();
    let sql = |error: rusqlite::Error| explain(path, &error);
    let mut connection = connect(path).map_err(sql)?;
    let start = Interruptible::new(&connection)?;
    let opened = prepare(held, &mut connection, now)
        .and_then(|mut marker| begin_log(&connection, &mut marker, held).map(|()| marker));
    drop(start);
    match opened {
        Ok(marker) => {
            connection.busy_timeout(LOCKED_AT_START).map_err(sql)?;
            keep_log(&connection, true).map_err(sql)?;
            held.log_is_open();
            warn_if_open_to_others(path);
            Ok((connection, marker))
        }
        Err(error) => {
            // An interrupt lasts until a statement has run. Without this one, the end of the connection could not
            // checkpoint the WAL.
            let _ = connection.query_row("SELECT 1", [], |_| Ok(()));
            Err(error)
        }
    }
}

/// Starts the WAL again, twice. The first new mark follows a mark that copies made after the last clean stop have too.
/// A WAL that another program copies goes on instead, with one more mark.
fn begin_log(connection: &Connection, marker: &mut Marker, held: &HeldFile) -> Result<()> {
    let sql = |error: rusqlite::Error| explain(held.path(), &error);
    if held.checkpoints().are_external() {
        // A new file, or one of an early version, has no mark yet: so far it is only in the WAL.
        if !held.has_mark().map_err(|error| cannot_start(held.path(), error))? {
            wal::checkpoint(connection)?;
        }
        connection.busy_handler(Some(start::wait)).map_err(sql)?;
        return marker.commit(connection, held, true).map_err(|error| cannot_start(held.path(), error));
    }
    let begin = |marker: &mut Marker| {
        wal::checkpoint_whole(connection, REPEATED_LOCK_TIMEOUT).map_err(sql)?;
        connection.busy_handler(Some(start::wait)).map_err(sql)?;
        marker.commit(connection, held, true).map_err(|error| cannot_start(held.path(), error))
    };
    let begun = begin(marker).and_then(|()| begin(marker));
    if begun.is_err() {
        end_log(connection, marker, held)?;
    }
    begun
}

/// Makes sure after a failed start that the file does not need a WAL that the end of the connection removes.
fn end_log(connection: &Connection, marker: &mut Marker, held: &HeldFile) -> Result<()> {
    // An interrupt lasts until a statement has run.
    let _ = connection.query_row("SELECT 1", [], |_| Ok(()));
    if marker.commit(connection, held, false).is_err() {
        // The file may say that it needs its WAL.
        keep_log(connection, true).map_err(|error| explain(held.path(), &error))?;
    }
    Ok(())
}

/// Sets whether the WAL stays when the last connection ends. Otherwise SQLite checkpoints and removes it. The WAL must
/// stay until the file says that no WAL is needed.
///
/// # Errors
/// Those of SQLite.
pub fn keep_log(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

/// Makes sure after the last connection that nothing is left beside the file, and that this is on disk. A connection
/// that closed a moment later, or another program's, may have kept SQLite from removing the WAL.
pub fn leave_alone(held: &HeldFile) {
    let end = Instant::now() + LEAVE_ALONE;
    while ["-wal", "-shm"].iter().any(|ending| companions::sibling_path(held.path(), ending).exists()) {
        if Instant::now() > end {
            tracing::warn!(
                "another program has the database open; the log beside it is to be moved and copied with it"
            );
            break;
        }
        std::thread::sleep(TRY_LOCK);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = |connection: Connection| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        if let Err(error) = Connection::open_with_flags(held.path(), flags).and_then(read) {
            tracing::warn!(%error, "the log stays beside the database, and belongs to it");
            break;
        }
    }
    if let Err(error) = companions::sync_folder(held.path()) {
        tracing::warn!(%error, "the folder of the database cannot be synced");
    }
}

/// Opens a read-write connection and sets its pragmas. Nothing is changed in a file of another program.
///
/// # Errors
/// Those of SQLite.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Comes first: `journal_mode=WAL` needs the lock, and another process may be reading.
    connection.busy_handler(Some(start::wait))?;
    let (application, tables): (i64, i64) = connection.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if application == 0 && tables == 0 {
        // This can only be set while the file is empty. With it, pages that retention frees go back to the file system.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    if application == APPLICATION_ID || tables == 0 {
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON;
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096",
        )?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Sets the pragmas of a pool's read-only connection, with a cache of up to `cache_kib` KiB. Each commit of another
/// connection empties that cache.
///
/// # Errors
/// Those of SQLite.
pub fn prepare_reader(connection: &Connection, cache_kib: u32) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCKED_AT_START)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY")?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.set_prepared_statement_cache_capacity(48);
    Ok(())
}

/// The file as a URI for SQLite, which then takes it for unchangeable: it needs no lock, no log and no index.
pub fn immutable_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let path = percent_encoding::percent_encode(path.as_os_str().as_bytes(), percent_encoding::NON_ALPHANUMERIC);
    format!("file:{}?immutable=1", path.to_string().replace("%2F", "/"))
}

fn prepare(held: &HeldFile, connection: &mut Connection, now: Timestamp) -> Result<Marker> {
    let path = held.path();
    let sql = |error: rusqlite::Error| explain(path, &error);
    let number = |connection: &Connection, name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).map_err(sql)
    };
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    if tables == 0 {
        let transaction = connection.transaction().map_err(sql)?;
        transaction.execute_batch(SCHEMA).map_err(sql)?;
        migrations::make_ours(&transaction).map_err(sql)?;
        transaction.commit().map_err(sql)?;
        return Marker::new(connection);
    }
    match number(connection, "user_version")? {
        version @ ..MARKED_SINCE => migrations::migrate(path, connection, version, now)?,
        version @ ..VERSION => return migrate_marked(held, connection, version, now),
        _ => {}
    }
    Marker::new(connection)
}

/// Migrates a file that has a mark. A mark goes into the WAL before the migration, and one for the new schema cookie
/// after it. Without them a WAL that a crash leaves would be refused.
fn migrate_marked(held: &HeldFile, connection: &mut Connection, version: i64, now: Timestamp) -> Result<Marker> {
    let mut marker = Marker::new(connection)?;
    begin_log(connection, &mut marker, held)?;
    let migrated = migrations::migrate(held.path(), connection, version, now).and_then(|()| {
        marker.schema_changed();
        marker.commit(connection, held, true).map_err(|error| cannot_start(held.path(), error))
    });
    if migrated.is_err() {
        end_log(connection, &mut marker, held)?;
    }
    migrated.map(|()| marker)
}

#[cfg(test)]
pub mod tests;
