//! Chooses the index that leads a walk over deliveries. An index of rare rows (a state other than succeeded, a status
//! other than 2xx) leads if a page may read all of its rows. Otherwise the index of the account's events leads, since a
//! destination has no index.

use rusqlite::Connection;

use super::filter::Wanted;
use crate::domain::delivery::DeliveryState;
use crate::error::Result;
use crate::store::operations::rows;

/// Most rows of the leading index that one page of a list reads. Bounds the time of a page whose filter matches few
/// rows.
pub const MAX_WALK_ROWS: usize = 20_000;

/// A walk over the leading index, newest first. Each row has the columns [`COLUMNS`].
pub struct Walk {
    /// SQL. `?1` is the upper bound of the id (exclusive), `?2` the lower bound (inclusive); from `?3` on come the
    /// values of `lead`.
    pub query: String,
    /// Values of the query.
    pub lead: Vec<i64>,
    /// No delivery that matches has a lower id.
    pub from: i64,
}

/// What a walk selects after the id of the delivery and that of its event.
const COLUMNS: &str = "v.destination_key, v.state, v.status_code, v.attempt_count, v.first_duration_ms";

/// A partial index of rare rows, and the value to look for in it.
pub struct Rare {
    index: &'static str,
    /// With `?3` for the value. Repeats the index's own condition, else SQLite would not use the index.
    condition: &'static str,
    value: i64,
}

impl Rare {
    /// The walk that this index leads.
    pub fn walk(&self) -> Walk {
        let Self { index, condition, value } = self;
        let query = format!(
            "SELECT v.id, v.event_id, {COLUMNS} FROM delivery v INDEXED BY {index}
             WHERE {condition} AND v.id < ?1 AND v.id >= ?2 ORDER BY v.id DESC"
        );
        Walk { query, lead: vec![*value], from: 0 }
    }

    /// Counts the rows of the walk, up to one more than a page may read. Reads only the index.
    pub fn count_query(&self) -> String {
        let Self { index, condition, .. } = self;
        format!(
            "SELECT count(*) FROM (SELECT 1 FROM delivery v INDEXED BY {index}
             WHERE {condition} AND v.id < ?1 AND v.id >= ?2 LIMIT {})",
            MAX_WALK_ROWS + 1
        )
    }

    /// Whether a page may read all rows of the walk from the id `before` (exclusive) down to `from`.
    fn fits_a_page(&self, connection: &Connection, before: i64, from: i64) -> Result<bool> {
        let params = (before, from, self.value);
        let count = rows::first(connection, &self.count_query(), params, |row| row.get::<_, usize>(0))?;
        Ok(count.is_some_and(|count| count <= MAX_WALK_ROWS))
    }
}

/// Chooses the walk over the ids from `since` up to `before`, which is left out.
pub fn choose(connection: &Connection, wanted: &Wanted, before: i64, since: i64) -> Result<Walk> {
    if wanted.event.is_none() {
        let from = wanted.destination.as_ref().map_or(since, |destination| since.max(destination.first_id));
        for rare in [rare_status(wanted), rare_state(wanted)].into_iter().flatten() {
            if rare.fits_a_page(connection, before, from)? {
                return Ok(Walk { from, ..rare.walk() });
            }
        }
    }
    Ok(usual(wanted))
}

/// The index of statuses other than 2xx, if the filter wants one of these.
pub fn rare_status(wanted: &Wanted) -> Option<Rare> {
    let status = wanted.status.filter(|status| !(200..=299).contains(status))?;
    let condition = "v.status_code = ?3 AND v.status_code NOT BETWEEN 200 AND 299";
    Some(Rare { index: "delivery_by_status", condition, value: i64::from(status) })
}

/// The index of states other than succeeded, if the filter wants one of these.
pub fn rare_state(wanted: &Wanted) -> Option<Rare> {
    let value = wanted.state.filter(|state| *state != DeliveryState::Succeeded.code())?;
    Some(Rare { index: "delivery_unsettled", condition: "v.state = ?3 AND v.state <> 1", value })
}

/// The walk if no index of rare rows has few enough of them.
pub fn usual(wanted: &Wanted) -> Walk {
    // An event's deliveries have ids in the order of their destinations' keys, so this order is that of the ids.
    if let Some(event) = wanted.event {
        let query = format!(
            "SELECT v.id, v.event_id, {COLUMNS} FROM delivery v INDEXED BY delivery_by_event
             WHERE v.event_id = ?3 AND v.id < ?1 AND v.id >= ?2 ORDER BY v.destination_key DESC"
        );
        return Walk { query, lead: vec![event], from: 0 };
    }
    if let Some(destination) = &wanted.destination {
        // Nearly every event of the account has a delivery for the destination. The left join also returns events
        // without one: they count as rows read, so the walk stays bounded.
        let query = format!(
            "SELECT coalesce(v.id, e.id), e.id, {COLUMNS}
             FROM event e INDEXED BY event_by_account LEFT JOIN delivery v INDEXED BY delivery_by_event
             ON v.event_id = e.id AND v.destination_key = ?4 AND v.id < ?1
             WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 ORDER BY e.id DESC"
        );
        let lead = vec![destination.account, destination.key];
        return Walk { query, lead, from: destination.first_id };
    }
    if let Some(status) = rare_status(wanted) {
        return status.walk();
    }
    if let Some(account) = wanted.account {
        // A delivery's id lies between its event's id and the next event's id, so this order is that of the ids.
        let query = format!(
            "SELECT v.id, v.event_id, {COLUMNS}
             FROM event e INDEXED BY event_by_account CROSS JOIN delivery v INDEXED BY delivery_by_event
             ON v.event_id = e.id WHERE e.account_key = ?3 AND e.id < ?1 AND e.id >= ?2 AND v.id < ?1
             ORDER BY e.id DESC, v.destination_key DESC"
        );
        return Walk { query, lead: vec![account], from: 0 };
    }
    if let Some(state) = rare_state(wanted) {
        return state.walk();
    }
    let query = format!(
        "SELECT v.id, v.event_id, {COLUMNS} FROM delivery v NOT INDEXED
         WHERE v.id < ?1 AND v.id >= ?2 ORDER BY v.id DESC"
    );
    Walk { query, lead: Vec::new(), from: 0 }
}
