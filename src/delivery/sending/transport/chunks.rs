//! Rewrites chunked bodies so that ureq can read them. ureq accepts a line with a chunk's size only up to 20 bytes,
//! while extensions may have any length (RFC 9112, 7.1.1). Data pass unchanged. Lines with sizes lose extensions and
//! leading zeros, and the trailing fields are removed.

use std::fmt;

/// Most bytes of extensions and trailing fields in one response. A receiver that sends them without end is not read for
/// ever.
const MAX_ASIDE_BYTES: usize = 1024 * 1024;

/// Most bytes by which the output of one call can be longer than its input: a size whose digits came in earlier calls.
pub const MAX_HELD_BYTES: usize = 16;

/// The input is not a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotChunked(&'static str);

impl fmt::Display for NotChunked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotChunked {}

/// The position in a chunked body. Only a few numbers are kept, however the bytes are divided into reads.
#[derive(Debug)]
pub struct Chunks {
    state: State,
    /// Size of the chunk whose line is being read.
    size: u64,
    /// Bytes so far that are neither data nor a size.
    aside: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size.
    Size { begun: bool },
    /// After the size, before the end of its line.
    Extension { cr: bool },
    /// In the data, of which this many bytes are still to come.
    Data(u64),
    /// After the data, before the end of the line.
    DataEnd { cr: bool },
    /// In a line after the last chunk.
    Trailer { empty: bool, cr: bool },
    /// After the end of the body.
    Done,
}

impl Chunks {
    /// At the beginning of a body.
    pub fn new() -> Self {
        Self { state: State::Size { begun: false }, size: 0, aside: 0 }
    }

