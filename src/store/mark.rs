//! The mark that ties a write-ahead log to its file. People put other files where a database stood, and SQLite plays a
//! log over whatever stands beside it. So each log begins with a commit of its own, of a random mark, and the file carries
//! that mark, on disk, before anything else goes into the log.
//!
//! Copies have the mark of their original. Those that SQLite makes (`VACUUM INTO`, `.backup`) have another first page; a
//! plain copy that was made since the log began is as good as the file, since the log holds all that came after.

use std::time::Duration;

use rusqlite::Connection;

use super::file::header::number;
use super::file::held::Lost;
use super::file::{HeldFile, new_cookie};
use super::{log, sql};
use crate::error::{Error, Result};

/// What a mark begins with.
const MAGIC: &[u8; 8] = b"DPshMark";

/// Bytes of one of its two random parts.
const RANDOM: usize = 16;

/// Bytes of a mark: magic, the mark before, its own random part, the cookies, whether it is open.
const BYTES: usize = MAGIC.len() + 2 * RANDOM + 2 * 4 + 1;

/// The cell of a mark's row, up to the mark: length of the record, rowid 1, and a header of two columns, NULL for the
/// rowid and a blob (<https://sqlite.org/fileformat2.html>, section 2.1).
const CELL: [u8; 5] = [3 + BYTES as u8, 1, 3, 0, (BYTES * 2 + 12) as u8];
const _: () = assert!(BYTES * 2 + 12 < 128 && 3 + BYTES < 128, "each is one byte");

type Random = [u8; RANDOM];

/// What ties a log to its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The mark that the file had when this one was made; zero for the first one of a file.
    pub before: Random,
    /// Its own.
    pub own: Random,
    /// The schema cookie of the file that it was made for. Copies that SQLite makes have another one.
    pub cookie: u32,
    /// The one that the file had before this mark.
    pub cookie_before: u32,
    /// Whether a server is at work on the file, or ended without a clean stop: then the log is needed beside it.
    pub open: bool,
}

impl Mark {
    /// The mark of a new file.
    pub fn first(cookie: u32) -> Self {
        Self { before: Random::default(), own: random(), cookie, cookie_before: cookie, open: false }
    }

    /// Whether it is the first mark of its file.
    pub fn is_first(&self) -> bool {
        self.before == Random::default()
    }

    /// Whether it ties a log to the same file.
    pub fn is(&self, other: &Self) -> bool {
        self.own == other.own
    }

    /// As the file holds it.
    pub fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        rest[..RANDOM].copy_from_slice(&self.before);
        rest[RANDOM..2 * RANDOM].copy_from_slice(&self.own);
        rest[2 * RANDOM..2 * RANDOM + 4].copy_from_slice(&self.cookie.to_be_bytes());
        rest[2 * RANDOM + 4..2 * RANDOM + 8].copy_from_slice(&self.cookie_before.to_be_bytes());
        rest[2 * RANDOM + 8] = self.open.into();
        bytes
    }

    /// Reads what [`Mark::bytes`] makes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() == BYTES)?;
        let part = |from: usize| Random::try_from(&rest[from..from + RANDOM]).ok();
        Some(Self {
            before: part(0)?,
            own: part(RANDOM)?,
            cookie: number(rest, 2 * RANDOM),
            cookie_before: number(rest, 2 * RANDOM + 4),
            open: rest[2 * RANDOM + 8] != 0,
        })
    }

    /// The mark on a page of the table that holds it, and where on the page it lies. No other table's page is like it:
    /// their rows have more columns.
    pub fn of_page(page: &[u8]) -> Option<(Self, usize)> {
        // A leaf with one cell, whose place is in the first of the cell pointers.
        if page.get(..5)?[..1] != [0x0d] || page[3..5] != [0, 1] {
            return None;
        }
        let cell = usize::from(u16::from_be_bytes([page[8], page[9]]));
        let at = cell + CELL.len();
        (page.get(cell..at)? == CELL).then_some(())?;
        Some((Self::parse(page.get(at..at + BYTES)?)?, at))
    }
}

