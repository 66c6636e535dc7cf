//! Finds the events that retention may delete, in a read snapshot. An event's deliveries have the ids right after its
//! own. So events in a row, with all of their deliveries, are one range of ids in two tables. Retention deletes such a
//! range without a search for each delivery. Nothing is written here; `retention.rs` deletes.

use rusqlite::Connection;

use crate::domain::event::keys_over;
use crate::domain::ids::sequence_id;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::operations::rows;

/// Most events of one piece. Between two pieces a write request checks its time.
const IN_A_PIECE: usize = 64;

/// Most events of one piece if the number of their deliveries is not known: one event may have 1,000.
const IN_A_BLIND_PIECE: usize = 4;

/// Events in a row that can be deleted with all of their deliveries: ids from `first` on and below `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Id of the first event.
    pub first: i64,
    /// Id of the event after the last one. If there is none, an id above all deliveries of the last one.
    pub end: i64,
    events: usize,
}

#[cfg(test)]
impl Piece {
    /// A piece of one event.
    pub fn of(first: i64, end: i64) -> Self {
        Self { first, end, events: 1 }
    }
}

/// How old an event must be to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Age {
    /// Only events received before this time.
    pub before: Timestamp,
    /// An event with an `Idempotency-Key` must also have been received at this time or before. Deleting an event
    /// deletes its key, which is valid for 24 hours.
    pub keyed_until: Timestamp,
}

impl Age {
    /// The limits at `now`, where events are kept for `retention`.
    pub fn at(now: Timestamp, retention: std::time::Duration) -> Self {
        Self { before: now.minus(retention), keyed_until: keys_over(now) }
    }

    /// All events below this id are old, and none has a key that is still valid.
    pub fn keyed_end(self) -> i64 {
        // An event that was received exactly at `keyed_until` has no valid key any more, hence 1 ms more.
        sequence_id(self.before.min(self.keyed_until.plus(std::time::Duration::from_millis(1))))
    }

    /// All events below this id are old: the time in an id is never before the receipt of its event.
    pub fn end(self) -> i64 {
        sequence_id(self.before)
    }

    fn takes(self, event: &Row) -> bool {
        event.received < self.before.millis() && !(event.keyed && event.received > self.keyed_until.millis())
    }
}

/// Time of receipt in milliseconds, and id: a position among the events of a clock that was set back.
pub type Place = (i64, i64);

struct Row {
    id: i64,
    received: i64,
    keyed: bool,
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { id: row.get(0)?, received: row.get(1)?, keyed: row.get(2)? })
}

/// The first event with the id `?1` or a higher one.
pub const FIRST: &str = "SELECT id FROM event NOT INDEXED WHERE id >= ?1 ORDER BY id LIMIT 1";

/// The delivery that follows the first `?2` deliveries with ids above `?1`.
pub const NTH_DELIVERY: &str = "SELECT id FROM delivery NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2";

/// The first `?3` events with ids from `?1` on and below `?2`.
pub const BY_ID: &str = "SELECT id, received_at, idempotency_key IS NOT NULL FROM event NOT INDEXED
     WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";

/// The event of the delivery `?1`: the last event with a lower id.
pub const OF_DELIVERY: &str = "SELECT id, received_at, idempotency_key IS NOT NULL FROM event NOT INDEXED
     WHERE id < ?1 ORDER BY id DESC LIMIT 1";

/// Events received more than a minute before the time in their id. The first condition is that of the partial index,
/// which SQLite must recognise.
pub const OUT_OF_ORDER: &str =
    "SELECT id, received_at, idempotency_key IS NOT NULL FROM event INDEXED BY event_out_of_order
     WHERE received_at < (id >> 21) - 60000 AND (received_at, id) > (?1, ?2) AND received_at < ?3
     ORDER BY received_at, id LIMIT ?4";

/// Pending deliveries in a range of ids. Succeeded ones are not in this partial index, and SQLite uses the index only
/// if the query repeats the condition `state <> 1`.
pub const PENDING: &str = "SELECT id FROM delivery INDEXED BY delivery_unsettled
     WHERE state = 0 AND state <> 1 AND id > ?1 AND id < ?2 ORDER BY id";

/// What one walk by id found.
#[derive(Debug, Default)]
pub struct RetentionCursor {
    /// What can be deleted, in the order of the walk.
    pub pieces: Vec<Piece>,
    /// Id from which the walk continues.
    pub next: i64,
    /// Whether the walk has not reached its end yet.
    pub more: bool,
}

