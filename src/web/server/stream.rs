//! A TCP stream that reports its reads and writes to its connection, and ends when the connection is closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::bad_request::ErrorReply;
use super::connection::{Connection, IoPermission};
use super::connections::{Ends, OpenConnections};
use super::preface::Preface;

/// Status where the headers of a request are too long.
const HEAD_TOO_LONG: u16 = 431;

/// Status where the bytes are not HTTP/1.
const NO_REQUEST: u16 = 400;

/// Most bytes of one read. hyper's buffer of a connection grows with the size of reads. The buffer reaches 400 KiB with
/// unlimited reads.
const READ_BYTES: u64 = 16 * 1024;

/// A TCP stream that ends when another task closes its connection.
pub struct WatchedStream {
    stream: TcpStream,
    ends: Ends,
    connection: Arc<Connection>,
    connections: Arc<OpenConnections>,
    preface: Preface,
    refusal: Option<ErrorReply>,
}

impl WatchedStream {
    /// Watches `stream` for `connection`.
    pub fn new(stream: TcpStream, ends: Ends, connection: Arc<Connection>, connections: Arc<OpenConnections>) -> Self {
        Self { stream, ends, connection, connections, preface: Preface::NEW, refusal: None }
    }

    fn refuse(&mut self, refusal: ErrorReply) {
        self.connection.refused(Instant::now());
        self.refusal = Some(refusal);
    }
}

impl Drop for WatchedStream {
    fn drop(&mut self) {
        self.connections.remove(&self.ends, &self.connection);
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the connection had had its time")
}

impl AsyncRead for WatchedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.connection.may_read(context) {
            IoPermission::Proceed => {}
            IoPermission::End => return Poll::Ready(Err(closed())),
            IoPermission::Refuse => this.refuse(ErrorReply::of_status(HEAD_TOO_LONG)),
        }
        if this.refusal.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut (&mut this.stream).take(READ_BYTES)).poll_read(context, buffer))?;
            let came = &buffer.filled()[before..];
            if !this.preface.is_there(came) {
                if !came.is_empty() {
                    this.connection.read(came.len(), Instant::now());
                }
                return Poll::Ready(Ok(()));
            }
            // Hide these bytes, so that hyper does not begin HTTP/2.
            buffer.set_filled(before);
            this.refuse(ErrorReply::of_status(NO_REQUEST));
        }
        match &mut this.refusal {
            // After the reply hyper reads the end of the stream, and has nothing to respond to.
            Some(refusal) => refusal.poll(&mut this.stream, context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.connection.may_write(context) {
            IoPermission::Proceed => {}
            IoPermission::End => return Poll::Ready(Err(closed())),
            IoPermission::Refuse => {
                if let Some(refusal) = ErrorReply::in_place_of(bytes) {
                    this.refuse(refusal);
                }
            }
        }
        if this.refusal.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        match &polled {
            Poll::Ready(Ok(_)) => this.connection.wrote(Instant::now()),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => this.connection.blocked(Instant::now()),
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.refusal {
            Some(_) if this.connection.may_write(context) == IoPermission::End => Poll::Ready(Err(closed())),
            Some(refusal) => refusal.poll_answer(&mut this.stream, context),
            None => Pin::new(&mut this.stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.refusal {
            // Another task closed the connection, so the rest of the request is not drained.
            Some(_) if this.connection.may_read(context) == IoPermission::End => Poll::Ready(Err(closed())),
            Some(refusal) => refusal.poll(&mut this.stream, context),
            None => Pin::new(&mut this.stream).poll_shutdown(context),
        }
    }
}
