//! A write-ahead log as it lies on disk (<https://sqlite.org/fileformat2.html>, section 4), read without SQLite: what it
//! holds must be known before SQLite plays it over the file that stands beside it.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::header::{Header, number};
use crate::store::mark::Mark;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// First word of a log; its last bit says in which byte order checksums are made.
const MAGIC: u32 = 0x377f_0682;

/// What the committed frames of a log say.
#[derive(Debug, Default)]
pub struct RawLog {
    /// Transactions.
    pub commits: usize,
    /// Its marks, in their order.
    pub marks: Vec<Mark>,
    /// Whether no transaction follows that of the first mark.
    pub first_mark_is_last: bool,
    /// The first and the last version of the first page.
    pub first_pages: Option<(Header, Header)>,
}

impl RawLog {
    /// Reads the log at `path`; `None` where there is no such file. What follows the last whole transaction does not
    /// count, as for SQLite.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut log = Self::default();
        let mut input = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; HEADER_BYTES];
        if !filled(&mut input, &mut header)? {
            return Ok(Some(log));
        }
        let page_size = number(&header, 8) as usize;
        let big_endian = number(&header, 0) & 1 == 1;
        let mut sum = checksum((0, 0), &header[..24], big_endian);
        if number(&header, 0) & !1 != MAGIC
            || sum != (number(&header, 24), number(&header, 28))
            || !page_size.is_power_of_two()
            || !(512..=65_536).contains(&page_size)
        {
            return Ok(Some(log));
        }
        // What the transaction that is being read has so far.
        let (mut marks, mut first_pages) = (Vec::new(), log.first_pages);
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_size];
        while filled(&mut input, &mut frame)? {
            let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
            sum = checksum(checksum(sum, &head[..8], big_endian), page, big_endian);
            if head[8..16] != header[16..24] || sum != (number(head, 16), number(head, 20)) {
                break;
            }
            marks.extend(Mark::of_page(page).map(|(mark, _)| mark));
            if number(head, 0) == 1
                && let Some(last) = Header::parse(page)
            {
                first_pages = Some((first_pages.map_or(last, |(first, _)| first), last));
            }
            if number(head, 4) > 0 {
                log.first_mark_is_last = log.marks.is_empty() && !marks.is_empty();
                log.commits += 1;
                log.marks.append(&mut marks);
                log.first_pages = first_pages;
            }
        }
        Ok(Some(log))
    }
}

/// Whether there was enough to fill `bytes`.
fn filled(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite's checksum of `bytes`, whose length is a multiple of 8, going on from `sum`.
fn checksum(sum: (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let (mut first, mut second) = sum;
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let word = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        first = first.wrapping_add(word(0)).wrapping_add(second);
        second = second.wrapping_add(word(4)).wrapping_add(first);
    }
    (first, second)
}
