//! Buffers that an attempt holds only while it uses them. ureq itself would zero both buffers of a connection before
//! the first byte is sent. So every attempt that only waits would cost as much memory as the largest response headers.

use std::sync::{Mutex, PoisonError};

use ureq::unversioned::transport::Buffers;

use crate::domain::headers;

/// Size up to which the input grows. The headers of a response must fit: at most 64 KiB, which is ureq's own limit, and
/// the line that ends them.
const MAX_INPUT_BYTES: usize = 66 * 1024;

/// The longest line of a request's headers. One header may be as large as all headers of a destination together. The
/// rest is for the characters around name and value.
const MAX_LINE_BYTES: usize = headers::MAX_BYTES + 16;

/// Size of a buffer that is used again. Larger buffers are freed.
const TYPICAL_BYTES: usize = 8 * 1024;

/// Most buffers that are kept to be used again. Few attempts need one at the same moment.
const MAX_SPARES: usize = 32;

static SPARES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer of [`TYPICAL_BYTES`] with any content.
fn spare() -> Vec<u8> {
    let spare = SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| vec![0; TYPICAL_BYTES])
}

/// Keeps a buffer for others or frees it, and leaves an empty one in its place.
fn give_back(buffer: &mut Vec<u8>) {
    let buffer = std::mem::take(buffer);
    if buffer.len() != TYPICAL_BYTES {
        return;
    }
    let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
    if spares.len() < MAX_SPARES {
        spares.push(buffer);
    }
}

/// Buffers that grow as needed.
#[derive(Default)]
pub struct GrowableBuffers {
    input: Vec<u8>,
    consumed: usize,
    filled: usize,
    output: Vec<u8>,
    /// Bytes at the beginning of `output` that wait to be sent.
    held: usize,
    /// Whether some lines of the headers have been written. If ureq then asks for output again, the next line did not
    /// fit.
    in_head: bool,
    scratch: Vec<u8>,
    progress: bool,
}

impl GrowableBuffers {
    /// Adds the next `amount` bytes of the output to those that wait to be sent.
    pub fn hold(&mut self, amount: usize) {
        self.held += amount;
    }

    /// The bytes that wait to be sent.
    pub fn held(&self) -> &[u8] {
        &self.output[..self.held]
    }

    /// Notes that these bytes were sent.
    pub fn mark_sent(&mut self) {
        self.held = 0;
    }

    /// Before a wait: keeps only input that ureq has not consumed.
    pub fn release_idle(&mut self) {
        self.in_head = false;
        give_back(&mut self.output);
        give_back(&mut self.scratch);
    }

    /// Bytes of input that still fit.
    pub fn room(&self) -> usize {
        MAX_INPUT_BYTES - (self.filled - self.consumed)
    }

    /// Appends the bytes that fit, and returns their number.
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
        } else if self.input.len() - self.filled < TYPICAL_BYTES / 2 {
            let wanted = (self.input.len() * 2).min(MAX_INPUT_BYTES);
            self.input.resize(wanted.max(self.input.len()), 0);
        }
    }

    fn output_with_room(&mut self, least: usize) {
        if self.output.is_empty() {
            self.output = spare();
        }
        if self.output.len() - self.held < least {
            self.output.resize(self.held + least.max(TYPICAL_BYTES), 0);
        }
    }
}

impl Buffers for GrowableBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.output_with_room(if self.in_head { MAX_LINE_BYTES } else { TYPICAL_BYTES / 2 });
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
            // The connection may be idle from now on, and other attempts need the memory.
            (self.consumed, self.filled) = (0, 0);
            give_back(&mut self.input);
        }
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        if self.scratch.is_empty() {
            self.scratch = spare();
        }
        self.output_with_room(TYPICAL_BYTES / 2);
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
        let mut buffers = GrowableBuffers::default();
        let head: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut taken = 0;
        loop {
            match buffers.take(&head[taken..]) {
                0 => break,
                some => taken += some,
            }
        }
        assert_eq!(taken, MAX_INPUT_BYTES);
        assert_eq!((buffers.input(), buffers.room()), (&head[..MAX_INPUT_BYTES], 0));
        buffers.input_consume(60_000);
        let more = buffers.take(&head[taken..]);
        assert!(more > 0);
        assert_eq!(buffers.input(), &head[60_000..taken + more]);
    }

    #[test]
    fn what_is_to_be_sent_stays_in_front_of_what_comes_after_it() {
        let mut buffers = GrowableBuffers::default();
        let mut all = Vec::new();
        for piece in 0..40_u8 {
            let (_, output) = buffers.tmp_and_output();
            let some = output.len().min(3_000);
            output[..some].fill(piece);
            all.extend(std::iter::repeat_n(piece, some));
            buffers.hold(some);
        }
        assert!(all.len() > 10 * TYPICAL_BYTES && buffers.held() == all);
        buffers.mark_sent();
        assert!(buffers.held().is_empty());
    }

    #[test]
    fn a_line_of_the_head_that_did_not_fit_finds_room_the_next_time() {
        let mut buffers = GrowableBuffers::default();
        assert!(buffers.output().len() >= TYPICAL_BYTES);
        buffers.hold(TYPICAL_BYTES - 5_000);
        assert!(buffers.output().len() >= MAX_LINE_BYTES);
        buffers.hold(MAX_LINE_BYTES);
        buffers.mark_sent();
        assert!(buffers.output().len() >= MAX_LINE_BYTES, "also where the first lines were sent meanwhile");
        buffers.release_idle();
        assert_eq!(buffers.output().len(), TYPICAL_BYTES, "and the next request begins anew");
    }

    #[test]
    fn a_wait_holds_no_memory_once_all_is_consumed() {
        let mut buffers = GrowableBuffers::default();
        buffers.output()[0] = 1;
        let some = buffers.take(b"answer");
        buffers.input_consume(some - 1);
        buffers.release_idle();
        assert_eq!((buffers.input(), buffers.output.capacity()), (&b"r"[..], 0));
        buffers.input_consume(1);
        assert_eq!((buffers.input(), buffers.input.capacity()), (&b""[..], 0));
    }
}