/// Not secret, and unlike every other one.
fn random() -> Random {
    let mut bytes = Random::default();
    fastrand::fill(&mut bytes);
    bytes
}

/// The write thread's side: begins each log with a mark, and sees to it that the file carries it.
#[derive(Debug)]
pub struct Marker {
    last: Mark,
    /// The log whose mark the file carries.
    carried: Option<log::Salt>,
    /// `PRAGMA data_version` when the last mark was made; another program's commit changes it.
    data_version: i64,
    /// Whether the file is a copy that SQLite made, which gets a schema cookie of its own with its first mark: copies of the
    /// copy are told from it by that.
    is_copy: bool,
}

impl Marker {
    /// Goes on from the mark that the file has.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(connection: &Connection) -> Result<Self> {
        let bytes: Vec<u8> = connection.query_row("SELECT mark FROM log_mark", [], |row| row.get(0)).map_err(sql)?;
        let last = Mark::parse(&bytes).ok_or_else(|| Error::internal("the mark is damaged"))?;
        let cookie: u32 = connection.query_row("PRAGMA schema_version", [], |row| row.get(0)).map_err(sql)?;
        Ok(Self { last, carried: None, data_version: 0, is_copy: cookie != last.cookie })
    }

    /// Begins a write transaction. Where it could be the first of a log, or the log is another program's, a mark goes before
    /// it.
    ///
    /// # Errors
    /// Unavailable: the mark cannot be written, or the file is not the one that it was.
    pub fn begin(&mut self, connection: &Connection, file: &HeldFile) -> Result<()> {
        for _ in 0..TRIES {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
            let needed = self.is_needed(connection, file);
            if matches!(needed, Ok(false)) {
                return Ok(());
            }
            connection.execute_batch("ROLLBACK").map_err(sql)?;
            needed?;
            self.commit(connection, file, true)?;
        }
        Err(Error::unavailable(super::IO_FAILURE, "The database's log begins anew again and again."))
    }

    /// The same for no transaction: so that the next one need not. Where another program holds the file's lock, the next one
    /// makes the mark after all: an event that comes meanwhile must not wait for the lock twice.
    ///
    /// # Errors
    /// As for [`Marker::begin`].
    pub fn prepare(&mut self, connection: &Connection, file: &HeldFile) -> Result<()> {
        if !self.is_needed(connection, file)? {
            return Ok(());
        }
        let made = log::waiting_for(connection, Duration::ZERO, || self.commit(connection, file, true)).map_err(sql)?;
        made.or_else(|error| if error.code() == super::LOCKED { Ok(()) } else { Err(error) })
    }

    /// Whether a mark is to be made first. What is asked inside a write transaction holds for that.
    fn is_needed(&self, connection: &Connection, file: &HeldFile) -> Result<bool> {
        let log = log::state(connection)?;
        // SQLite begins the log anew where all of it was moved before the transaction began.
        Ok(self.carried != Some(log.salt) || log.frames == log.moved || file.wants_mark_of_others())
    }

    /// Whether the file is still the one that it was.
    ///
    /// # Errors
    /// Unavailable: what is wrong, and what to do.
    pub fn check_content(&self, connection: &Connection, file: &HeldFile) -> Result<()> {
        file.check_content(|| self.others_have_written(connection))
    }

    /// Whether nothing is in the log but what [`Marker::prepare`] puts there.
    ///
    /// # Errors
    /// The log's index cannot be read.
    pub fn is_alone(&self, connection: &Connection) -> Result<bool> {
        let log = log::state(connection)?;
        Ok(self.carried == Some(log.salt) && log.frames <= FRAMES && log.moved < log.frames)
    }

    /// Commits a mark, which begins the log anew where all of it was moved, and sees to it that the file carries it. `open` is
    /// false at a clean stop.
    ///
    /// # Errors
    /// Unavailable: it cannot be written, or the file is not the one that it was.
    pub fn commit(&mut self, connection: &Connection, file: &HeldFile, open: bool) -> Result<()> {
        // A log must not be tied to a file that somebody put there. One that was removed still goes with its file.
        if let Err(error) = self.check_content(connection, file)
            && file.lost() != Some(Lost::Log)
        {
            return Err(error);
        }
        connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
        let committed = self.write(connection, open);
        if committed.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(sql)?;
        }
        let before = std::mem::replace(&mut self.last, committed?);
        self.is_copy = false;
        self.data_version = data_version(connection)?;
        // Until the new one is there, it has the one before.
        file.expect(before);
        file.expect(self.last);
        file.write_mark(&self.last)?;
        let salt = log::state(connection)?.salt;
        file.carries(self.last, salt, self.carried != Some(salt));
        self.carried = Some(salt);
        Ok(())
    }

    /// The mark, and the first page: what the log has of that tells copies from the file.
    fn write(&self, connection: &Connection, open: bool) -> Result<Mark> {
        let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, u32>(0)).map_err(sql);
        let cookie_before = number("PRAGMA schema_version")?;
        if self.is_copy {
            connection.pragma_update(None, "schema_version", new_cookie()).map_err(sql)?;
        }
        let (cookie, version) = (number("PRAGMA schema_version")?, number("PRAGMA user_version")?);
        let mark = Mark { before: self.last.own, own: random(), cookie, cookie_before, open };
        connection.execute("UPDATE log_mark SET mark = ?1 WHERE id = 1", [mark.bytes()]).map_err(sql)?;
        connection.pragma_update(None, "user_version", version).map_err(sql)?;
        connection.execute_batch("COMMIT").map_err(sql)?;
        Ok(mark)
    }

    /// Where the last mark cannot be committed at a stop since another program holds the write lock, but all of the log could
    /// be moved: says in the file alone that it needs no log.
    ///
    /// # Errors
    /// Unavailable: it cannot be written.
    pub fn close_in_file(&self, file: &HeldFile) -> Result<()> {
        file.write_mark(&Mark { open: false, ..self.last })
    }

    /// Whether another program has written since the last mark, so that the schema may have changed.
    fn others_have_written(&self, connection: &Connection) -> bool {
        data_version(connection).is_ok_and(|version| version != self.data_version)
    }
}

