//! Writes the rows of a month into the file of a server that does not run. Through the API all of them would be of one
//! minute.

use std::collections::HashMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Statement};

use super::support::Result;

/// Ids that the pages are asked for.
pub const BUSY_ACCOUNT: &str = "acc_busy";
/// The destination that has half of all deliveries.
pub const BUSY: &str = "dst_busy";
/// The account with as many destinations as one may have.
pub const WIDE_ACCOUNT: &str = "acc_wide";
/// One of its destinations.
pub const OF_WIDE: &str = "dst_wide_500";
/// An account and a destination with few deliveries.
pub const SMALL_ACCOUNT: &str = "acc_77";
/// See [`SMALL_ACCOUNT`].
pub const OF_SMALL: &str = "dst_77_5";
/// Deliveries for [`BUSY`] that are exhausted: the oldest ones.
pub const RARE: usize = 20;

const WIDE_DESTINATIONS: i64 = 1_000;
const SMALL_ACCOUNTS: i64 = 2_000;
const SMALL_DESTINATIONS: i64 = 10;

/// Of so many events for the busy destination, one is followed by an event of the wide account, or of a small one. So
/// half of the deliveries are for the busy destination, three tenths for those of the wide account.
const WIDE_EVERY: usize = 1_600;
const SMALL_EVERY: usize = 25;

/// Age of the first event. Later ones come ever more often: a tenth of them in the last hour, a third in the last day.
const MONTH_MS: f64 = 29.9 * DAY_MS as f64;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Counts of a destination's bucket: accepted, succeeded, failed, exhausted.
type Tallies = HashMap<(i64, i64), [i64; 4]>;

/// Writes about `deliveries` deliveries. Returns their exact number.
pub fn fill(path: &Path, deliveries: usize) -> Result<usize> {
    let file = Connection::open(path)?;
    file.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN")?;
    accounts(&file)?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let (mut rows, mut tallies) = (Rows::new(&file, now)?, Tallies::new());
    let steps = deliveries / 2;
    for step in 0..steps {
        let age = MONTH_MS * (1.0 - step as f64 / steps as f64).powi(3);
        let at = now - 1_000 - age as i64;
        rows.event(at, 1, 1..2, &mut tallies, |_| if step < RARE { State::Exhausted } else { State::Succeeded })?;
        if step % WIDE_EVERY == 0 {
            rows.event(at, 2, 2..2 + WIDE_DESTINATIONS, &mut tallies, State::mixed)?;
        }
        if step % SMALL_EVERY == 0 {
            let other = (step / SMALL_EVERY) as i64 % SMALL_ACCOUNTS;
            let first = 2 + WIDE_DESTINATIONS + other * SMALL_DESTINATIONS;
            rows.event(at, 3 + other, first..first + SMALL_DESTINATIONS, &mut tallies, State::mixed)?;
        }
    }
    let written = rows.written;
    drop(rows);
    let mut tallies: Vec<_> = tallies.into_iter().collect();
    tallies.sort_unstable_by_key(|(bucket, _)| *bucket);
    let mut add = file.prepare("INSERT INTO tally (start, destination_key, accepted, succeeded, failed, exhausted) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for ((destination, start), [accepted, succeeded, failed, exhausted]) in &tallies {
        add.execute((start, destination, accepted, succeeded, failed, exhausted))?;
    }
    drop(add);
    file.execute_batch("COMMIT")?;
    println!("{} destinations, {} tallies", 1 + WIDE_DESTINATIONS + SMALL_ACCOUNTS * SMALL_DESTINATIONS, tallies.len());
    Ok(written)
}

