//! Deletes events past their retention, with their deliveries and attempts, oldest first. Each event is looked at once.
//! An event that stays because a delivery is pending is looked at again once that delivery's outcome is recorded
//! ([`Late`](crate::store::memory::late::Late)). An event that stays because of its `Idempotency-Key` is found by a
//! second walk, one day behind. How events are found is in `walk.rs`.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::beside;
use super::pace::{IDLE, Pace, STEP_TIME, after};
use super::walk::{self, Age, Piece, Place};
use crate::domain::ids::sequence_time;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::memory::late::LateEvents;

/// Time until the next turn after one that deleted all that was old. More events grow old meanwhile: the more are
/// deleted together, the more of them share a page.
const PAUSE: Duration = Duration::from_millis(250);

/// Retention is behind if it is later than this. Then the write requests of retention are sized for twice
/// [`STEP_TIME`], and retention takes half of the write thread's time. Otherwise the file could grow without bound.
const BEHIND: Duration = Duration::from_secs(5);

/// Most deliveries with a late outcome that one turn looks up.
const LATE: usize = 1_000;

/// Most deliveries of one event, since an account may have 1,000 destinations. A delivery's id is at most this much
/// above its event's id.
const MAX_DELIVERIES: i64 = 1_000;
const _: () = assert!(MAX_DELIVERIES >= crate::domain::destination::MAX_PER_ACCOUNT as i64, "one for each destination");

/// Most events from the time of a clock that was set back that one turn looks at.
const OUT_OF_ORDER: usize = 200;

/// Longest time between two walks over events from the time of a clock that was set back. The time doubles from
/// [`IDLE`] on after each walk that found nothing. Such events are rare, and those that are left are pending or have a
/// valid key.
const MAX_REST: Duration = Duration::from_secs(300);

/// If the clock goes back by at most this, retention treats it as standing still. A larger step makes the walks begin
/// again.
const JITTER: Duration = Duration::from_secs(60);

/// The state of retention between two turns.
#[derive(Debug)]
pub struct Retention {
    at: Position,
    pace: Pace,
    /// The time that the last turn worked with, which goes back only if the clock was set back by more than [`JITTER`].
    now: Timestamp,
    /// Retention is late, and so takes more time; see [`BEHIND`].
    behind: bool,
    /// The last write request failed. The next one runs in a savepoint, so that it cannot fail the transaction of other
    /// callers.
    failed: bool,
    out_of_order: OutOfOrder,
}

/// How far the walks have come.
#[derive(Debug, Clone)]
struct Position {
    /// Deliveries whose outcome was recorded, or that were deleted, after the walks had passed their events; ascending.
    late: Vec<i64>,
    /// All events with lower ids were looked at when they were old and no key of theirs was valid.
    keyed: i64,
    /// All events with lower ids were looked at when they were old.
    plain: i64,
    /// Position of the walk over events from the time of a clock that was set back. `None` while this walk rests.
    out_of_order: Option<Place>,
}

/// When the next walk over events from the time of a clock that was set back begins.
#[derive(Debug)]
struct OutOfOrder {
    due: Instant,
    rest: Duration,
    /// Whether the present walk has found an event to delete.
    found: bool,
}

/// What the read of one turn found.
struct Looked {
    /// What to delete: first events of late deliveries, then events by id, then those of a clock that was set back.
    pieces: Vec<Piece>,
    late: usize,
    keyed: usize,
    plain: usize,
    /// Where the walks are once all pieces are deleted.
    next: Position,
    more: bool,
    took: Duration,
}

/// What one write request has done.
struct Done {
    /// How many pieces were deleted, counted from the first one.
    pieces: usize,
    rows: usize,
    took: Duration,
}

/// Position before all events of a clock that was set back.
const BEGINNING: Option<Place> = Some((i64::MIN, 0));

impl Default for Retention {
    fn default() -> Self {
        let at = Position { late: Vec::new(), keyed: 0, plain: 0, out_of_order: BEGINNING };
        Self {
            at,
            pace: Pace::default(),
            now: Timestamp::EARLIEST,
            behind: false,
            failed: false,
            out_of_order: OutOfOrder { due: Instant::now(), rest: IDLE, found: false },
        }
    }
}

impl Store {
    /// Runs one turn of retention: finds events that were received more than `retention` before `now`, and deletes some
    /// of them. Returns the time until the next turn.
    ///
    /// # Errors
    /// Unavailable if the store cannot be read or written; a later turn tries again.
    pub async fn expire(&self, state: &mut Retention, retention: Duration, now: Timestamp) -> Result<Duration> {
        let age = Age::at(state.begin(now, Instant::now()), retention);
        // An event below `age.end()` can have deliveries with ids above that, as many as its account has destinations.
        self.memory.late.passed(age.end().saturating_add(MAX_DELIVERIES));
        state.take(self.memory.late.take());
        let (at, step) = (state.at.next_turn(), if state.behind { 2 * STEP_TIME } else { STEP_TIME });
        let rows = state.pace.fit(step);
        let looked = self.readers.read(move |connection| at.look(connection, age, rows)).await?;
        let mut done = Done { pieces: 0, rows: 0, took: Duration::ZERO };
        if !looked.pieces.is_empty() {
            let pieces = looked.pieces.clone();
            let work = move |tx: &mut Transaction<'_>| take(tx, &pieces, 2 * step);
            // In a savepoint SQLite copies each page before it changes the page, so this is done only after a failure.
            let result = if state.failed {
                self.writer.submit_with_savepoint(work).await
            } else {
                self.writer.submit(work).await
            };
            state.failed = result.is_err();
            done = result?;
            state.pace.observe(done.rows, done.took);
        }
        Ok(state.end(&looked, &done, age, Instant::now()))
    }
}

