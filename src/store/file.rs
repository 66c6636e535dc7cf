//! The database file: its lock, its modes, what it must be to be opened, and the pragmas of its connections.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::log;
use crate::error::{Error, Kind, Result};

/// The current schema.
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// Version of [`SCHEMA`], kept in `PRAGMA user_version`.
pub const VERSION: i64 = 3;

/// Marks a file as ours in `PRAGMA application_id`: "DPsh".
const APPLICATION_ID: i64 = 0x4450_7368;

/// Steps from an older version to the next: `MIGRATIONS[n]` takes a file from version n + 1 to n + 2.
const MIGRATIONS: [&str; VERSION as usize - 1] = [
    // A first attempt that succeeded is kept in its delivery's row, and retention walks by id.
    "ALTER TABLE delivery ADD COLUMN first_duration_ms INTEGER;
     ALTER TABLE delivery ADD COLUMN first_body BLOB;
     DROP INDEX event_by_time;
     CREATE INDEX event_out_of_order ON event (received_at) WHERE received_at < (id >> 21) - 60000;",
    // Deliveries of a destination are found by events. The text of a table may be changed where it says only what refers
    // to what (https://www.sqlite.org/lang_altertable.html, section 7), else every row would have to be copied.
    "ALTER TABLE destination ADD COLUMN first_id INTEGER NOT NULL DEFAULT 0;
     UPDATE destination SET first_id = coalesce(
         (SELECT event_id - 1 FROM delivery INDEXED BY delivery_by_destination
          WHERE destination_key = destination.key ORDER BY id LIMIT 1),
         (SELECT max(id) FROM delivery), 0);
     PRAGMA writable_schema = ON;
     UPDATE sqlite_schema SET sql = replace(sql, 'destination_key  INTEGER NOT NULL REFERENCES destination (key) ON DELETE CASCADE',
         'destination_key  INTEGER NOT NULL') WHERE type = 'table' AND name = 'delivery';
     PRAGMA writable_schema = RESET;
     DROP INDEX delivery_by_destination;
     DROP INDEX delivery_by_event;
     CREATE INDEX delivery_by_event ON delivery (event_id, destination_key);
     CREATE TRIGGER destination_deleted_with_its_deliveries AFTER DELETE ON destination BEGIN
         DELETE FROM delivery WHERE id IN (
             SELECT v.id FROM event e CROSS JOIN delivery v ON v.event_id = e.id AND v.destination_key = OLD.key
             WHERE e.account_key = OLD.account_key AND e.id > OLD.first_id);
     END;
     CREATE TABLE tally_recent (id INTEGER PRIMARY KEY, counts BLOB NOT NULL) STRICT;",
];

/// How long another process may hold the file's lock while the server starts; also for reads, which wait only while
/// somebody recovers the log.
const LOCKED_AT_START: Duration = Duration::from_secs(60);

/// How long it may hold the lock while the server runs, before what waits for it is answered 503.
const LOCKED: Duration = Duration::from_secs(5);

/// How long the next ones wait after that: nobody is to pay for the same lock again and again, a stop least of all.
const STILL_LOCKED: Duration = Duration::from_millis(250);

fn cannot_start(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "cannot_open_database", format!("cannot use the database {}: {why}", path.display()))
}

/// The path of a companion of the database file, such as `data.db.lock`.
pub fn companion(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Takes the lock that keeps a second server off this database; it is held until the file is dropped.
///
/// # Errors
/// A line that says who holds it, or why the lock file cannot be made.
pub fn lock(database: &Path) -> Result<File> {
    // By its one true name: a link or a detour leads to the same file.
    let whole = database.canonicalize().or_else(|_| in_true_folder(database));
    let path = companion(&whole.map_err(|error| cannot_start(database, error))?, ".lock");
    let file = private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(&path)
        .map_err(|error| cannot_start(database, format!("{}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(cannot_start(database, "another data-pusher server is using it")),
        Err(TryLockError::Error(error)) => Err(cannot_start(database, error)),
    }
}

/// The path of a file that is not there yet, in its folder's one true name.
fn in_true_folder(path: &Path) -> std::io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize()?.join(path.file_name().unwrap_or_default()))
}

/// Makes what is created readable by its owner only.
#[cfg(unix)]
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

/// Elsewhere the folder's permissions apply.
#[cfg(not(unix))]
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Warns of a file that others than its owner may read.
fn warn_if_open_to_others(path: &Path) {
    #[cfg(unix)]
    if let Ok(meta) = path.metadata() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "others can read this file; run chmod 600 on it");
        }
    }
}

