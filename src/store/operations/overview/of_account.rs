//! The overview for a caller that reaches one account: the same as in `overview.rs`, of that account alone. Nothing of
//! another account is walked over.

use rusqlite::Connection;

use crate::domain::ids::AccountKey;
use crate::domain::overview::{Backlog, Contents};
use crate::error::Result;
use crate::store::operations::rows;

/// What one account has. Of its events the newest and the oldest 1,000 are looked at.
pub fn contents(connection: &Connection, account: AccountKey) -> Result<Contents> {
    let has = |query: &str| Ok(rows::first(connection, query, [account.0], |row| row.get(0))?.unwrap_or(false));
    let delivered = |order: &str| {
        has(&format!(
            "SELECT EXISTS (SELECT 1 FROM
             (SELECT id FROM event INDEXED BY event_by_account WHERE account_key = ?1 ORDER BY id {order} LIMIT 1000) e
             CROSS JOIN delivery v INDEXED BY delivery_by_event ON v.event_id = e.id
             CROSS JOIN destination d ON d.key = v.destination_key AND d.deleted_at IS NULL
             WHERE v.state = 1)"
        ))
    };
    Ok(Contents {
        has_account: true,
        has_destination: has(
            "SELECT EXISTS (SELECT 1 FROM destination WHERE account_key = ?1 AND deleted_at IS NULL)",
        )?,
        has_delivered: delivered("DESC")? || delivered("ASC")?,
    })
}

/// How many deliveries of one account are pending, and how old the oldest is. Of each destination, the `most` that are
/// due first are looked at.
pub fn backlog(connection: &Connection, account: AccountKey, most: u64) -> Result<Backlog> {
    let destinations = "SELECT key FROM destination WHERE account_key = ?1 AND deleted_at IS NULL";
    let pending = "SELECT count(*), min(id) FROM (SELECT id FROM delivery INDEXED BY delivery_due
         WHERE destination_key = ?1 AND state = 0 ORDER BY next_attempt_at LIMIT ?2)";
    let (mut sum, mut first) = (0, None);
    for destination in rows::all(connection, destinations, [account.0], |row| row.get::<_, i64>(0))? {
        let found = rows::first(connection, pending, (destination, most), |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        let (count, oldest) = found.unwrap_or_default();
        sum += count;
        first = [first, oldest].into_iter().flatten().min();
    }
    let received = "SELECT e.received_at FROM delivery v CROSS JOIN event e ON e.id = v.event_id WHERE v.id = ?1";
    let oldest = match first {
        Some(delivery) => rows::first(connection, received, [delivery], |row| rows::time(row, 0))?,
        None => None,
    };
    Ok(Backlog { pending: sum, oldest })
}