impl Retention {
    /// Begins a turn. Returns the time that the turn must work with.
    fn begin(&mut self, now: Timestamp, instant: Instant) -> Timestamp {
        if self.now.since(now) > JITTER {
            // The clock was set back. Events that were old are not old any more, so the walks begin again.
            (self.at.keyed, self.at.plain) = (0, 0);
            self.now = now;
        }
        self.now = self.now.max(now);
        if self.at.out_of_order.is_none() && self.out_of_order.due <= instant {
            self.at.out_of_order = BEGINNING;
        }
        self.now
    }

    fn take(&mut self, noted: LateEvents) {
        if !noted.deliveries.is_empty() {
            self.at.late.extend(noted.deliveries);
            self.at.late.sort_unstable();
            self.at.late.dedup();
        }
        if let Some(from) = noted.again_from {
            // The event's id is lower than the delivery's, but by no more than the number of deliveries.
            let from = from - MAX_DELIVERIES;
            (self.at.keyed, self.at.plain) = (self.at.keyed.min(from), self.at.plain.min(from));
        }
    }

    /// Ends a turn: moves the walks to the first piece that is not deleted yet. Returns the time until the next turn.
    fn end(&mut self, looked: &Looked, done: &Done, age: Age, now: Instant) -> Duration {
        let (late, keyed) = (looked.late, looked.late + looked.keyed);
        let plain = keyed + looked.plain;
        let undone = |from: usize, to: usize| looked.pieces[from.max(done.pieces).min(to)..to].first();
        if undone(0, late).is_none() {
            self.at.late.drain(..self.at.late.len().min(LATE));
        }
        self.at.keyed = undone(late, keyed).map_or(looked.next.keyed, |piece| piece.first);
        self.at.plain = undone(keyed, plain).map_or(looked.next.plain, |piece| piece.first);
        if self.at.out_of_order.is_some() && undone(plain, looked.pieces.len()).is_none() {
            self.out_of_order.found |= plain < looked.pieces.len();
            self.at.out_of_order = looked.next.out_of_order;
            if self.at.out_of_order.is_none() {
                let found = std::mem::take(&mut self.out_of_order.found);
                let rest = if found { IDLE } else { self.out_of_order.rest };
                self.out_of_order.due = now + rest;
                self.out_of_order.rest = (2 * rest).min(MAX_REST);
            }
        }
        let all = done.pieces == looked.pieces.len();
        let more = looked.more || !all || !self.at.late.is_empty();
        self.behind = looked.more && age.before.since(sequence_time(self.at.plain)) > BEHIND;
        match (more, looked.pieces.is_empty()) {
            (true, true) => after(looked.took),
            (true, false) if self.behind => done.took.max(Duration::from_millis(1)),
            (true, false) => after(done.took),
            (false, false) => PAUSE,
            (false, true) => IDLE,
        }
    }
}

impl Position {
    /// Returns the part of this position that one turn looks at.
    fn next_turn(&self) -> Self {
        let late = self.late.iter().take(LATE).copied().collect();
        Self { late, ..*self }
    }

    fn look(mut self, connection: &Connection, age: Age, rows: usize) -> Result<Looked> {
        let began = Instant::now();
        let mut pieces = walk::of_deliveries(connection, &self.late, age)?;
        let late = pieces.len();
        let keyed = walk::by_id(connection, self.keyed, age.keyed_end(), age, rows)?;
        self.keyed = keyed.next;
        self.plain = self.plain.max(self.keyed);
        let mut plain =
            walk::RetentionCursor { next: self.plain, more: keyed.more, ..walk::RetentionCursor::default() };
        if !keyed.more {
            plain = walk::by_id(connection, self.plain, age.end(), age, rows)?;
            self.plain = plain.next;
        }
        let mut more = plain.more;
        let (keyed, plain) = (keyed.pieces, plain.pieces);
        let counts = (keyed.len(), plain.len());
        pieces.extend(keyed.into_iter().chain(plain));
        if let Some(from) = self.out_of_order {
            let (found, next) = walk::out_of_order(connection, from, age, OUT_OF_ORDER)?;
            pieces.extend(found);
            more |= next.is_some();
            self.out_of_order = next;
        }
        Ok(Looked { pieces, late, keyed: counts.0, plain: counts.1, next: self, more, took: began.elapsed() })
    }
}

const DELETE_DELIVERIES: &str = "DELETE FROM delivery WHERE id > ?1 AND id < ?2";

const DELETE_EVENTS: &str = "DELETE FROM event WHERE id >= ?1 AND id < ?2";

/// Deletes pieces until `time` is over, but at least one. Stops at a piece with a pending delivery: a replay may have
/// opened it again since the read.
fn take(tx: &mut Transaction<'_>, pieces: &[Piece], time: Duration) -> Result<Done> {
    let began = Instant::now();
    let mut done = Done { pieces: 0, rows: 0, took: Duration::ZERO };
    for Piece { first, end, .. } in pieces {
        if walk::is_pending(tx.connection(), *first, *end)? {
            break;
        }
        beside::remove(tx, *first, *end)?;
        done.rows += tx.run(DELETE_DELIVERIES, (first, end))?;
        done.rows += tx.run(DELETE_EVENTS, (first, end))?;
        done.pieces += 1;
        if began.elapsed() >= time {
            break;
        }
    }
    done.took = began.elapsed();
    Ok(done)
}

#[cfg(test)]
mod tests;
