//! What a transport asks of the connection below it. A socket is the plain one; that with TLS is in `sending/tls.rs`.

use std::time::Duration;
use std::{fmt, io};

use super::socket::Socket;

/// What requests and responses go over: a socket, with or without TLS.
pub trait Channel: fmt::Debug + Send + Sync + 'static {
    /// Takes some of `bytes` and does not wait until they are sent. With no bytes, sends what was taken before.
    ///
    /// # Errors
    /// `WouldBlock` where nothing more fits.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether bytes that were taken have not been sent yet.
    fn is_pending(&self) -> bool;

    /// Reads what is there or comes within about `left`. Returns 0 at the end of the connection.
    ///
    /// # Errors
    /// An error for which [`timed_out`](super::socket::timed_out) is true where nothing came.
    fn receive(&mut self, bytes: &mut [u8], left: Option<Duration>) -> io::Result<usize>;

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there.
    fn receive_now(&mut self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Whether the connection is open and no unexpected bytes came.
    fn is_quiet(&mut self) -> bool;

    /// The socket below.
    fn socket(&mut self) -> &mut Socket;

    /// Whether the bytes are encrypted.
    fn is_tls(&self) -> bool;
}

impl Channel for Socket {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Socket::send(self, bytes)
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn receive(&mut self, bytes: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        Socket::receive(self, bytes, left)
    }

    fn receive_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Socket::receive_now(self, bytes)
    }

    fn is_quiet(&mut self) -> bool {
        Socket::is_reusable(self)
    }

    fn socket(&mut self) -> &mut Socket {
        self
    }

    fn is_tls(&self) -> bool {
        false
    }
}
