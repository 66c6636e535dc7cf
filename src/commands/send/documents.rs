//! Reads documents from a file or standard input: the whole as one, or each line as one. Never more of it is in memory
//! than one document.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Longest document that is read. No server can be told to take a longer one.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Where a document was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of its line, from 1. A document that is not a line has 1.
    pub line: u64,
    /// Bytes of the input that end with it and began behind the document before.
    pub bytes: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A document, without the line break.
    Document(Place, Vec<u8>),
    /// A document of over [`MAX_DOCUMENT_BYTES`], which was passed over.
    TooLong(Place),
}

/// The documents of an input.
pub struct Documents {
    input: BufReader<Box<dyn Read + Send>>,
    by_line: bool,
    line: u64,
    most: usize,
    ended: bool,
}

impl Documents {
    /// Reads `input`. With `by_line` each line that is not blank is a document.
    pub fn new(input: Box<dyn Read + Send>, by_line: bool) -> Self {
        let input = BufReader::with_capacity(READ_BYTES, input);
        Self { input, by_line, line: 0, most: MAX_DOCUMENT_BYTES, ended: false }
    }

    /// The next document. `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn read_next(&mut self) -> io::Result<Option<Item>> {
        let mut passed = 0;
        while !self.ended {
            let (mut document, length) = self.read_one()?;
            self.line += 1;
            passed += length;
            if !self.by_line {
                self.ended = true;
            } else if length == 0 {
                self.ended = true;
                return Ok(None);
            }
            if self.by_line {
                document.pop_if(|byte| *byte == b'\n');
                document.pop_if(|byte| *byte == b'\r');
                if document.iter().all(u8::is_ascii_whitespace) && document.len() <= self.most {
                    continue;
                }
            }
            let place = Place { line: self.line, bytes: passed };
            let is_too_long = document.len() > self.most;
            return Ok(Some(if is_too_long { Item::TooLong(place) } else { Item::Document(place, document) }));
        }
        Ok(None)
    }

    /// Reads up to the end of the line, or of the input. Returns what is kept of it, and how long it was. A document is
    /// kept until it is too long, with its line break.
    fn read_one(&mut self) -> io::Result<(Vec<u8>, u64)> {
        let (mut kept, mut length) = (Vec::new(), 0_u64);
        loop {
            let part = match self.input.fill_buf() {
                Ok(part) => part,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = if self.by_line { memchr::memchr(b'\n', part).map(|at| at + 1) } else { None };
            let some = end.unwrap_or(part.len());
            // Two bytes more for the line break.
            if kept.len() <= self.most + 2 {
                kept.extend_from_slice(&part[..some]);
            }
            let is_end = end.is_some() || part.is_empty();
            self.input.consume(some);
            length += some as u64;
            if is_end {
                return Ok((kept, length));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &'static [u8], by_line: bool, most: usize) -> Vec<Item> {
        let mut documents = Documents { most, ..Documents::new(Box::new(text), by_line) };
        std::iter::from_fn(|| documents.read_next().unwrap()).collect()
    }

    fn document(line: u64, bytes: u64, text: &str) -> Item {
        Item::Document(Place { line, bytes }, text.as_bytes().to_vec())
    }

    #[test]
    fn lines_keep_their_numbers_and_blank_ones_are_passed_over() {
        let read = all(b"{}\n\n  \t\r\n[1]\r\n\"a b\"", true, 100);
        assert_eq!(read, [document(1, 3, "{}"), document(4, 11, "[1]"), document(5, 5, "\"a b\"")]);
        assert_eq!(all(b"", true, 100), []);
        assert_eq!(all(b"\n\n", true, 100), []);
    }

    #[test]
    fn without_lines_the_whole_is_one_document() {
        assert_eq!(all(b"{\n}\n", false, 100), [document(1, 4, "{\n}\n")]);
        assert_eq!(all(b"", false, 100), [document(1, 0, "")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let read = all(b"1\n12345678\n2\n", true, 4);
        assert_eq!(read[1], Item::TooLong(Place { line: 2, bytes: 9 }));
        assert_eq!((&read[0], &read[2]), (&document(1, 2, "1"), &document(3, 2, "2")));
        assert_eq!(all(b"1234\r\n", true, 4), [document(1, 6, "1234")]);
        assert_eq!(all(b"12345", true, 4), [Item::TooLong(Place { line: 1, bytes: 5 })]);
        assert_eq!(all(b"12345", false, 4), [Item::TooLong(Place { line: 1, bytes: 5 })]);
    }
}
