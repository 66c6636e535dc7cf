//! Seals the secrets of a whole file: all at the first start with a key, and all anew when the key is rotated. Single
//! values that are written later are sealed by the statements that write them. Copies beside the file are in
//! `file/sealed/copies.rs`.
//!
//! Nobody uses the file meanwhile. Values are sealed some at a time, each time in a transaction of its own, and a row
//! tells which key sealed it. So after a kill the work goes on where it was. Then what is left of earlier values in
//! unused parts of the file is removed, and the WAL is cut.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};

use crate::domain::sealing::key::{KeyId, SecretsKeys};
use crate::domain::sealing::value::{self, Place, TEXT_PREFIX};
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::error::sql;
use crate::store::file::error::{cannot_start, explain};
use crate::store::file::held::HeldFile;
use crate::store::file::identity::marker::Marker;
use crate::store::file::sealed::remains;
use crate::store::file::sealed::state::{self, Fit};
use crate::store::file::start::Interruptible;
use crate::store::file::wal;

/// Columns of a destination that hold secrets, in the order of [`SECRETS`].
pub const COLUMNS: [&str; 4] = ["headers", "header_templates", "secret", "old_secret"];

/// Reads the secrets of destinations after the key `?1`, deleted ones too.
const SECRETS: &str = "SELECT key, destination_id, headers, header_templates, secret, old_secret FROM destination
    WHERE key > ?1 ORDER BY key LIMIT ?2";

/// Bytes of a secret that is no text. Others are damaged, or sealed.
const PLAIN_BYTES: usize = 32;

/// Destinations of one transaction.
const AT_ONCE: usize = if cfg!(debug_assertions) { 20 } else { 500 };

/// Pages that the WAL may have before it is copied into the file.
const MAX_LOG_PAGES: i32 = 8_000;

/// Time between two log lines about how far the work is.
const SAY_EACH: Duration = Duration::from_secs(5);

/// What became of the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Values that were sealed now.
    pub values: u64,
    /// Destinations with a value that does not open.
    pub unopened: u64,
}

/// A value that is to be sealed.
enum Found {
    /// It is as it should be: sealed with the current key, or NULL.
    Right,
    /// The value sealed with the current key.
    Sealed(Value),
    /// None of the keys opens it, so it stays as it is.
    Unopened,
}

/// Seals all secrets of the file with the current key of `keys`, if that was not done yet. The previous key, if there
/// is one, opens what it has sealed. `connect` opens another connection, which then takes the place of `connection`.
/// `beside` sees to the copies beside the file, whenever nothing else is left to be done. If that fails, it is not
/// complete.
///
/// # Errors
/// Says in one line what failed. What is sealed stays sealed, and the next try goes on.
pub fn seal_file(
    held: &HeldFile,
    connection: &mut Connection,
    marker: &mut Marker,
    connect: impl FnOnce() -> Result<Connection>,
    beside: impl FnOnce() -> Result<()>,
) -> Result<Sealed> {
    let keys = Arc::clone(held.keys());
    let Some(key) = keys.current() else { return Ok(Sealed::default()) };
    let explained = |error: rusqlite::Error| explain(held.path(), &error);
    let sealing = state::read(connection).map_err(explained)?;
    let is_ours = state::fit(connection, &keys).map_err(explained)? == Fit::Sealed;
    let (open, unopened) = survey(connection, &keys)?;
    if sealing.is_some_and(|sealing| sealing.complete) && is_ours && open == 0 {
        beside()?;
        return Ok(Sealed { values: 0, unopened });
    }
    let has_remains = has_remains(connection).map_err(explained)?;
    if has_remains && held.checkpoints().are_external() {
        let why = "its secrets are to be sealed, and that starts its log again; stop the replicator, run the server once \
                   without --checkpoints external, and begin a new replica";
        return Err(cannot_start(held.path(), why));
    }
    let end = Interruptible::new(connection)?;
    in_transaction(held, connection, marker, || state::begin(connection, key, keys.previous()).map_err(sql))?;
    kill_point("sealing-begun");
    if open > 0 {
        tracing::info!(values = open, "sealing the secrets of the database before it is used");
    }
    let values = seal_rows(held, connection, marker, &keys)?;
    kill_point("sealing-rows");
    if has_remains {
        if remains::zero_unused(held, connection, marker)? {
            // The other connection is open before this one is closed. Otherwise SQLite would read the WAL anew, and take
            // its pages for newer than those of the file.
            *connection = connect()?;
        } else {
            remains::rewrite(held, connection, marker)?;
        }
        kill_point("sealing-cleaned");
        remains::cut_log(held, connection, marker)?;
        kill_point("sealing-cut");
    }
    drop(end);
    beside()?;
    in_transaction(held, connection, marker, || state::complete(connection).map_err(sql))?;
    tracing::info!(values, key = %key.id(), "all secrets of the database are sealed");
    Ok(Sealed { values, unopened })
}

/// Counts the values that are to be sealed, and the destinations with a value that does not open. Logs the first of
/// those.
fn survey(connection: &Connection, keys: &SecretsKeys) -> Result<(u64, u64)> {
    let (mut open, mut unopened, mut first) = (0, 0, None);
    each_batch(connection, |rows| {
        for row in rows {
            let found = row.values.iter().zip(COLUMNS).map(|(value, column)| look(keys, &row.id, column, value));
            let found: Vec<Found> = found.collect();
            open += found.iter().filter(|found| matches!(found, Found::Sealed(_))).count() as u64;
            if found.iter().any(|found| matches!(found, Found::Unopened)) {
                unopened += 1;
                first.get_or_insert_with(|| row.id.clone());
            }
        }
        Ok(())
    })?;
    if let Some(destination) = first {
        tracing::warn!(
            destinations = unopened,
            first = destination,
            "secrets of destinations cannot be opened, so nothing is sent there; data-pusher check --secrets-key-file says more"
        );
    }
    Ok((open, unopened))
}