/// Whoever moves the log may move each mark as soon as it is there.
const TRIES: usize = 16;

/// Pages of a commit of a mark.
const FRAMES: u32 = 2;

fn data_version(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::store::file;

    #[test]
    fn a_mark_made_ahead_waits_for_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let held = file::hold(&path).unwrap();
        let (connection, mut marker) = file::open(&held, Timestamp::EPOCH).unwrap();
        // A wait for the lock would never end.
        connection.busy_handler(Some(|_| true)).unwrap();
        let other = Connection::open(&path).unwrap();
        log::checkpoint(&connection).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        marker.prepare(&connection, &held).unwrap();
        assert!(marker.is_needed(&connection, &held).unwrap());
        other.execute_batch("ROLLBACK").unwrap();
        marker.prepare(&connection, &held).unwrap();
        assert!(!marker.is_needed(&connection, &held).unwrap());
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark { open: true, ..Mark::first(7) };
        assert_eq!(Mark::parse(&mark.bytes()), Some(mark));
        assert_eq!(Mark::parse(&mark.bytes()[1..]), None);
    }

    #[test]
    fn the_page_that_sqlite_writes_is_recognised_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let file = Connection::open(&path).unwrap();
        let mark = Mark::first(7);
        file.execute_batch(
            "CREATE TABLE log_mark (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL) STRICT;
             CREATE TABLE other (id INTEGER PRIMARY KEY, a, b)",
        )
        .unwrap();
        file.execute("INSERT INTO log_mark VALUES (1, ?1)", [mark.bytes()]).unwrap();
        file.execute("INSERT INTO other VALUES (1, NULL, ?1)", [mark.bytes()]).unwrap();
        let found: Vec<_> = std::fs::read(&path).unwrap().chunks(4_096).filter_map(Mark::of_page).collect();
        assert!(found.len() == 1 && found[0].0 == mark);
    }
}
