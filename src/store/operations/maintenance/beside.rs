//! Deletes what lies beside events and deliveries in tables without a foreign key. With one, SQLite would look into each
//! of these tables for each row that is deleted, though few rows have something there.

use crate::error::Result;
use crate::store::commit::transaction::Transaction;

/// Deletes what lies beside events and deliveries with ids from `first` on and below `end`. Whoever deletes events or
/// deliveries must call this.
pub fn remove(tx: &mut Transaction<'_>, first: i64, end: i64) -> Result<()> {
    for statement in [
        "DELETE FROM event_type WHERE event_id >= ?1 AND event_id < ?2",
        "DELETE FROM request_body WHERE delivery_id >= ?1 AND delivery_id < ?2",
        "DELETE FROM manual_action WHERE delivery_id >= ?1 AND delivery_id < ?2",
    ] {
        tx.run(statement, (first, end))?;
    }
    Ok(())
}
