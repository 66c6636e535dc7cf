//! Chooses the index that leads a walk over deliveries. There are indexes of rare rows (a state other than succeeded, a
//! status other than 2xx), of an account's events, and of the events of a type. A destination has no index: its
//! account's events lead. If several indexes have all deliveries that match, the one leads whose rows reach furthest
//! back. So a page is full if the deliveries that match are rare in any of them.

use std::ops::Range;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::filter::{ToDestination, Wanted};
use crate::domain::delivery::DeliveryState;
use crate::error::Result;
use crate::store::operations::rows;

/// Most rows of the leading index that one page of a list reads. Bounds the time of a page whose filter matches few
/// rows.
pub const MAX_WALK_ROWS: usize = 20_000;

/// What a walk selects after the id of the delivery and that of its event.
const COLUMNS: &str = "v.destination_key, v.state, v.status_code, v.attempt_count, v.first_duration_ms";

/// A walk over the leading index, newest first. Each row has the columns [`COLUMNS`].
pub struct Walk {
    /// SQL. `?1` is the upper bound of the id (exclusive), `?2` the lower bound (inclusive); from `?3` on come the
    /// values of `lead`.
    pub query: String,
    /// Values of the query.
    pub lead: Vec<Value>,
}

/// A walk that may be chosen.
pub struct Candidate {
    /// The walk.
    pub walk: Walk,
    /// SQL for the ids in the leading index, newest first. Has the parameters `?1` to `?3` of the walk, and reads
    /// nothing but the index.
    pub ids: String,
    /// How many rows the walk has for each of these ids. An estimate.
    rows_each: usize,
}

impl Candidate {
    /// The id at which a page would have read all the rows that it may. `None` if it may read the whole walk.
    fn reach(&self, connection: &Connection, ids: &Range<i64>) -> Result<Option<i64>> {
        let query = format!("{} LIMIT 1 OFFSET ?4", self.ids);
        let params = (ids.end, ids.start, &self.walk.lead[0], MAX_WALK_ROWS / self.rows_each.max(1));
        rows::first(connection, &query, params, |row| row.get(0))
    }
}

/// Chooses the walk over these ids.
pub fn choose(connection: &Connection, wanted: &Wanted, ids: &Range<i64>) -> Result<Walk> {
    let mut candidates = candidates(connection, wanted)?;
    if candidates.len() < 2 {
        return Ok(candidates.pop().map_or_else(|| alone(wanted), |one| one.walk));
    }
    let mut furthest = None;
    for candidate in candidates {
        match candidate.reach(connection, ids)? {
            None => return Ok(candidate.walk),
            Some(id) if furthest.as_ref().is_none_or(|(reached, _)| id < *reached) => {
                furthest = Some((id, candidate.walk));
            }
            Some(_) => {}
        }
    }
    Ok(furthest.map_or_else(|| alone(wanted), |(_, walk)| walk))
}

/// The walks along indexes that have all deliveries that match. None if the filter has an event, which has few
/// deliveries.
pub fn candidates(connection: &Connection, wanted: &Wanted) -> Result<Vec<Candidate>> {
    if wanted.event.is_some() {
        return Ok(Vec::new());
    }
    let events = match (&wanted.destination, wanted.account) {
        (Some(destination), _) => Some(by_destination(destination)),
        (None, Some(account)) => Some(by_account(connection, account)?),
        (None, None) => None,
    };
    if wanted.account_alone {
        return Ok(events.into_iter().collect());
    }
    Ok([by_status(wanted), by_state(wanted), by_type(wanted), events].into_iter().flatten().collect())
}

fn by_status(wanted: &Wanted) -> Option<Candidate> {
    let status = wanted.status.filter(|status| !(200..=299).contains(status))?;
    // Repeats the index's own condition, else SQLite would not use the index.
    let condition = "v.status_code = ?3 AND v.status_code NOT BETWEEN 200 AND 299";
    Some(rare("delivery_by_status", condition, i64::from(status)))
}

fn by_state(wanted: &Wanted) -> Option<Candidate> {
    let state = wanted.state.filter(|state| *state != DeliveryState::Succeeded.code())?;
    Some(rare("delivery_unsettled", "v.state = ?3 AND v.state <> 1", state))
}