/// Adds the accounts and their destinations. One destination in 50 needs attention.
fn accounts(file: &Connection) -> Result<()> {
    let mut account = file.prepare(
        "INSERT INTO account (key, account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
         VALUES (?1, ?2, ?2 || '@example.com', ?2 || '@example.com', 'Account ' || ?2, zeroblob(32), 'hint', 0, 0)",
    )?;
    let mut destination = file.prepare(
        "INSERT INTO destination (key, destination_id, account_key, url, http_method, headers, secret, failing_since,
         paused_reason, paused_at, created_at, updated_at) VALUES (?1, ?2, ?3, 'http://127.0.0.1:9/hooks/' || ?1, 'POST',
         '{\"Authorization\":\"Bearer 0123456789abcdef\"}', zeroblob(32), iif(?1 % 100 = 3, 90, NULL),
         iif(?1 % 100 = 7, 'manual', NULL), iif(?1 % 100 = 7, 80, NULL), 0, 0)",
    )?;
    account.execute((1, BUSY_ACCOUNT))?;
    destination.execute((1, BUSY, 1))?;
    account.execute((2, WIDE_ACCOUNT))?;
    for number in 0..WIDE_DESTINATIONS {
        destination.execute((2 + number, format!("dst_wide_{number}"), 2))?;
    }
    for number in 0..SMALL_ACCOUNTS {
        account.execute((3 + number, format!("acc_{number}")))?;
        for place in 0..SMALL_DESTINATIONS {
            let key = 2 + WIDE_DESTINATIONS + number * SMALL_DESTINATIONS + place;
            destination.execute((key, format!("dst_{number}_{place}"), 3 + number))?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// After one failure, and not due before tomorrow.
    Pending = 0,
    Succeeded = 1,
    Exhausted = 2,
    Cancelled = 3,
}

impl State {
    /// Of 100 deliveries 90 have succeeded, 5 are pending, 4 exhausted and 1 is cancelled.
    fn mixed(id: i64) -> Self {
        match id * 7_919 % 100 {
            0..90 => Self::Succeeded,
            90..95 => Self::Pending,
            95..99 => Self::Exhausted,
            _ => Self::Cancelled,
        }
    }

    fn attempts(self) -> i64 {
        match self {
            Self::Pending | Self::Succeeded => 1,
            Self::Exhausted => 10,
            Self::Cancelled => 0,
        }
    }
}

struct Rows<'a> {
    event: Statement<'a>,
    delivery: Statement<'a>,
    attempt: Statement<'a>,
    now: i64,
    last: i64,
    written: usize,
}

impl<'a> Rows<'a> {
    fn new(file: &'a Connection, now: i64) -> Result<Self> {
        let event = "INSERT INTO event (id, account_key, received_at, payload) VALUES (?1, ?2, ?3, ?4)";
        let delivery =
            "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at,
             last_attempt_at, status_code, error, first_duration_ms, first_body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, iif(?8 = 500, 'status', NULL), iif(?8 = 200, 5, NULL), zeroblob(16))";
        let attempt =
            "INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, error, body, body_truncated)
             VALUES (?1, ?2, ?3, 9, 500, 'status', zeroblob(200), 0)";
        Ok(Self {
            event: file.prepare(event)?,
            delivery: file.prepare(delivery)?,
            attempt: file.prepare(attempt)?,
            now,
            last: 0,
            written: 0,
        })
    }

    /// Writes an event with a delivery for each of `destinations`.
    fn event(
        &mut self,
        at: i64,
        account: i64,
        destinations: std::ops::Range<i64>,
        tallies: &mut Tallies,
        state: impl Fn(i64) -> State,
    ) -> Result<()> {
        let event = (at << 21).max(self.last + 1);
        let payload = format!(r#"{{"order":{event},"kind":"order.paid","text":"{}"}}"#, "fan out ".repeat(32));
        self.event.execute((event, account, at, payload.as_bytes()))?;
        // Minutes that are older than a day are merged into hours.
        let is_recent = at >= (self.now - DAY_MS) / HOUR_MS * HOUR_MS;
        let width = if is_recent { MINUTE_MS } else { HOUR_MS };
        for (id, destination) in (event + 1..).zip(destinations) {
            let state = state(id);
            let attempts = state.attempts();
            let status = match state {
                State::Succeeded => Some(200),
                State::Pending | State::Exhausted => Some(500),
                State::Cancelled => None,
            };
            let next = if state == State::Pending { self.now + DAY_MS } else { 0 };
            let last = (attempts > 0).then_some(at);
            self.delivery.execute((id, event, destination, state as i64, attempts, next, last, status))?;
            if status == Some(500) {
                (1..=attempts).try_for_each(|number| self.attempt.execute((id, number, at)).map(drop))?;
            }
            let counts = tallies.entry((destination, at / width * width)).or_default();
            counts[0] += 1;
            counts[1] += i64::from(state == State::Succeeded);
            counts[2] += if status == Some(500) { attempts } else { 0 };
            counts[3] += i64::from(state == State::Exhausted);
            self.last = id;
            self.written += 1;
        }
        Ok(())
    }
}
