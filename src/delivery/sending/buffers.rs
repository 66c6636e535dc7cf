//! Buffers that an attempt holds only while it uses them. ureq zeroes both of a connection's buffers before the first
//! byte is sent, so an answer's largest head would cost every blocked attempt its full size.

use std::sync::{Mutex, PoisonError};

use ureq::unversioned::transport::Buffers;

use crate::domain::headers;

/// An answer's head must fit: 64 KiB, which ureq takes at most, and the line that ends it.
const MOST_INPUT: usize = 66 * 1024;

/// The longest line of a request's head: a header that takes all that a destination's headers may, and what stands
/// around name and value.
const LONGEST_LINE: usize = headers::MOST_BYTES + 16;

/// Size of a buffer that is used again; larger ones are freed.
const USUAL: usize = 8 * 1024;

/// Buffers that wait to be used again: those of the attempts that are busy at the same moment, which are few.
const SPARE: usize = 32;

static SPARES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer of the usual size; what it holds is of no meaning.
fn spare() -> Vec<u8> {
    let spare = SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| vec![0; USUAL])
}

/// Gives a buffer back, and leaves an empty one.
fn give_back(buffer: &mut Vec<u8>) {
    let buffer = std::mem::take(buffer);
    if buffer.len() != USUAL {
        return;
    }
    let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
    if spares.len() < SPARE {
        spares.push(buffer);
    }
}

/// Buffers that grow as needed.
#[derive(Default)]
pub struct Growing {
    input: Vec<u8>,
    consumed: usize,
    filled: usize,
    output: Vec<u8>,
    /// Bytes at the beginning of `output` that wait to be sent.
    held: usize,
    /// Whether some of a head has been written: who asks for more room then has a line that did not fit.
    in_head: bool,
    scratch: Vec<u8>,
    progress: bool,
}

impl Growing {
    /// The next `amount` bytes of the output are to be sent.
    pub fn hold(&mut self, amount: usize) {
        self.held += amount;
    }

    /// What is to be sent.
    pub fn held(&self) -> &[u8] {
        &self.output[..self.held]
    }

    /// It has been sent.
    pub fn let_go(&mut self) {
        self.held = 0;
    }

    /// Before a wait: only input that is not consumed yet stays.
    pub fn rest(&mut self) {
        self.in_head = false;
        give_back(&mut self.output);
        give_back(&mut self.scratch);
    }

    /// Bytes of input that still fit.
    pub fn room(&self) -> usize {
        MOST_INPUT - (self.filled - self.consumed)
    }

    /// Appends what fits; gives how much did.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        self.make_room();
        let some = bytes.len().min(self.input.len() - self.filled);
        self.input[self.filled..self.filled + some].copy_from_slice(&bytes[..some]);
        self.filled += some;
        some
    }

    fn make_room(&mut self) {
        if self.consumed > 0 {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        if self.input.is_empty() {
            self.input = spare();
        } else if self.input.len() - self.filled < USUAL / 2 {
            let wanted = (self.input.len() * 2).min(MOST_INPUT);
            self.input.resize(wanted.max(self.input.len()), 0);
        }
    }

    fn output_with_room(&mut self, least: usize) {
        if self.output.is_empty() {
            self.output = spare();
        }
        if self.output.len() - self.held < least {
            self.output.resize(self.held + least.max(USUAL), 0);
        }
    }
}

impl Buffers for Growing {
    fn output(&mut self) -> &mut [u8] {
        self.output_with_room(if self.in_head { LONGEST_LINE } else { USUAL / 2 });
        self.in_head = true;
        &mut self.output[self.held..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.consumed += amount;
        if self.consumed == self.filled {
            // The connection may be kept from now on, and others need the memory.
            (self.consumed, self.filled) = (0, 0);
            give_back(&mut self.input);
        }
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        if self.scratch.is_empty() {
            self.scratch = spare();
        }
        self.output_with_room(USUAL / 2);
        (&mut self.scratch, &mut self.output[self.held..])
    }

    fn can_use_input(&self) -> bool {
        self.consumed < self.filled && self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_grows_up_to_its_limit_and_keeps_what_is_not_consumed() {
        let mut buffers = Growing::default();
        let head: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut taken = 0;
        loop {
            match buffers.take(&head[taken..]) {
                0 => break,
                some => taken += some,
            }
        }
        assert_eq!(taken, MOST_INPUT);
        assert_eq!((buffers.input(), buffers.room()), (&head[..MOST_INPUT], 0));
        buffers.input_consume(60_000);
        let more = buffers.take(&head[taken..]);
        assert!(more > 0);
        assert_eq!(buffers.input(), &head[60_000..taken + more]);
    }

    #[test]
    fn what_is_to_be_sent_stays_in_front_of_what_comes_after_it() {
        let mut buffers = Growing::default();
        let mut all = Vec::new();
        for piece in 0..40_u8 {
            let (_, output) = buffers.tmp_and_output();
            let some = output.len().min(3_000);
            output[..some].fill(piece);
            all.extend(std::iter::repeat_n(piece, some));
            buffers.hold(some);
        }
        assert!(all.len() > 10 * USUAL && buffers.held() == all);
        buffers.let_go();
        assert!(buffers.held().is_empty());
    }

    #[test]
    fn a_line_of_the_head_that_did_not_fit_finds_room_the_next_time() {
        let mut buffers = Growing::default();
        assert!(buffers.output().len() >= USUAL);
        buffers.hold(USUAL - 5_000);
        assert!(buffers.output().len() >= LONGEST_LINE);
        buffers.hold(LONGEST_LINE);
        buffers.let_go();
        assert!(buffers.output().len() >= LONGEST_LINE, "also where the first lines were sent meanwhile");
        buffers.rest();
        assert_eq!(buffers.output().len(), USUAL, "and the next request begins anew");
    }

    #[test]
    fn a_wait_holds_no_memory_once_all_is_consumed() {
        let mut buffers = Growing::default();
        buffers.output()[0] = 1;
        let some = buffers.take(b"answer");
        buffers.input_consume(some - 1);
        buffers.rest();
        assert_eq!((buffers.input(), buffers.output.capacity()), (&b"r"[..], 0));
        buffers.input_consume(1);
        assert_eq!((buffers.input(), buffers.input.capacity()), (&b""[..], 0));
    }
}
