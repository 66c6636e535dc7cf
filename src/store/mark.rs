//! The mark that ties a write-ahead log to its file. People put other files where a database stood, and SQLite plays a
//! log over whatever stands beside it. So each log begins with a random mark, and the file carries the mark of the log
//! that it belongs to: nothing is acknowledged before that is on disk.
//!
//! Copies share marks with their original. Those that SQLite makes (`VACUUM INTO`, `.backup`) have another schema cookie
//! than the mark says; a plain copy that was made since the log began is as good as the file, since the log holds
//! all that came after.

use rusqlite::Connection;

use super::file::HeldFile;
use super::file::header::number;
use super::{file, log, sql};
use crate::error::{Error, Result};

/// What a mark begins with.
const MAGIC: &[u8; 8] = b"DPshMark";

/// Bytes of one of its two random parts.
const RANDOM: usize = 16;

/// Bytes of a mark: magic, the mark before, its own random part, the cookie, whether a server is at work.
const BYTES: usize = MAGIC.len() + 2 * RANDOM + 4 + 1;

/// The cell of a mark's row, up to the mark: length of the record, rowid 1, and a header of two columns, NULL for the
/// rowid and a blob (<https://sqlite.org/fileformat2.html>, section 2.1).
const CELL: [u8; 5] = [3 + BYTES as u8, 1, 3, 0, (BYTES * 2 + 12) as u8];
const _: () = assert!(BYTES * 2 + 12 < 128 && 3 + BYTES < 128, "each is one byte");

type Random = [u8; RANDOM];

/// What ties a log to its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The mark that the file had when this log began.
    pub before: Random,
    /// Its own.
    pub own: Random,
    /// The file's schema cookie.
    pub cookie: u32,
    /// Whether a server is at work on the file, or ended without a clean stop.
    pub open: bool,
}

impl Mark {
    /// The mark of a new file.
    pub fn first() -> Self {
        Self { before: Random::default(), own: random(), cookie: 0, open: false }
    }

    /// Whether its file had none before.
    pub fn is_first(&self) -> bool {
        self.before == Random::default()
    }

    fn next(self, cookie: u32, open: bool) -> Self {
        Self { before: self.own, own: random(), cookie, open }
    }

    /// As the file holds it.
    pub fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        rest[..RANDOM].copy_from_slice(&self.before);
        rest[RANDOM..2 * RANDOM].copy_from_slice(&self.own);
        rest[2 * RANDOM..2 * RANDOM + 4].copy_from_slice(&self.cookie.to_be_bytes());
        rest[2 * RANDOM + 4] = self.open.into();
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
            open: rest[2 * RANDOM + 4] != 0,
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

/// The write thread's side: begins each log with a mark and sees to it that the file carries it.
#[derive(Debug)]
pub struct Marker {
    last: Mark,
    cookie: u32,
    /// The log that has begun with a mark which the file carries.
    carried: Option<log::Salt>,
    /// A mark that the transaction which is being made writes.
    writing: Option<Mark>,
}

impl Marker {
    /// Goes on from the mark that the file has.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(connection: &Connection) -> Result<Self> {
        let read = |query: &str| connection.query_row(query, [], |row| row.get::<_, Vec<u8>>(0)).map_err(sql);
        let last =
            Mark::parse(&read("SELECT mark FROM log_mark")?).ok_or_else(|| Error::internal("the mark is damaged"))?;
        let cookie = connection.query_row("PRAGMA schema_version", [], |row| row.get(0)).map_err(sql)?;
        Ok(Self { last, cookie, carried: None, writing: None })
    }

    /// To be called in a transaction before it is committed: writes a mark where it may be the first of a log.
    ///
    /// # Errors
    /// Those of the transaction.
    pub fn before_commit(&mut self, connection: &Connection, file: &HeldFile) -> Result<()> {
        self.writing = None;
        let log = log::state(connection)?;
        // SQLite begins the log anew where all of it was moved before the transaction began.
        if self.carried != Some(log.salt) || log.frames == log.moved {
            self.write(connection, file, true)?;
        }
        Ok(())
    }

    fn write(&mut self, connection: &Connection, file: &HeldFile, open: bool) -> Result<()> {
        let mark = self.last.next(self.cookie, open);
        let update = connection.prepare_cached("UPDATE log_mark SET mark = ?1 WHERE id = 1");
        update.and_then(|mut update| update.execute([mark.bytes()])).map_err(sql)?;
        // Before the commit: from then on somebody else may move it into the file.
        file.expect_mark(mark);
        self.writing = Some(mark);
        Ok(())
    }

    /// A copy that SQLite made gets a cookie unlike any other's: `.backup` gives each the same one, so that a copy of a copy
    /// could not be told from what it was made of.
    fn renew_cookie(&mut self, connection: &Connection) -> Result<()> {
        if self.last.is_first() || self.last.cookie == self.cookie {
            return Ok(());
        }
        let cookie = file::new_cookie();
        connection.pragma_update(None, "schema_version", cookie).map_err(sql)?;
        self.cookie = cookie.unsigned_abs();
        Ok(())
    }

    /// To be called after the commit, and before anybody is told of it: writes the mark of a log that has begun into the
    /// file. That is what a checkpoint does, for this one page.
    ///
    /// # Errors
    /// The disk failed. The commit is on disk, but may not count after a crash.
    pub fn committed(&mut self, connection: &Connection, file: &HeldFile) -> Result<()> {
        if let Some(mark) = self.writing.take() {
            self.last = mark;
        }
        let log = log::state(connection)?;
        if self.carried != Some(log.salt) {
            file.write_mark(&self.last)?;
            self.carried = Some(log.salt);
        }
        Ok(())
    }

    /// A commit of a mark by itself, which begins the log anew where all of it was moved. `open` is false at a clean stop.
    ///
    /// # Errors
    /// Those of the commit.
    pub fn commit(&mut self, connection: &Connection, file: &HeldFile, open: bool) -> Result<()> {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
        let committed = self
            .renew_cookie(connection)
            .and_then(|()| self.write(connection, file, open))
            .and_then(|()| connection.execute_batch("COMMIT").map_err(sql));
        if committed.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(sql)?;
        }
        committed?;
        self.committed(connection, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark::first().next(7, true);
        assert_eq!(Mark::parse(&mark.bytes()), Some(mark));
        assert_eq!(Mark::parse(&mark.bytes()[1..]), None);
    }

    #[test]
    fn the_page_that_sqlite_writes_is_recognised_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let file = Connection::open(&path).unwrap();
        let mark = Mark::first();
        file.execute_batch("CREATE TABLE log_mark (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL) STRICT; CREATE TABLE other (id INTEGER PRIMARY KEY, a, b)").unwrap();
        file.execute("INSERT INTO log_mark VALUES (1, ?1)", [mark.bytes()]).unwrap();
        file.execute("INSERT INTO other VALUES (1, NULL, ?1)", [mark.bytes()]).unwrap();
        let found: Vec<_> = std::fs::read(&path).unwrap().chunks(4_096).filter_map(Mark::of_page).collect();
        assert!(found.len() == 1 && found[0].0 == mark);
    }
}
