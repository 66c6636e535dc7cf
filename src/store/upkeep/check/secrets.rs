//! Secrets of destinations in a file that says that they are sealed. Whether what they hold can be read is checked in
//! `values.rs`.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::fault::{Faults, Many};
use crate::store::file::sealed::ids::named;
use crate::store::file::sealed::{copies, state};
use crate::store::file::shell_word::word;
use crate::store::operations::sealing::{COLUMNS, is_sealed, sealed_by};

/// Code of the fault of sealed secrets in a file that needs no key. So a lost key leaves them, until their destinations
/// are set again.
pub const SEALED_WITHOUT_KEY: &str = "sealed_without_key";

/// Code of the fault of secrets that another key has sealed than the one that the file needs. So a lost key leaves them
/// too, once the server has started with a new one.
pub const SEALED_WITH_OTHER_KEY: &str = "sealed_with_other_key";

/// What to do where another key sealed them.
const ROTATE: &str = "run data-pusher key rotate from that key to the file's, if you have it; otherwise replace these \
destinations by a PUT with all their headers and rotate their signing secrets";

/// What to do where a secret does not open.
const REPLACE: &str =
    "restore a backup, or replace these destinations by a PUT with all their headers and rotate their signing secrets";

/// What to do where the key is not named. A start with it seals the file again.
const FIND_KEY: &str = "start the server with that key, or replace these destinations by a PUT with all their headers and \
rotate their signing secrets";

/// No secret is sealed, in a file that says so.
fn none_sealed(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
    for column in COLUMNS {
        let mut sealed = Many::default();
        let query = format!(
            "SELECT d.destination_id, d.{column} FROM destination d JOIN account a ON a.key = d.account_key
             WHERE d.deleted_at IS NULL AND a.deleted_at IS NULL"
        );
        let mut destinations = connection.prepare(&query)?;
        let mut rows = destinations.query([])?;
        while let Some(row) = rows.next()? {
            let value = row.get_ref(1)?;
            if is_sealed(value) {
                let id = row.get::<_, String>(0).unwrap_or_default().escape_debug().to_string();
                sealed.add(|| format!("{id}, with {}", named(sealed_by(value))));
            }
        }
        let what = format!("destinations whose {column} is sealed, in a file that says that nothing is");
        faults.add_many(SEALED_WITHOUT_KEY, &what, &sealed, FIND_KEY);
    }
    Ok(())
}

/// Every secret is sealed, and opens where it is. Without a key the latter is not known. Plain copies beside the database
/// are remarks.
pub fn sealed(
    connection: &Connection,
    database: &Path,
    faults: &mut Faults,
    remarks: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let Some(sealing) = state::read(connection)? else { return none_sealed(connection, faults) };
    for column in COLUMNS {
        let (mut plain, mut unopened, mut foreign) = (Many::default(), Many::default(), Many::default());
        let query =
            format!("SELECT destination_id, {column}, unseal({column}, destination_id, '{column}') FROM destination");
        let mut destinations = connection.prepare(&query)?;
        let mut rows = destinations.query([])?;
        while let Some(row) = rows.next()? {
            let (stored, opened) = (row.get_ref(1)?, row.get_ref(2)?);
            let name = || row.get::<_, String>(0).unwrap_or_default().escape_debug().to_string();
            let key = sealed_by(stored);
            if key.is_some() && key != sealing.key() && key != sealing.key_before() {
                foreign.add(|| format!("{}, with {}", name(), named(key)));
            } else if matches!(opened, ValueRef::Blob([])) {
                unopened.add(name);
            } else if stored != ValueRef::Null && !is_sealed(stored) {
                plain.add(name);
            }
        }
        if sealing.complete {
            let advice = "start the server once with --secrets-key-file";
            faults.add_many("plain_secret", &format!("destinations whose {column} is not sealed"), &plain, advice);
        }
        let what = format!("destinations whose {column} does not open with this key");
        faults.add_many("unopened_secret", &what, &unopened, REPLACE);
        let what = format!("destinations whose {column} is sealed with another key than the file's");
        faults.add_many(SEALED_WITH_OTHER_KEY, &what, &foreign, ROTATE);
    }
    if !sealing.complete {
        let advice = match sealing.key_before() {
            Some(_) => "run data-pusher key rotate again, with the same two keys",
            None => "start the server with the key",
        };
        let text = match (sealing.key_before(), sealing.key()) {
            (Some(before), Some(key)) => format!("the rotation of its key is not complete, from {before} to {key}"),
            _ => "the sealing of its secrets is not complete".to_owned(),
        };
        faults.add("sealing", &text, advice);
    }
    for copy in copies::plain(database).unwrap_or_default() {
        remarks.push(format!(
            "the copy {} beside it is not sealed; the next start with the key seals it, or move it away",
            word(&copy)
        ));
    }
    Ok(())
}
