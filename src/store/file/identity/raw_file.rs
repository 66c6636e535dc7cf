//! A database file as it lies on disk, read without SQLite. What its content means is decided in `inspect.rs`.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::header::{self, Header, number};
use super::mark::Mark;
use crate::domain::sealing::file::{BEGIN as SEALED_BEGIN, sealed_by};
use crate::store::file::checkpoints::Checkpoints;
use crate::store::file::companions::sibling_path;

/// Number of pages, from the beginning of the file, that are searched for the mark. In a file with incremental vacuum,
/// as ours are, tables and indexes begin on the first pages.
const MARK_WITHIN: usize = 64;

/// Where the b-tree of the schema begins on the first page: after the header of the file.
const TREE_AT: usize = 100;
/// First byte of an interior page of a table.
const INTERIOR: u8 = 5;
/// Bytes of the header of an interior page. The pointers to its cells follow.
const INTERIOR_HEADER: usize = 12;

/// So much of a WAL is searched for the tables of a replicator.
const LOG_SEARCHED: u64 = 16 << 20;

/// A table that Litestream makes.
const REPLICATORS_TABLE: &[u8] = b"_litestream_seq";

fn names_replicator(bytes: &[u8]) -> bool {
    bytes.windows(REPLICATORS_TABLE.len()).any(|window| window == REPLICATORS_TABLE)
}

/// An open database file and its path.
#[derive(Debug, Clone, Copy)]
pub struct RawFile<'a> {
    /// Canonical path.
    pub path: &'a Path,
    /// The file, open for reading at least.
    pub file: &'a File,
}

impl RawFile<'_> {
    /// The path of the write-ahead log.
    pub fn log_path(self) -> PathBuf {
        sibling_path(self.path, "-wal")
    }

    /// Length of the file, in bytes.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn length(self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether the file is a copy that was sealed as a whole.
    pub fn is_sealed_copy(self) -> bool {
        let mut begin = [0; SEALED_BEGIN];
        self.file.read_exact_at(&mut begin, 0).is_ok() && sealed_by(&begin).is_some()
    }

    /// The first `pages` pages of the file; less if the file is shorter.
    fn beginning(self, pages: usize, page_size: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; pages * page_size];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The header of the file; `None` if that is not SQLite's.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn header(self) -> std::io::Result<Option<Header>> {
        Ok(Header::parse(&self.beginning(1, header::NEEDED)?))
    }

    /// The mark in the file itself, whatever the WAL says, and its offset.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn mark(self, page_size: usize) -> std::io::Result<Option<(Mark, u64)>> {
        // A damaged header may name a page size that no file has.
        if !page_size.is_power_of_two() || page_size < 512 {
            return Ok(None);
        }
        let pages = self.beginning(MARK_WITHIN, page_size)?;
        let found = pages
            .chunks_exact(page_size)
            .enumerate()
            .find_map(|(number, page)| Mark::of_page(page).map(|(mark, at)| (mark, (number * page_size + at) as u64)));
        Ok(found)
    }

    /// Who copies the WAL of the file, as far as the file and the WAL tell: Litestream makes tables of its own. Commands
    /// ask this, since only a server has a flag for it.
    pub fn checkpoints(self) -> Checkpoints {
        let in_log = File::open(self.log_path()).and_then(|log| {
            let mut bytes = Vec::new();
            log.take(LOG_SEARCHED).read_to_end(&mut bytes).map(|_| bytes)
        });
        let is_in_log = in_log.is_ok_and(|bytes| names_replicator(&bytes));
        let pages = self.schema_pages().unwrap_or_default();
        if is_in_log || pages.iter().any(|page| names_replicator(page)) {
            Checkpoints::External
        } else {
            Checkpoints::Own
        }
    }

    /// The first page, and the pages of the schema below it (<https://sqlite.org/fileformat2.html>, section 1.6).
    fn schema_pages(self) -> std::io::Result<Vec<Vec<u8>>> {
        let Some(header) = self.header()? else { return Ok(Vec::new()) };
        let first = self.beginning(1, header.page_size)?;
        let mut children = Vec::new();
        if first.get(TREE_AT) == Some(&INTERIOR) && first.len() == header.page_size {
            let cells = usize::from(u16::from_be_bytes([first[TREE_AT + 3], first[TREE_AT + 4]]));
            let pointers = first[TREE_AT + INTERIOR_HEADER..].chunks_exact(2).take(cells);
            let cells = pointers.map(|at| usize::from(u16::from_be_bytes([at[0], at[1]])));
            let links = cells.chain([TREE_AT + 8]).filter(|at| at + 4 <= first.len());
            children.extend(links.map(|at| number(&first, at)));
        }
        let mut pages = vec![first];
        for child in children {
            let mut page = vec![0; header.page_size];
            let at = u64::from(child.saturating_sub(1)) * header.page_size as u64;
            if self.file.read_exact_at(&mut page, at).is_ok() {
                pages.push(page);
            }
        }
        Ok(pages)
    }

    /// Whether the file says that it cannot do without the WAL beside it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn needs_log(self) -> std::io::Result<bool> {
        let Some(header) = self.header()? else { return Ok(false) };
        // A copy that SQLite made while a server ran has that server's mark but another cookie, and needs no WAL.
        let mark = self.mark(header.page_size)?;
        Ok(mark.is_some_and(|(mark, _)| mark.open && mark.cookie == header.cookie))
    }
}
