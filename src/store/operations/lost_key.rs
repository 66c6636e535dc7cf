//! Destinations whose secrets are sealed with a key that is not there, and how a file is made to need that key no longer.
//! Sealed values stay as they are. So nothing is sent without its headers or with a wrong signature, and a key that turns
//! up again still opens them.

use rusqlite::Connection;

use super::{rows, sealing};
use crate::domain::ids::DestinationId;
use crate::domain::sealing::value::TEXT_PREFIX;
use crate::error::Result;
use crate::store::error::sql;
use crate::store::file::held::HeldFile;
use crate::store::file::identity::marker::Marker;

/// The destinations that are not deleted and have a secret that the keys of the connection do not open, oldest first.
///
/// # Errors
/// Those of the file.
pub fn still_lost(connection: &Connection) -> Result<Vec<DestinationId>> {
    let columns: Vec<String> = sealing::COLUMNS.iter().map(|column| is_unopened(column)).collect();
    let query = format!(
        "SELECT d.destination_id FROM destination d JOIN account a ON a.key = d.account_key
         WHERE d.deleted_at IS NULL AND a.deleted_at IS NULL AND ({}) ORDER BY d.key",
        columns.join(" OR ")
    );
    rows::all(connection, &query, [], |row| row.get(0).map(DestinationId::from_stored))
}

/// Whether a file has sealed secrets. For one that does not say so.
///
/// # Errors
/// Those of SQLite.
pub fn has_sealed(connection: &Connection) -> rusqlite::Result<bool> {
    let conditions: Vec<String> = sealing::COLUMNS.iter().map(|column| is_of_no_use(column)).collect();
    let query =
        format!("SELECT EXISTS (SELECT 1 FROM destination WHERE deleted_at IS NULL AND ({}))", conditions.join(" OR "));
    connection.query_row(&query, [], |row| row.get(0))
}

/// Makes the file need no key any more. Returns the destinations with a secret that the keys of the connection do not
/// open.
///
/// # Errors
/// Says in one line what failed. Then nothing was changed.
pub fn forget(held: &HeldFile, connection: &Connection, marker: &mut Marker) -> Result<Vec<DestinationId>> {
    let found = still_lost(connection)?;
    sealing::in_transaction(held, connection, marker, || {
        connection.execute("DELETE FROM sealing", []).map(drop).map_err(sql)
    })?;
    Ok(found)
}

/// The condition that a secret is none of those that [`rows::destination`] can use, opened where that is possible.
fn is_unopened(column: &str) -> String {
    is_of_no_use(&format!("unseal(d.{column}, d.destination_id, '{column}')"))
}

/// The condition that a value is sealed, or damaged.
fn is_of_no_use(value: &str) -> String {
    format!(
        "CASE typeof({value}) WHEN 'text' THEN {value} GLOB '{TEXT_PREFIX}*' WHEN 'blob' THEN length({value}) <> 32 ELSE 0 END"
    )
}