/// Walks by id from `from` on to below `end`. Looks at up to about `rows` events and as many deliveries, but at least
/// at one event.
pub fn by_id(connection: &Connection, from: i64, end: i64, age: Age, rows: usize) -> Result<RetentionCursor> {
    let first = rows::first(connection, FIRST, [from], |row| row.get(0))?;
    let Some(first) = first.filter(|first| *first < end) else {
        return Ok(RetentionCursor { next: from, ..RetentionCursor::default() });
    };
    let last_delivery: Option<i64> = rows::first(connection, NTH_DELIVERY, (first, rows), |row| row.get(0))?;
    let until = last_delivery.map_or(end, |id| id.min(end));
    let events = rows::all(connection, BY_ID, (first, until, rows), row)?;
    let next = behind(connection, events.last().map_or(first, |event| event.id))?;
    let pending: Vec<i64> = rows::all(connection, PENDING, (first, next), |row| row.get(0))?;
    let mut pending = pending.into_iter().peekable();
    let mut walked = RetentionCursor { pieces: Vec::new(), next, more: next < end };
    let ends = events.iter().skip(1).map(|event| event.id).chain([next]);
    for (event, end) in events.iter().zip(ends) {
        let mut stays = !age.takes(event);
        while pending.next_if(|id| *id < end).is_some() {
            stays = true;
        }
        if !stays {
            join(&mut walked.pieces, event.id, end, IN_A_PIECE);
        }
    }
    Ok(walked)
}

/// Returns the events of `deliveries` that are old and have no pending delivery. `deliveries` must be ascending.
pub fn of_deliveries(connection: &Connection, deliveries: &[i64], age: Age) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut looked = None;
    for delivery in deliveries {
        let event = rows::first(connection, OF_DELIVERY, [delivery], row)?;
        if let Some(event) = event.filter(|event| looked.replace(event.id) != Some(event.id)) {
            look_at(connection, &event, age, &mut pieces)?;
        }
    }
    Ok(pieces)
}

/// Walks over up to `events` events that were received more than a minute before the time in their id. The clock had
/// gone back when these events came. The walk goes by time of receipt and id, after `from`. Returns what can be
/// deleted, and where to continue; `None` at the end.
pub fn out_of_order(
    connection: &Connection,
    from: Place,
    age: Age,
    events: usize,
) -> Result<(Vec<Piece>, Option<Place>)> {
    let found = rows::all(connection, OUT_OF_ORDER, (from.0, from.1, age.before.millis(), events), row)?;
    let mut pieces = Vec::new();
    for event in &found {
        look_at(connection, event, age, &mut pieces)?;
    }
    let last = found.last().filter(|_| found.len() == events);
    Ok((pieces, last.map(|event| (event.received, event.id))))
}

fn look_at(connection: &Connection, event: &Row, age: Age, pieces: &mut Vec<Piece>) -> Result<()> {
    if age.takes(event) {
        let end = behind(connection, event.id)?;
        if !is_pending(connection, event.id, end)? {
            join(pieces, event.id, end, IN_A_BLIND_PIECE);
        }
    }
    Ok(())
}

/// Whether a delivery with an id above `first` and below `end` is pending.
pub fn is_pending(connection: &Connection, first: i64, end: i64) -> Result<bool> {
    Ok(rows::first(connection, PENDING, (first, end), |_| Ok(()))?.is_some())
}

/// Returns the id of the event after this one. If there is none, returns an id above the last delivery, which belongs
/// to this event if the event has any.
fn behind(connection: &Connection, event: i64) -> Result<i64> {
    if let Some(next) = rows::first(connection, FIRST, [event + 1], |row| row.get(0))? {
        return Ok(next);
    }
    let last = rows::first(connection, "SELECT max(id) FROM delivery", [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.flatten().map_or(event, |last| last.max(event)) + 1)
}

/// Adds an event to the last piece if it follows directly and the piece has fewer than `most` events. Otherwise begins
/// a new piece.
fn join(pieces: &mut Vec<Piece>, first: i64, end: i64, most: usize) {
    match pieces.last_mut() {
        Some(last) if last.end == first && last.events < most => {
            last.end = end;
            last.events += 1;
        }
        _ => pieces.push(Piece { first, end, events: 1 }),
    }
}
