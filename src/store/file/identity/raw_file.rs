//! A database file as it lies on disk, read without SQLite. What its content means is decided in `inspect.rs`.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::header::{self, Header};
use super::mark::Mark;
use crate::store::file::companions::sibling_path;

/// Number of pages, from the beginning of the file, that are searched for the mark. In a file with incremental vacuum,
/// as ours are, tables and indexes begin on the first pages.
const MARK_WITHIN: usize = 64;

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