/// The secrets of a destination.
struct Row {
    key: i64,
    id: String,
    values: [Value; COLUMNS.len()],
}

fn batch(connection: &Connection, after: i64) -> Result<Vec<Row>> {
    let mut rows = connection.prepare_cached(SECRETS).map_err(sql)?;
    let read = rows.query_map((after, AT_ONCE), |row| {
        let values = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
        Ok(Row { key: row.get(0)?, id: row.get(1)?, values })
    });
    read.and_then(Iterator::collect).map_err(sql)
}

/// Reads all destinations, some at a time.
fn each_batch(connection: &Connection, mut act: impl FnMut(&[Row]) -> Result<()>) -> Result<()> {
    let mut after = i64::MIN;
    loop {
        let rows = batch(connection, after)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.key;
        act(&rows)?;
    }
}

fn look(keys: &SecretsKeys, id: &str, column: &str, value: &Value) -> Found {
    let Some(current) = keys.current() else { return Found::Right };
    let place = Place { owner: id, column };
    let is_right = |sealed_by: Option<KeyId>, opens: bool| match sealed_by {
        Some(key) if key == current.id() && opens => Found::Right,
        _ => Found::Unopened,
    };
    match value {
        Value::Text(text) if text.starts_with(TEXT_PREFIX) => {
            let (by, opened) = (value::text_key_id(text), value::open_text(keys, place, text));
            match opened {
                Some(plain) if by != Some(current.id()) => {
                    Found::Sealed(Value::Text(value::seal_text(current, place, &plain)))
                }
                opened => is_right(by, opened.is_some()),
            }
        }
        Value::Text(plain) => Found::Sealed(Value::Text(value::seal_text(current, place, plain))),
        Value::Blob(bytes) => match value::key_id(bytes) {
            None if bytes.len() != PLAIN_BYTES => Found::Unopened,
            None => Found::Sealed(Value::Blob(value::seal(current, place, bytes))),
            by => match value::open(keys, place, bytes) {
                Some(plain) if by != Some(current.id()) => {
                    Found::Sealed(Value::Blob(value::seal(current, place, &plain)))
                }
                opened => is_right(by, opened.is_some()),
            },
        },
        _ => Found::Right,
    }
}

/// Seals the values of all destinations, some at a time. Returns how many were sealed.
fn seal_rows(held: &HeldFile, connection: &Connection, marker: &mut Marker, keys: &SecretsKeys) -> Result<u64> {
    let mut values = 0;
    let mut said = std::time::Instant::now();
    each_batch(connection, |rows| {
        let mut updates = Vec::new();
        for row in rows {
            for (value, column) in row.values.iter().zip(COLUMNS) {
                if let Found::Sealed(sealed) = look(keys, &row.id, column, value) {
                    updates.push((row.key, column, sealed));
                }
            }
        }
        if updates.is_empty() {
            return Ok(());
        }
        values += updates.len() as u64;
        in_transaction(held, connection, marker, || {
            for (key, column, sealed) in &updates {
                let update = format!("UPDATE destination SET {column} = ?2 WHERE key = ?1");
                let mut update = connection.prepare_cached(&update).map_err(sql)?;
                update.execute((key, sealed)).map_err(sql)?;
            }
            Ok(())
        })?;
        kill_point("sealing-some");
        if wal::pages() > MAX_LOG_PAGES {
            wal::checkpoint(connection)?;
        }
        if said.elapsed() > SAY_EACH {
            said = std::time::Instant::now();
            tracing::info!(values, "sealing goes on");
        }
        Ok(())
    })?;
    Ok(values)
}

/// Does something in a transaction of its own, all or nothing.
///
/// # Errors
/// Those of `act` and of the file, as one line.
pub fn in_transaction(
    held: &HeldFile,
    connection: &Connection,
    marker: &mut Marker,
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    marker.begin(connection, held)?;
    let done = act().and_then(|()| connection.execute_batch("COMMIT").map_err(sql));
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(sql)?;
    }
    done.map_err(|error| cannot_start(held.path(), error))
}

/// Whether earlier values may be left in unused parts of the file. A file that never had a destination has none.
fn has_remains(connection: &Connection) -> rusqlite::Result<bool> {
    let made = "SELECT count(*) FROM sqlite_sequence WHERE name = 'destination'";
    connection.query_row(made, [], |row| row.get::<_, i64>(0)).map(|made| made > 0)
}

/// Whether a value that was read from a column of secrets is sealed.
pub fn is_sealed(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(text) => text.starts_with(TEXT_PREFIX.as_bytes()),
        ValueRef::Blob(bytes) => value::key_id(bytes).is_some(),
        _ => false,
    }
}

/// The key that sealed a value that was read from a column of secrets. `None` if it is plain or damaged.
pub fn sealed_by(value: ValueRef<'_>) -> Option<KeyId> {
    match value {
        ValueRef::Text(text) => value::text_key_id(std::str::from_utf8(text).ok()?),
        ValueRef::Blob(bytes) => value::key_id(bytes),
        _ => None,
    }
}
