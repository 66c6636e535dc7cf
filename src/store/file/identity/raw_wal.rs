//! A WAL as it lies on disk (<https://sqlite.org/fileformat2.html>, section 4), read without SQLite. Its content must
//! be known before SQLite applies the WAL to the file beside it. What the content means is decided in `inspect.rs`.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::header::{Header, number};
use super::mark::Mark;

/// Bytes of the header of a WAL.
const HEADER_BYTES: usize = 32;
/// Bytes of the header before each page.
const FRAME_HEADER_BYTES: usize = 24;

/// First word of a WAL. Its lowest bit says in which byte order checksums are made.
const MAGIC: u32 = 0x377f_0682;

/// What the committed frames of a WAL contain.
#[derive(Debug, Default)]
pub struct RawLog {
    /// Number of transactions.
    pub commits: usize,
    /// Whether one of them wrote anything except marks and the first page.
    pub has_data: bool,
    /// Marks, in the order in which they were committed.
    pub marks: Vec<Mark>,
    /// Versions of the first page, in the same order.
    pub first_pages: Vec<Header>,
    /// Pages of the file after each transaction before the first one that wrote the first page. Equal sizes in a row
    /// are kept once.
    pub sizes_before: Vec<u32>,
}

impl RawLog {
    /// Reads the WAL at `path`; `None` if there is no such file. What follows the last whole transaction does not
    /// count, as for SQLite.
    ///
    /// # Errors
    /// Those of the file system.
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
        // What was read so far of the current transaction.
        let (mut marks, mut first_pages, mut data) = (Vec::new(), Vec::new(), false);
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_size];
        while filled(&mut input, &mut frame)? {
            let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
            sum = checksum(checksum(sum, &head[..8], big_endian), page, big_endian);
            if head[8..16] != header[16..24] || sum != (number(head, 16), number(head, 20)) {
                break;
            }
            let mark = Mark::of_page(page).map(|(mark, _)| mark);
            data |= mark.is_none() && number(head, 0) != 1;
            marks.extend(mark);
            if number(head, 0) == 1 {
                first_pages.extend(Header::parse(page));
            }
            let size = number(head, 4);
            if size > 0 {
                log.commits += 1;
                log.has_data |= data;
                log.marks.append(&mut marks);
                log.first_pages.append(&mut first_pages);
                if log.first_pages.is_empty() && log.sizes_before.last() != Some(&size) {
                    log.sizes_before.push(size);
                }
            }
        }
        Ok(Some(log))
    }
}

/// Fills `bytes`; returns false if there is not enough to read.
fn filled(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite's checksum of `bytes`, continued from `sum`. The length must be a multiple of 8.
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
