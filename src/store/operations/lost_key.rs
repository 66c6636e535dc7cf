//! Destinations whose secrets are sealed with a key that is not there, and how a file is made to need that key no longer.
//! Sealed values stay as they are. So nothing is sent without its headers or with a wrong signature, and a key that turns
//! up again still opens them.

use rusqlite::Connection;

use super::{rows, sealing};
use crate::domain::ids::{DestinationId, DestinationKey};
use crate::domain::sealing::value::TEXT_PREFIX;
use crate::error::Result;
use crate::store::error::sql;
use crate::store::file::held::HeldFile;
use crate::store::file::identity::marker::Marker;

/// Destinations of a file without a key that have a sealed secret. Logs how many there are.
///
/// # Errors
/// Those of the file.
pub fn unopened_without_key(connection: &Connection) -> Result<Vec<DestinationKey>> {
    let found = unopened(connection)?;
    if let Some((_, first)) = found.first() {
        tracing::warn!(
            destinations = found.len(),
            first = first.as_str(),
            "secrets of destinations are sealed and there is no key, so nothing is sent there; start with the key, or, if it \
             is lost, replace each by a PUT and rotate its signing secret"
        );
    }
    Ok(found.into_iter().map(|(key, _)| key).collect())
}

/// The destinations with a secret that the keys of the connection do not open, oldest first.
///
/// # Errors
/// Those of the file.
pub fn still_lost(connection: &Connection) -> Result<Vec<DestinationId>> {
    Ok(unopened(connection)?.into_iter().map(|(_, id)| id).collect())
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

/// Destinations that are not deleted and have a secret that the keys of the connection do not open, oldest first.
fn unopened(connection: &Connection) -> Result<Vec<(DestinationKey, DestinationId)>> {
    let columns: Vec<String> = sealing::COLUMNS.iter().map(|column| is_unopened(column)).collect();
    let query = format!(
        "SELECT d.key, d.destination_id FROM destination d JOIN account a ON a.key = d.account_key
         WHERE d.deleted_at IS NULL AND a.deleted_at IS NULL AND ({}) ORDER BY d.key",
        columns.join(" OR ")
    );
    rows::all(connection, &query, [], |row| Ok((DestinationKey(row.get(0)?), DestinationId::from_stored(row.get(1)?))))
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
