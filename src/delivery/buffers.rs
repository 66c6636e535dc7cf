//! Buffers that an attempt holds only while it uses them. ureq zeroes both of a connection's buffers before the first
//! byte is sent, so an answer's largest head would cost every blocked attempt its full size.

use std::fmt;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// An answer's head must fit: 64 KiB, which ureq takes at most, and the line that ends it.
const MOST_INPUT: usize = 66 * 1024;

/// Grows by at least this.
const STEP: usize = 4 * 1024;

/// Bytes of a request that are put together before they are sent.
const OUTPUT: usize = 8 * 1024;

/// Bytes of a document that are read at once.
const SCRATCH: usize = 8 * 1024;

/// Last in the chain: wraps the transport that the others made.
#[derive(Debug)]
pub struct LeanConnector;

impl<In: Transport> Connector<In> for LeanConnector {
    type Out = Lean<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Lean { inner, buffers: Growing::default() }))
    }
}

/// A transport with buffers that grow as needed and are given back before each wait for the peer.
pub struct Lean<T> {
    inner: T,
    buffers: Growing,
}

impl<T: Transport> fmt::Debug for Lean<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: Transport> Transport for Lean<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut rest = &self.buffers.output[..amount];
        while !rest.is_empty() {
            let room = self.inner.buffers().output();
            let some = rest.len().min(room.len());
            room[..some].copy_from_slice(&rest[..some]);
            self.inner.transmit_output(some, timeout)?;
            rest = &rest[some..];
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.buffers.rest();
        if self.inner.buffers().input().is_empty() && !self.inner.await_input(timeout)? {
            return Ok(false);
        }
        let some = self.buffers.take(self.inner.buffers().input());
        self.inner.buffers().input_consume(some);
        // Like ureq's own: an input that is full ends.
        Ok(some > 0)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[derive(Default)]
struct Growing {
    input: Vec<u8>,
    consumed: usize,
    filled: usize,
    output: Vec<u8>,
    scratch: Vec<u8>,
    progress: bool,
}

impl Growing {
    /// Before a wait: only what is not consumed yet stays.
    fn rest(&mut self) {
        self.output = Vec::new();
        self.scratch = Vec::new();
        if self.consumed == self.filled {
            (self.consumed, self.filled) = (0, 0);
            self.input = Vec::new();
        }
    }

    /// Appends what fits; gives how much did.
    fn take(&mut self, bytes: &[u8]) -> usize {
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
        if self.input.len() - self.filled < STEP {
            let wanted = (self.filled + STEP).max(self.input.len() * 2).min(MOST_INPUT);
            self.input.resize(wanted.max(self.input.len()), 0);
        }
    }
}

impl Buffers for Growing {
    fn output(&mut self) -> &mut [u8] {
        self.output.resize(OUTPUT, 0);
        &mut self.output
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
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.scratch.resize(SCRATCH, 0);
        self.output.resize(OUTPUT, 0);
        (&mut self.scratch, &mut self.output)
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
        assert_eq!(buffers.input(), &head[..MOST_INPUT]);
        buffers.input_consume(60_000);
        let more = buffers.take(&head[taken..]);
        assert!(more > 0);
        assert_eq!(buffers.input(), &head[60_000..taken + more]);
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
        buffers.rest();
        assert_eq!((buffers.input(), buffers.input.capacity()), (&b""[..], 0));
    }
}
