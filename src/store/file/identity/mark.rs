//! The mark that ties a WAL to its database file. People put other files where a database was, and SQLite applies a WAL
//! to whatever file is beside it. So each WAL begins with a commit that writes a random mark, and the file on disk has
//! that mark before anything else goes into the WAL. This file only knows the bytes; marks are committed in
//! `marker.rs`.
//!
//! Copies have the mark of their original. Copies that SQLite makes (`VACUUM INTO`, `.backup`) have another first page.
//! A plain copy that was made since the WAL began is as good as the file, since the WAL contains all that came after.

use super::header::number;

/// The first bytes of a mark.
const MAGIC: &[u8; 8] = b"DPshMark";

/// Bytes of one random part; a mark has two.
const RANDOM: usize = 16;

/// Bytes of a mark: magic, random part of the mark before, own random part, both cookies, and whether it is open.
const BYTES: usize = MAGIC.len() + 2 * RANDOM + 2 * 4 + 1;

/// The cell of a mark's row, up to the mark: length of the record, rowid 1, and a record header of two columns. These
/// are NULL, for the rowid, and a blob (<https://sqlite.org/fileformat2.html>, section 2.1).
const CELL: [u8; 5] = [3 + BYTES as u8, 1, 3, 0, (BYTES * 2 + 12) as u8];
const _: () = assert!(BYTES * 2 + 12 < 128 && 3 + BYTES < 128, "each is one byte");

type Random = [u8; RANDOM];

/// What ties a WAL to its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Random part of the mark that the file had when this one was made; zero for the first one of a file.
    pub before: Random,
    /// Random part of this mark.
    pub own: Random,
    /// Schema cookie of the file that the mark was made for. Copies that SQLite makes have another one.
    pub cookie: u32,
    /// Schema cookie that the file had before this mark.
    pub cookie_before: u32,
    /// Whether a server uses the file, or ended without a clean stop. Then the file needs the WAL beside it.
    pub open: bool,
}

impl Mark {
    /// The mark of a new file.
    pub fn first(cookie: u32) -> Self {
        Self { before: Random::default(), own: random(), cookie, cookie_before: cookie, open: false }
    }

    /// Whether this is the first mark of its file.
    pub fn is_first(&self) -> bool {
        self.before == Random::default()
    }

    /// Whether both are the same mark, though one may be open and the other not.
    pub fn is(&self, other: &Self) -> bool {
        self.own == other.own
    }

    /// The bytes of the mark, as the file holds them.
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

    /// Reads the bytes that [`Mark::bytes`] makes; `None` for any others.
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

    /// The mark on a page of the table that holds it, and its offset on the page. Pages of other tables have other
    /// cells, or no magic at this place.
    pub fn of_page(page: &[u8]) -> Option<(Self, usize)> {
        // A leaf page with one cell. The first cell pointer says where that cell is.
        if page.get(..5)?[..1] != [0x0d] || page[3..5] != [0, 1] {
            return None;
        }
        let cell = usize::from(u16::from_be_bytes([page[8], page[9]]));
        let at = cell + CELL.len();
        (page.get(cell..at)? == CELL).then_some(())?;
        Some((Self::parse(page.get(at..at + BYTES)?)?, at))
    }
}

/// Random bytes, which need not be secret but differ from those of every other mark.
pub fn random() -> Random {
    let mut bytes = Random::default();
    fastrand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

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
