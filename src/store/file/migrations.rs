//! Brings files of earlier versions to the current one. Each file is copied before that. The current schema itself is
//! `schema.sql`.

use std::path::Path;

use rusqlite::Connection;

use super::error::{cannot_start, explain};
use super::identity::mark::Mark;
use super::kept_copy::keep_copy;
use super::schema::{APPLICATION_ID, MARKED_SINCE, VERSION, new_cookie};
use crate::domain::account::Email;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// Steps from one version to the next: `MIGRATIONS[n]` brings a file from version n + 1 to n + 2.
const MIGRATIONS: [&str; VERSION as usize - 1] = [
    // A first attempt that succeeded is kept in the row of its delivery, and retention walks by id.
    "ALTER TABLE delivery ADD COLUMN first_duration_ms INTEGER;
     ALTER TABLE delivery ADD COLUMN first_body BLOB;
     DROP INDEX event_by_time;
     CREATE INDEX event_out_of_order ON event (received_at) WHERE received_at < (id >> 21) - 60000;",
    // Deliveries of a destination are found by events. The text of a table may be changed if it only says what refers
    // to what (https://www.sqlite.org/lang_altertable.html, section 7). Otherwise every row would have to be copied.
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
    // A mark shows which WAL belongs to the file. E-mail addresses are folded again; see `fold_emails`.
    "CREATE TABLE log_mark (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL) STRICT;",
    // Events are counted, and what people do with a delivery is kept. Recent counts get longer; see
    // `widen_recent_counts`.
    "ALTER TABLE tally ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE manual_action (
         delivery_id INTEGER NOT NULL,
         at INTEGER NOT NULL,
         action INTEGER NOT NULL,
         PRIMARY KEY (delivery_id, at)
     ) STRICT, WITHOUT ROWID;",
    // Destinations choose, shape and pace what they get. Recent counts get longer; see `widen_recent_counts`.
    "ALTER TABLE destination ADD COLUMN event_types TEXT;
     ALTER TABLE destination ADD COLUMN filter TEXT;
     ALTER TABLE destination ADD COLUMN body_template TEXT;
     ALTER TABLE destination ADD COLUMN header_templates TEXT;
     ALTER TABLE destination ADD COLUMN rate_limit TEXT;
     ALTER TABLE destination ADD COLUMN ordering TEXT NOT NULL DEFAULT 'none';
     ALTER TABLE destination ADD COLUMN on_exhausted TEXT NOT NULL DEFAULT 'continue';
     ALTER TABLE tally ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE event_type (event_id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
     CREATE INDEX event_type_by_name ON event_type (name, event_id);
     CREATE TABLE request_body (
         delivery_id INTEGER NOT NULL,
         number INTEGER NOT NULL,
         body BLOB NOT NULL,
         truncated INTEGER NOT NULL,
         PRIMARY KEY (delivery_id, number)
     ) STRICT, WITHOUT ROWID;",
    // Tokens with a role, a slot for the ids of events, and which key seals the secrets.
    "CREATE TABLE id_slot (
         id INTEGER PRIMARY KEY CHECK (id = 1),
         slot INTEGER NOT NULL,
         place INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE access_token (
         key INTEGER PRIMARY KEY,
         token_id TEXT NOT NULL,
         name TEXT NOT NULL,
         role TEXT NOT NULL,
         account_key INTEGER REFERENCES account (key) ON DELETE CASCADE,
         token_digest BLOB NOT NULL,
         token_hint TEXT NOT NULL,
         created_at INTEGER NOT NULL,
         expires_at INTEGER,
         last_used_at INTEGER
     ) STRICT;
     CREATE UNIQUE INDEX access_token_by_id ON access_token (token_id);
     CREATE UNIQUE INDEX access_token_by_digest ON access_token (token_digest);
     CREATE INDEX access_token_by_account ON access_token (account_key);
     CREATE TABLE sealing (
         id INTEGER PRIMARY KEY CHECK (id = 1),
         key_check BLOB NOT NULL,
         old_key_check BLOB,
         complete INTEGER NOT NULL
     ) STRICT;",
];

/// Brings an older file to the current version, after a copy beside it. The name of the copy contains `now`. A file
/// with a mark keeps that mark, and SQLite gives the file another schema cookie.
///
/// # Errors
/// Says in one line what failed. The file is as it was.
pub fn migrate(path: &Path, connection: &mut Connection, version: i64, now: Timestamp) -> Result<()> {
    let sql = |error: rusqlite::Error| explain(path, &error);
    // The name says of which version the copy is. Copies of earlier upgrades stay.
    let copy = keep_copy(path, connection, &format!("v{version}"), now).map_err(|error| cannot_start(path, error))?;
    tracing::info!(from = version, to = VERSION, copy = %copy.display(), "carrying the database forward; that may take a while");
    // An index of many rows is sorted, and that would be done in memory.
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
    if version < 4 {
        fold_emails(&transaction).map_err(sql)?;
    }
    if version < 6 {
        widen_recent_counts(&transaction, version).map_err(sql)?;
    }
    if version < MARKED_SINCE {
        make_ours(&transaction).map_err(sql)?;
    } else {
        transaction.pragma_update(None, "user_version", VERSION).map_err(sql)?;
    }
    transaction.commit().map_err(sql)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY").map_err(sql)?;
    tracing::info!(from = version, to = VERSION, copy = %copy.display(), "database carried forward");
    Ok(())
}

/// Earlier versions folded e-mail addresses by lower case alone. Two accounts may now have the same folded address.
/// Then both stay as they are, and no third account can have that address.
fn fold_emails(transaction: &Connection) -> rusqlite::Result<()> {
    let mut accounts = transaction.prepare("SELECT key, email FROM account ORDER BY key")?;
    let accounts = accounts.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut fold = transaction.prepare("UPDATE OR IGNORE account SET email_folded = ?2 WHERE key = ?1")?;
    for account in accounts {
        let (key, email) = account?;
        fold.execute((key, Email::from_stored(email).folded()))?;
    }
    Ok(())
}

/// A recent count has eight numbers of eight bytes. Before version 6 the last was missing (skipped), and before version 5
/// the last two (events). Zeros take their places.
fn widen_recent_counts(transaction: &Connection, version: i64) -> rusqlite::Result<()> {
    let (before, missing) = if version < 5 { (6 * 8, 2 * 8) } else { (7 * 8, 8) };
    let zeros = vec![0; missing];
    let mut recent = transaction.prepare("SELECT id, counts FROM tally_recent")?;
    let recent = recent.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let recent: Vec<_> = recent.collect::<rusqlite::Result<_>>()?;
    let mut widen = transaction.prepare("UPDATE tally_recent SET counts = ?2 WHERE id = ?1")?;
    for (id, counts) in recent {
        let wide: Vec<u8> = counts.chunks_exact(before).flat_map(|count| [count, &zeros].concat()).collect();
        widen.execute((id, wide))?;
    }
    Ok(())
}

/// Sets what a file of the current version has besides its schema.
pub fn make_ours(transaction: &Connection) -> rusqlite::Result<()> {
    // A cookie unlike that of any other file; see `Header::cookie`.
    let cookie = new_cookie();
    transaction.pragma_update(None, "schema_version", cookie)?;
    transaction.execute("INSERT INTO log_mark (id, mark) VALUES (1, ?1)", [Mark::first(cookie).bytes()])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)
}
