//! Which deliveries are wanted: the filter of a list, and the same with keys in place of public ids.

use rusqlite::Connection;

use crate::domain::access::Scope;
use crate::domain::delivery::DeliveryState;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DestinationId, EventId};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::operations::{accounts, reach, rows};

/// Which deliveries are wanted. All conditions must be true.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Deliveries of this account.
    pub account_id: Option<AccountId>,
    /// Deliveries for this destination.
    pub destination_id: Option<DestinationId>,
    /// Deliveries of this event.
    pub event_id: Option<EventId>,
    /// Deliveries of events of this type.
    pub event_type: Option<EventType>,
    /// Deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Deliveries whose last attempt was answered with this status.
    pub status_code: Option<u16>,
    /// Deliveries whose event was received at this time or later.
    pub since: Option<Timestamp>,
    /// Deliveries whose event was received before this time.
    pub until: Option<Timestamp>,
}

/// The conditions of a filter, with keys in place of public ids.
pub struct Wanted {
    /// Key of the account.
    pub account: Option<i64>,
    /// Whether only rows of that account may be walked over. Its caller must learn nothing of the rows of others, and
    /// the end of a walk, or where it goes on, would tell something of them.
    pub account_alone: bool,
    /// The destination, which belongs to the account if there is one.
    pub destination: Option<ToDestination>,
    /// Id of the event.
    pub event: Option<i64>,
    /// Type of the event.
    pub event_type: Option<EventType>,
    /// Number of the state in the file.
    pub state: Option<i64>,
    /// Status that answered the last attempt.
    pub status: Option<u16>,
    /// Earliest time of receipt.
    pub since: Option<Timestamp>,
    /// Time before which the event was received.
    pub until: Option<Timestamp>,
}

/// The destination of a filter. The deliveries for a destination belong to events of its account with ids above
/// `first_id`.
pub struct ToDestination {
    /// Key of the destination.
    pub key: i64,
    /// Key of its account.
    pub account: i64,
    /// Its deliveries, and their events, have higher ids.
    pub first_id: i64,
}

/// Replaces public ids by keys. `None` if the account or destination does not exist, is not reached or does not belong
/// to the other, so that no delivery can match. For a caller that reaches one account, that account stands for none.
pub fn resolve(connection: &Connection, scope: &Scope, filter: &DeliveryFilter) -> Result<Option<Wanted>> {
    let mut wanted = Wanted {
        account: None,
        account_alone: scope.account().is_some(),
        destination: None,
        event: filter.event_id.map(|id| id.0),
        event_type: filter.event_type.clone(),
        state: filter.state.map(DeliveryState::code),
        status: filter.status_code,
        since: filter.since,
        until: filter.until,
    };
    if let Some(id) = filter.account_id.as_ref().or(scope.account().map(|(id, _)| id)) {
        match found(accounts::require(connection, scope, id))? {
            Some(account) => wanted.account = Some(account.key.0),
            None => return Ok(None),
        }
    }
    if let Some(id) = filter.event_id
        && found(reach::event(connection, scope, id))?.is_none()
    {
        return Ok(None);
    }
    if let Some(id) = &filter.destination_id {
        if found(reach::destination(connection, scope, id))?.is_none() {
            return Ok(None);
        }
        let query =
            "SELECT key, account_key, first_id FROM destination WHERE destination_id = ?1 AND deleted_at IS NULL";
        let found = rows::first(connection, query, [id.as_str()], |row| {
            Ok(ToDestination { key: row.get(0)?, account: row.get(1)?, first_id: row.get(2)? })
        })?;
        match found {
            Some(destination) if wanted.account.is_none_or(|account| account == destination.account) => {
                wanted.destination = Some(destination);
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(wanted))
}

/// `None` in place of the error "not found".
fn found<T>(result: Result<T, Error>) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
