//! Whether a caller reaches an account, a destination, an event or a delivery. Every read or change by an id asks here
//! first, on the same snapshot.
//!
//! For a caller that reaches one account only that account's index entries are looked for. So an id of another account
//! and an id that nothing has take the same way: the same look-up finds nothing, and the row itself is never read. For
//! a caller that reaches everything nothing is asked.

use rusqlite::Connection;

use super::rows;
use crate::domain::access::Scope;
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, EventId};
use crate::error::{Error, Result};

/// Fails if the account is not reached. Reads nothing.
///
/// # Errors
/// Not found.
pub fn account(scope: &Scope, id: &AccountId) -> Result<()> {
    if scope.reaches(id) { Ok(()) } else { Err(Error::not_found("account")) }
}

/// Fails if the destination is not reached.
///
/// # Errors
/// Not found.
pub fn destination(connection: &Connection, scope: &Scope, id: &DestinationId) -> Result<()> {
    let Some((_, account)) = scope.account() else { return Ok(()) };
    let query = "SELECT 1 FROM destination WHERE destination_id = ?1 AND account_key = ?2 AND deleted_at IS NULL";
    let found = rows::first(connection, query, (id.as_str(), account.0), |_| Ok(()))?;
    found.ok_or_else(|| Error::not_found("destination"))
}

/// Fails if the event is not reached.
///
/// # Errors
/// Not found.
pub fn event(connection: &Connection, scope: &Scope, id: EventId) -> Result<()> {
    let Some((_, account)) = scope.account() else { return Ok(()) };
    if is_of(connection, account, id.0)? { Ok(()) } else { Err(Error::not_found("event")) }
}

/// Fails if the delivery is not reached.
///
/// # Errors
/// Not found.
pub fn delivery(connection: &Connection, scope: &Scope, id: DeliveryId) -> Result<()> {
    let Some((_, account)) = scope.account() else { return Ok(()) };
    let event = rows::first(connection, "SELECT event_id FROM delivery WHERE id = ?1", [id.0], |row| row.get(0))?;
    // Without a delivery the id itself stands for its event. No event has it, so the second look-up is made all the
    // same, and finds nothing.
    if is_of(connection, account, event.unwrap_or(id.0))? { Ok(()) } else { Err(Error::not_found("delivery")) }
}

fn is_of(connection: &Connection, account: AccountKey, event: i64) -> Result<bool> {
    let query = "SELECT 1 FROM event INDEXED BY event_by_account WHERE account_key = ?1 AND id = ?2";
    Ok(rows::first(connection, query, (account.0, event), |_| Ok(()))?.is_some())
}
