//! Notes what people do with a delivery, in the transaction that does it, and reads these notes.

use rusqlite::Connection;

use super::rows;
use crate::domain::ids::DeliveryId;
use crate::domain::manual_action::ManualAction;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;

/// Notes what somebody did. Of two actions in the same millisecond the later one stays.
pub fn note(tx: &mut Transaction<'_>, delivery: DeliveryId, done: ManualAction) -> Result<()> {
    tx.run(
        "INSERT OR REPLACE INTO manual_action (delivery_id, at, action) VALUES (?1, ?2, ?3)",
        (delivery.0, done.at.millis(), done.action.code()),
    )?;
    Ok(())
}

/// Returns what was done with a delivery, oldest first.
pub fn of(connection: &Connection, delivery: DeliveryId) -> Result<Vec<ManualAction>> {
    let query = "SELECT at, action FROM manual_action WHERE delivery_id = ?1 ORDER BY at";
    rows::all(connection, query, [delivery.0], rows::manual_action)
}

#[cfg(test)]
mod tests;
