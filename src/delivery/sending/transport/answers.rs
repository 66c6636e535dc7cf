//! Rewrites the bytes of responses so that ureq can read them. Interim responses (1xx) are removed, because ureq
//! refuses those that have header fields. Chunked bodies are rewritten, see `chunks`. Everything else passes unchanged,
//! and ureq judges it.

use super::chunks::{self, Chunks, NotChunked};

/// Bytes of a response up to the end of its status: `HTTP/1.1 200`.
const STATUS_END: usize = 12;

/// How every response begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Most bytes by which the output of one call can be longer than its input.
pub const MAX_HELD_BYTES: usize = STATUS_END + chunks::MAX_HELD_BYTES;

/// Bytes of a header line that are looked at. Any line that matters is shorter.
const LINE: usize = 256;

/// Most bytes after a response without a body that are skipped before the next response.
const MAX_LATE_BYTES: usize = 64 * 1024;

/// The responses on one connection, one for each request.
#[derive(Debug, Default)]
pub struct Answers {
    state: State,
    /// First bytes of a response, until its kind is known.
    start: [u8; STATUS_END],
    known: usize,
    /// Whether any byte of a response to the request came.
    begun: bool,
    /// Status of the final response, not of interim ones.
    status: Option<u16>,
    /// Whether the previous response was one that must have no body.
    after_bodyless: bool,
    /// Bytes that came too late and belong to the previous response.
    late: usize,
    spoilt: bool,
    head: Head,
}

#[derive(Debug, Default)]
enum State {
    /// In the first bytes of a response.
    #[default]
    Start,
    /// In the headers of an interim response.
    Interim,
    /// In the headers of the final response.
    Head,
    /// After the headers.
    Body,
    /// After the headers, in a chunked body.
    Chunked(Chunks),
    /// The input is not HTTP/1.
    Foreign,
}

/// Position in the headers, and what was found in them.
#[derive(Debug, Default)]
struct Head {
    /// Whether the current line is not empty.
    filled: bool,
    /// The current line, if it may matter.
    line: Vec<u8>,
    /// Whether the response is HTTP/1.0, which has no chunks.
    old: bool,
    chunked: bool,
}

impl Answers {
    /// A request is about to be sent.
    pub fn expect(&mut self) {
        self.after_bodyless = self.status.is_some_and(is_bodyless);
        self.state = State::Start;
        (self.known, self.begun, self.status, self.late) = (0, false, None, 0);
    }

    /// Takes input, and gives `emit` what ureq must see of it.
    ///
    /// # Errors
    /// The body is not chunked although its headers say so.
    pub fn take(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8])) -> Result<(), NotChunked> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Start => {
                    self.begin(bytes[0], emit);
                    bytes = &bytes[1..];
                }
                State::Interim => {
                    let (some, ended) = self.head.take(bytes, false);
                    bytes = &bytes[some..];
                    if ended {
                        (self.state, self.known) = (State::Start, 0);
                    }
                }
                State::Head => {
                    let (some, ended) = self.head.take(bytes, true);
                    emit(&bytes[..some]);
                    bytes = &bytes[some..];
                    if ended {
                        self.end_head();
                    }
                }
                State::Chunked(chunks) => return chunks.take(bytes, emit),
                State::Body | State::Foreign => {
                    emit(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes one of the first bytes of a response.
    fn begin(&mut self, byte: u8, emit: &mut impl FnMut(&[u8])) {
        if self.known == 0 && matches!(byte, b'\r' | b'\n') {
            // Line ends before a response mean nothing (RFC 9112, 2.2).
            return;
        }
        let expected = BEGINNING.get(self.known).is_none_or(|expected| *expected == byte);
        if !expected && self.after_bodyless && !self.begun && self.late < MAX_LATE_BYTES {
            self.late += self.known + usize::from(byte != BEGINNING[0]);
            self.known = usize::from(byte == BEGINNING[0]);
            self.start[0] = BEGINNING[0];
            self.spoilt = true;
            return;
        }
        self.start[self.known] = byte;
        self.known += 1;
        // After a response without a body, the first letters may still belong to a body that came too late.
        self.begun |= !self.after_bodyless || self.known >= BEGINNING.len();
        if !expected {
            (self.state, self.begun) = (State::Foreign, true);
        } else if self.known < STATUS_END {
            return;
        } else {
            let status = status(&self.start);
            self.head = Head { filled: true, old: self.start[BEGINNING.len()] == b'0', ..Head::default() };
            self.status = status.filter(|status| !is_interim(*status));
            self.state = match status {
                Some(status) if is_interim(status) => State::Interim,
                Some(_) => State::Head,
                None => State::Foreign,
            };
        }
        if !matches!(self.state, State::Interim) {
            emit(&self.start[..self.known]);
        }
    }

    fn end_head(&mut self) {
        let bodyless = self.status.is_some_and(is_bodyless);
        self.state =
            if self.head.chunked && !self.head.old && !bodyless { State::Chunked(Chunks::new()) } else { State::Body };
    }

    /// Whether any byte of a response came, also of an interim one.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the final response has begun, or something that is not HTTP/1.
    pub fn is_final(&self) -> bool {
        !matches!(self.state, State::Start | State::Interim)
    }

    /// Whether the headers of the final response are complete.
    pub fn has_head(&self) -> bool {
        matches!(self.state, State::Body | State::Chunked(_))
    }

    /// Status of the final response, as soon as it is known.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether bytes came that belong to no response.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt
    }
}

impl Head {
    /// Takes the bytes that belong to the headers. Returns how many they are, and whether the headers end there.
    fn take(&mut self, bytes: &[u8], matters: bool) -> (usize, bool) {
        let mut taken = 0;
        while let Some(end) = bytes[taken..].iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[taken..taken + end], matters);
            taken += end + 1;
            if !self.filled {
                return (taken, true);
            }
            self.end_line();
        }
        self.add(&bytes[taken..], matters);
        (bytes.len(), false)
    }

    /// Takes a piece of a line.
    fn add(&mut self, piece: &[u8], matters: bool) {
        let begins = !self.filled && self.line.is_empty();
        self.filled |= piece.iter().any(|byte| *byte != b'\r');
        if matters
            && (!self.line.is_empty() || (begins && piece.first().is_some_and(|first| matches!(first, b't' | b'T'))))
        {
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    }

    fn end_line(&mut self) {
        self.filled = false;
        let line = std::mem::take(&mut self.line);
        if let Some((name, value)) = std::str::from_utf8(&line).ok().and_then(|line| line.split_once(':')) {
            let codings = value.split(',').map(str::trim);
            self.chunked |= name.eq_ignore_ascii_case("transfer-encoding")
                && codings.into_iter().any(|coding| coding.eq_ignore_ascii_case("chunked"));
        }
    }
}

/// The status in the first bytes of a response.
fn status(start: &[u8; STATUS_END]) -> Option<u16> {
    let digits = start.strip_prefix(BEGINNING).and_then(|rest| rest.get(1..))?.strip_prefix(b" ")?;
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether another response follows. None follows 101, which ends HTTP on the connection.
fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

/// Whether a response has no body, whatever its headers say.
fn is_bodyless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

#[cfg(test)]
mod tests;