    /// Takes input, and gives `emit` what ureq must see of it. Bytes after the end of the body pass unchanged.
    ///
    /// # Errors
    /// The input is not a chunked body.
    pub fn take(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8])) -> Result<(), NotChunked> {
        while let Some((&first, rest)) = bytes.split_first() {
            if let State::Data(left) = self.state {
                let some = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                emit(&bytes[..some]);
                bytes = &bytes[some..];
                let left = left - some as u64;
                self.state = if left == 0 { State::DataEnd { cr: false } } else { State::Data(left) };
                continue;
            }
            if self.state == State::Done {
                emit(bytes);
                break;
            }
            self.state = self.step(first, emit)?;
            bytes = rest;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8, emit: &mut impl FnMut(&[u8])) -> Result<State, NotChunked> {
        Ok(match (self.state, byte) {
            (State::Size { begun }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if begun && self.size == 0 {
                    self.aside()?;
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = self.size.checked_mul(16).filter(|size| *size <= i64::MAX.unsigned_abs());
                self.size = size.ok_or(NotChunked("a chunk's size is beyond any number"))? + u64::from(digit);
                State::Size { begun: true }
            }
            (State::Size { begun: false }, b' ' | b'\t') => {
                self.aside()?;
                State::Size { begun: false }
            }
            (State::Size { begun: true }, b'\r') => State::Extension { cr: true },
            (State::Size { begun: true }, b';' | b' ' | b'\t') => State::Extension { cr: false },
            (State::Size { .. }, _) => return Err(NotChunked("a chunk's size is not a hexadecimal number")),
            (State::Extension { cr: true }, b'\n') => {
                emit(format!("{:x}\r\n", self.size).as_bytes());
                let size = std::mem::take(&mut self.size);
                if size == 0 { State::Trailer { empty: true, cr: false } } else { State::Data(size) }
            }
            (State::Extension { cr: false }, b'\n') | (State::Extension { cr: true }, _) => {
                return Err(NotChunked("a line with a chunk's size does not end in CRLF"));
            }
            (State::Extension { cr: false }, byte) => {
                self.aside()?;
                State::Extension { cr: byte == b'\r' }
            }
            (State::DataEnd { cr: false }, b'\r') => State::DataEnd { cr: true },
            (State::DataEnd { cr: true }, b'\n') => {
                emit(b"\r\n");
                State::Size { begun: false }
            }
            (State::DataEnd { .. }, _) => return Err(NotChunked("a chunk is longer than its size says")),
            (State::Trailer { empty: true, .. }, b'\n') => {
                emit(b"\r\n");
                State::Done
            }
            (State::Trailer { empty: false, .. }, b'\n') => State::Trailer { empty: true, cr: false },
            (State::Trailer { empty, cr: false }, b'\r') => State::Trailer { empty, cr: true },
            (State::Trailer { .. }, _) => {
                self.aside()?;
                State::Trailer { empty: false, cr: false }
            }
            // The caller handles these states.
            (State::Data(_) | State::Done, _) => self.state,
        })
    }

    fn aside(&mut self) -> Result<(), NotChunked> {
        self.aside += 1;
        if self.aside > MAX_ASIDE_BYTES {
            Err(NotChunked("its chunk extensions or trailing fields do not end"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The output for input that is divided at `cuts`, and whether all of the input was valid.
    fn rewritten(wire: &[u8], cuts: &[usize]) -> (Vec<u8>, Result<(), NotChunked>) {
        let (mut chunks, mut out) = (Chunks::new(), Vec::new());
        for piece in pieces(wire, cuts) {
            let before = out.len();
            let taken = chunks.take(piece, &mut |bytes| out.extend_from_slice(bytes));
            assert!(out.len() - before <= piece.len() + MAX_HELD_BYTES);
            if taken.is_err() {
                return (out, taken);
            }
        }
        (out, Ok(()))
    }

    fn pieces<'a>(wire: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect()
    }

    prop_compose! {
        /// A chunk's size line as it may be written, and its data, which may look like size lines.
        fn chunk()(
            data in prop_oneof![
                prop::collection::vec(any::<u8>(), 1..40),
                Just(b"5;a=b\r\n".to_vec()),
                Just(b"0\r\n\r\n".to_vec()),
                Just(b"\r\n\r\n;".to_vec()),
            ],
            zeros in 0..30_usize,
            upper in any::<bool>(),
            blanks in "[ \t]{0,3}",
            extension in "(;[a-z=\" \t]{0,60}){0,3}",
        ) -> (Vec<u8>, Vec<u8>) {
            let size = if upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            let line = format!("{}{size}{blanks}{extension}\r\n", "0".repeat(zeros));
            ([line.as_bytes(), &data, b"\r\n"].concat(), data)
        }
    }

    proptest! {
        #[test]
        fn data_pass_byte_for_byte_and_sizes_bare_however_the_bytes_are_cut(
            chunks in prop::collection::vec(chunk(), 0..6),
            last in "0{1,30}(;[a-z]{0,100})?",
            trailer in "([a-zA-Z-]{1,10}: ?[ -~]{0,40}\r\n){0,3}",
            behind in prop::collection::vec(any::<u8>(), 0..10),
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            for (written, data) in &chunks {
                wire.extend_from_slice(written);
                expected.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                expected.extend_from_slice(data);
                expected.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(format!("{last}\r\n{trailer}\r\n").as_bytes());
            wire.extend_from_slice(&behind);
            expected.extend_from_slice(b"0\r\n\r\n");
            expected.extend_from_slice(&behind);
            prop_assert_eq!(rewritten(&wire, &cuts), (expected, Ok(())));
        }

        #[test]
        fn whatever_comes_is_judged_alike_however_it_is_cut(
            wire in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[0-3a\r\n; x]{0,60}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            prop_assert_eq!(rewritten(&wire, &cuts), rewritten(&wire, &[]));
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for wire in [
            &b"zz\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5;a\nhello\r\n",
            b"5\rhello\r\n",
            b"5\r\nhello!\r\n",
            b"5\r\nhello\n",
            b"10000000000000000\r\n",
            b"fffffffffffffffff\r\n",
        ] {
            assert!(rewritten(wire, &[]).1.is_err(), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn extensions_are_of_any_length_but_not_endless() {
        let long = [b"5;".as_slice(), &vec![b'x'; 500_000], b"\r\nhello\r\n0\r\n\r\n"].concat();
        assert_eq!(rewritten(&long, &[]), (b"5\r\nhello\r\n0\r\n\r\n".to_vec(), Ok(())));
        let endless = [b"5;".as_slice(), &vec![b'x'; MAX_ASIDE_BYTES + 1]].concat();
        assert!(rewritten(&endless, &[]).1.is_err());
        assert!(rewritten(&vec![b'0'; MAX_ASIDE_BYTES + 2], &[]).1.is_err());
    }
}