/// Opens the read-write connection, makes the schema in a new file and carries an older one forward.
///
/// # Errors
/// One line that says why the file cannot be used. A foreign file is left as it was.
pub fn open(path: &Path) -> Result<Connection> {
    // SQLite would create the file with the umask's mode, and its companions copy the mode of the file.
    private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(path)
        .map_err(|error| cannot_start(path, error))?;
    let mut connection = connect(path).map_err(|error| explain(path, &error))?;
    prepare(path, &mut connection)?;
    log::begin_anew(&connection, STILL_LOCKED, LOCKED_AT_START).map_err(|error| explain(path, &error))?;
    warn_if_open_to_others(path);
    Ok(connection)
}

/// Opens the read-write connection to a file that [`open`] has prepared.
///
/// # Errors
/// As SQLite gives them.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // First of all: `journal_mode=WAL` needs the lock, and another process may be reading.
    connection.busy_timeout(LOCKED_AT_START)?;
    let (application, tables): (i64, i64) = connection.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if application == 0 && tables == 0 {
        // Can only be set while the file is empty; retention then gives pages back.
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

/// From now on a write waits for the file's lock only for as long as clients may be kept waiting; less if it was found
/// `locked` just before.
///
/// # Errors
/// As SQLite gives them.
pub fn wait_less(connection: &Connection, locked: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(usual_wait(locked))
}

/// How long that is.
pub fn usual_wait(locked: bool) -> Duration {
    if locked { STILL_LOCKED } else { LOCKED }
}

/// Pragmas of a read-only connection of a pool, whose cache may have so many KiB. Each commit by others empties it.
///
/// # Errors
/// As SQLite gives them.
pub fn prepare_reader(connection: &Connection, cache_kib: u32) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCKED_AT_START)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY")?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.set_prepared_statement_cache_capacity(48);
    Ok(())
}

fn prepare(path: &Path, connection: &mut Connection) -> Result<()> {
    let sql = |error: rusqlite::Error| explain(path, &error);
    let number = |connection: &Connection, name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).map_err(sql)
    };
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    if tables == 0 {
        let transaction = connection.transaction().map_err(sql)?;
        transaction.execute_batch(SCHEMA).map_err(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(sql)?;
        return transaction.commit().map_err(sql);
    }
    if number(connection, "application_id")? != APPLICATION_ID {
        return Err(cannot_start(path, "it is a SQLite file of another program; name a new file with --database"));
    }
    let version = number(connection, "user_version")?;
    if !(1..=VERSION).contains(&version) {
        return Err(cannot_start(
            path,
            format!("its schema has version {version}, this program knows 1 to {VERSION}; use a newer data-pusher"),
        ));
    }
    if version < VERSION {
        migrate(path, connection, version)?;
    }
    Ok(())
}

/// Carries an older file forward, after a copy beside it.
fn migrate(path: &Path, connection: &mut Connection, version: i64) -> Result<()> {
    let sql = |error: rusqlite::Error| explain(path, &error);
    let copy = companion(path, &format!(".v{version}"));
    if !copy.exists() {
        copy_aside(path, connection, &copy)?;
    }
    tracing::info!(from = version, to = VERSION, copy = %copy.display(), "carrying the database forward; that may take a while");
    // An index of many rows is sorted, and that would be in memory.
    connection.execute_batch("PRAGMA temp_store = FILE").map_err(sql)?;
    let transaction = connection.transaction().map_err(sql)?;
    for step in &MIGRATIONS[version as usize - 1..] {
        transaction.execute_batch(step).map_err(sql)?;
    }
    let parents = "SELECT group_concat(\"table\") FROM pragma_foreign_key_list('delivery')";
    let parents: Option<String> = transaction.query_row(parents, [], |row| row.get(0)).map_err(sql)?;
    if parents.as_deref() != Some("event") {
        return Err(cannot_start(path, "another program has changed its schema, so it cannot be carried forward"));
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(sql)?;
    transaction.commit().map_err(sql)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY").map_err(sql)?;
    tracing::info!(from = version, to = VERSION, copy = %copy.display(), "database carried forward");
    Ok(())
}

/// Makes a copy of the file that is there whole or not at all.
fn copy_aside(path: &Path, connection: &Connection, copy: &Path) -> Result<()> {
    let part = companion(copy, ".part");
    let failed = |error: std::io::Error| cannot_start(path, format!("{}: {error}", part.display()));
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // SQLite fills a file that is empty, and would give a new one the umask's mode.
    let file = private(OpenOptions::new().create_new(true).write(true)).open(&part).map_err(failed)?;
    connection.execute("VACUUM INTO ?1", [part.to_string_lossy()]).map_err(|error| explain(path, &error))?;
    file.sync_all().and_then(|()| std::fs::rename(&part, copy)).map_err(failed)
}

/// Why SQLite cannot open a file, for people.
fn explain(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => cannot_start(path, "it is not a SQLite database"),
        Some(ErrorCode::DatabaseCorrupt) => cannot_start(path, "it is damaged; restore it from a backup"),
        Some(ErrorCode::DatabaseBusy) => cannot_start(path, "another process holds its lock"),
        _ => cannot_start(path, error),
    }
}

#[cfg(test)]
mod tests;
