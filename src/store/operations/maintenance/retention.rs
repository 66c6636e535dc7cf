//! Events past their retention go with their deliveries and attempts, oldest first. Each event is looked at once: what
//! stays because a delivery is pending is come back for when that is settled ([`Late`](crate::store::memory::late::Late)), and
//! what stays because of its `Idempotency-Key` by a second walk a day behind.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::pace::{IDLE, Pace, STEP_TIME, after};
use super::walk::{self, Age, Piece, Place};
use crate::domain::ids::sequence_time;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::memory::late::LateEvents;

/// Until the next turn where all that was old is gone and more grows old: the more go together, the more share a page.
const PAUSE: Duration = Duration::from_millis(250);

/// Retention is behind when it is so much later than it should be. Then its steps are twice as long and half of the write
/// thread's time is its own: the file must not grow without end.
const BEHIND: Duration = Duration::from_secs(5);

/// Deliveries settled late that one turn looks up.
const LATE: usize = 1_000;

/// Deliveries of one event: an account may have 1,000 destinations. Their ids are this close behind the event's.
const MAX_DELIVERIES: i64 = 1_000;

/// Events of a clock that was set back that one turn looks up.
const OUT_OF_ORDER: usize = 200;

/// Between two walks over these, where the last one found nothing: twice as long each time. They are rare, and those that
/// are left are pending or have a key.
const MAX_REST: Duration = Duration::from_secs(300);

/// A clock that goes back by no more than this is taken for one that stands still.
const JITTER: Duration = Duration::from_secs(60);

/// Where retention stands.
#[derive(Debug)]
pub struct Retention {
    at: Position,
    pace: Pace,
    /// When the last turn was.
    now: Timestamp,
    /// It is late, and so does more.
    behind: bool,
    /// The last step failed: it must not fail others' work, and so is tried apart.
    failed: bool,
    out_of_order: OutOfOrder,
}

/// How far the walks are.
#[derive(Debug, Clone)]
struct Position {
    /// Deliveries that were settled late.
    late: Vec<i64>,
    /// All events below were looked at when no key of theirs held any more.
    keyed: i64,
    /// All events below were looked at when they were old.
    plain: i64,
    /// The last one that was looked at among those of a clock that was set back; `None` while they are not looked at.
    out_of_order: Option<Place>,
}

/// When those of a clock that was set back are walked over.
#[derive(Debug)]
struct OutOfOrder {
    due: Instant,
    rest: Duration,
    /// Whether the walk that goes on has taken any.
    found: bool,
}

/// What a turn found to do.
struct Looked {
    /// First those of late deliveries, then those by id.
    pieces: Vec<Piece>,
    late: usize,
    keyed: usize,
    plain: usize,
    /// Where the walks are when all of it is done.
    next: Position,
    more: bool,
    took: Duration,
}

/// What a step has done.
struct Done {
    /// So many of the first pieces are gone.
    pieces: usize,
    rows: usize,
    took: Duration,
}

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
    /// One turn of retention: looks for what was received longer than `retention` before `now`, and deletes some of it.
    /// Gives the time until the next turn.
    ///
    /// # Errors
    /// Unavailable; it is done later.
    pub async fn expire(&self, state: &mut Retention, retention: Duration, now: Timestamp) -> Result<Duration> {
        let age = Age::at(state.begin(now, Instant::now()), retention);
        // An event is old though its deliveries have ids of the next millisecond.
        self.memory.late.passed(age.end().saturating_add(MAX_DELIVERIES));
        state.take(self.memory.late.take());
        let (at, step) = (state.at.next_turn(), if state.behind { 2 * STEP_TIME } else { STEP_TIME });
        let rows = state.pace.fit(step);
        let looked = self.readers.read(move |connection| at.look(connection, age, rows)).await?;
        let mut done = Done { pieces: 0, rows: 0, took: Duration::ZERO };
        if !looked.pieces.is_empty() {
            let pieces = looked.pieces.clone();
            let work = move |tx: &mut Transaction<'_>| take(tx, &pieces, 2 * step);
            // In a savepoint each page is copied before it is changed.
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
    /// Gives the time that this turn is for.
    fn begin(&mut self, now: Timestamp, instant: Instant) -> Timestamp {
        if self.now.since(now) > JITTER {
            // The clock was set back. What was old is not any more, and will be later.
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
            // Its event has a lower id, but by no more than the number of its deliveries.
            let from = from - MAX_DELIVERIES;
            (self.at.keyed, self.at.plain) = (self.at.keyed.min(from), self.at.plain.min(from));
        }
    }

    /// Moves the walks to behind what is done; gives the time until the next turn.
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
    /// As much of it as one turn looks at.
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

/// Takes pieces until `time` is over, but at least one, and none in which something is pending: a replay may have opened it
/// since the look.
fn take(tx: &mut Transaction<'_>, pieces: &[Piece], time: Duration) -> Result<Done> {
    let began = Instant::now();
    let mut done = Done { pieces: 0, rows: 0, took: Duration::ZERO };
    for Piece { first, end, .. } in pieces {
        if walk::is_pending(tx.connection(), *first, *end)? {
            break;
        }
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