/// The walk along an index of rare rows.
fn rare(index: &str, condition: &str, value: i64) -> Candidate {
    let rows =
        format!("FROM delivery v INDEXED BY {index} WHERE {condition} AND v.id < ?1 AND v.id >= ?2 ORDER BY v.id DESC");
    let query = format!("SELECT v.id, v.event_id, {COLUMNS} {rows}");
    let walk = Walk { query, lead: vec![value.into()] };
    Candidate { walk, ids: format!("SELECT v.id {rows}"), rows_each: 1 }
}

/// The walk along the events of a type. An event of the type whose deliveries are for others counts as a row read, so
/// the walk stays bounded.
fn by_type(wanted: &Wanted) -> Option<Candidate> {
    let event_type = Value::from(wanted.event_type.as_ref()?.as_str().to_owned());
    let (join, destination) = match &wanted.destination {
        Some(destination) => ("LEFT JOIN", Some(destination)),
        None => ("CROSS JOIN", None),
    };
    let only = destination.map_or("", |_| "AND v.destination_key = ?4");
    let query = format!(
        "SELECT coalesce(v.id, t.event_id), t.event_id, {COLUMNS} FROM event_type t INDEXED BY event_type_by_name
         {join} delivery v INDEXED BY delivery_by_event ON v.event_id = t.event_id {only} AND v.id < ?1
         WHERE t.name = ?3 AND t.event_id < ?1 AND t.event_id >= ?2 ORDER BY t.event_id DESC, v.destination_key DESC"
    );
    let ids = "SELECT t.event_id FROM event_type t INDEXED BY event_type_by_name
         WHERE t.name = ?3 AND t.event_id < ?1 AND t.event_id >= ?2 ORDER BY t.event_id DESC";
    let lead = [event_type].into_iter().chain(destination.map(|one| one.key.into())).collect();
    Some(Candidate { walk: Walk { query, lead }, ids: ids.to_owned(), rows_each: 1 })
}

/// The ids of an account's events.
const EVENTS: &str = "SELECT e.id FROM event e INDEXED BY event_by_account
     WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 ORDER BY e.id DESC";

fn by_destination(destination: &ToDestination) -> Candidate {
    // Nearly every event of the account has a delivery for the destination. The left join also returns events without
    // one: they count as rows read, so the walk stays bounded.
    let query = format!(
        "SELECT coalesce(v.id, e.id), e.id, {COLUMNS}
         FROM event e INDEXED BY event_by_account LEFT JOIN delivery v INDEXED BY delivery_by_event
         ON v.event_id = e.id AND v.destination_key = ?4 AND v.id < ?1
         WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 ORDER BY e.id DESC"
    );
    let walk = Walk { query, lead: vec![destination.account.into(), destination.key.into()] };
    Candidate { walk, ids: EVENTS.to_owned(), rows_each: 1 }
}

fn by_account(connection: &Connection, account: i64) -> Result<Candidate> {
    // A delivery's id lies between its event's id and the next event's id, so this order is that of the ids.
    let query = format!(
        "SELECT v.id, v.event_id, {COLUMNS}
         FROM event e INDEXED BY event_by_account CROSS JOIN delivery v INDEXED BY delivery_by_event
         ON v.event_id = e.id WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 AND v.id < ?1
         ORDER BY e.id DESC, v.destination_key DESC"
    );
    // An event has a delivery for each destination that the account had.
    let count = "SELECT count(*) FROM destination INDEXED BY destination_by_account WHERE account_key = ?1";
    let rows_each = rows::first(connection, count, [account], |row| row.get(0))?.unwrap_or(1);
    let walk = Walk { query, lead: vec![account.into()] };
    Ok(Candidate { walk, ids: EVENTS.to_owned(), rows_each })
}

/// The walk if there is nothing to choose from: over an event's deliveries, or over all.
pub fn alone(wanted: &Wanted) -> Walk {
    if let Some(event) = wanted.event {
        // An event's deliveries have ids in the order of their destinations' keys, so this order is that of the ids.
        let query = format!(
            "SELECT v.id, v.event_id, {COLUMNS} FROM delivery v INDEXED BY delivery_by_event
             WHERE v.event_id = ?3 AND v.id < ?1 AND v.id >= ?2 ORDER BY v.destination_key DESC"
        );
        return Walk { query, lead: vec![event.into()] };
    }
    let query = format!(
        "SELECT v.id, v.event_id, {COLUMNS} FROM delivery v NOT INDEXED
         WHERE v.id < ?1 AND v.id >= ?2 ORDER BY v.id DESC"
    );
    Walk { query, lead: Vec::new() }
}
