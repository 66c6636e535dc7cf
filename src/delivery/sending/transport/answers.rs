//! What a connection brings, made such that ureq reads it: interim answers (1xx) go, which it refuses where they have
//! fields, and chunked bodies are rewritten (see `chunks`). All else passes as it is, so that ureq judges it.

use super::chunks::{self, Chunks, NotChunked};

/// Bytes of a head up to the end of its status: `HTTP/1.1 200`.
const STATUS_END: usize = 12;

/// How every head begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Most bytes that one call gives in excess of what it was given.
pub const MAX_HELD_BYTES: usize = STATUS_END + chunks::MAX_HELD_BYTES;

/// Bytes of a field's line that are looked at; one that matters is shorter.
const LINE: usize = 256;

/// Bytes behind an answer without a body that are passed over before the next one.
const MAX_LATE_BYTES: usize = 64 * 1024;

/// The answers on one connection, one for each request.
#[derive(Debug, Default)]
pub struct Answers {
    state: State,
    /// First bytes of a head of which it is not known yet what it is.
    start: [u8; STATUS_END],
    known: usize,
    /// Whether anything of an answer to the request came.
    begun: bool,
    /// Of the answer itself, not of interim ones.
    status: Option<u16>,
    /// Whether the answer before was one that must have no body.
    after_bodyless: bool,
    /// Bytes that came late and belong to the answer before.
    late: usize,
    spoilt: bool,
    head: Head,
}

#[derive(Debug, Default)]
enum State {
    /// In the first bytes of a head.
    #[default]
    Start,
    /// In a head of 1xx.
    Interim,
    /// In the head of the answer.
    Head,
    /// Behind it.
    Body,
    /// Behind it, chunked.
    Chunked(Chunks),
    /// It is not HTTP/1.
    Foreign,
}

/// Where in a head it is, and what of it matters.
#[derive(Debug, Default)]
struct Head {
    /// Whether the line has something.
    filled: bool,
    /// The line, where it may matter.
    line: Vec<u8>,
    /// Whether it is HTTP/1.0, which has no chunks.
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

    /// Takes what came, and gives what ureq is to see of it.
    ///
    /// # Errors
    /// A body is not chunked though its head says so.
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

    /// One more of a head's first bytes.
    fn begin(&mut self, byte: u8, emit: &mut impl FnMut(&[u8])) {
        if self.known == 0 && matches!(byte, b'\r' | b'\n') {
            // Ahead of a head they say nothing (RFC 9112, 2.2).
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
        // Behind an answer without a body, a letter may still be of what came late.
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

    /// Whether anything of the answer came, an interim one included.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the answer itself is there, or something that is none.
    pub fn is_final(&self) -> bool {
        !matches!(self.state, State::Start | State::Interim)
    }

    /// Whether its head is whole.
    pub fn has_head(&self) -> bool {
        matches!(self.state, State::Body | State::Chunked(_))
    }

    /// Its status, as soon as that is there.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether something came that no answer accounts for.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt
    }
}

impl Head {
    /// Takes what is of the head; gives how much that was, and whether it ended there.
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

    /// A piece of a line.
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

/// The status in a head's first bytes.
fn status(start: &[u8; STATUS_END]) -> Option<u16> {
    let digits = start.strip_prefix(BEGINNING).and_then(|rest| rest.get(1..))?.strip_prefix(b" ")?;
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether another answer follows: 101 ends HTTP on the connection, so none follows that.
fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

/// Whether an answer has no body, whatever its head says.
fn is_bodyless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

#[cfg(test)]
mod tests;
