//! Plain TCP to a destination, with as few system calls as an exchange needs: ureq's own transport sends a request's
//! head and body apart, sets both timeouts anew for every request and asks three times whether a kept connection is
//! still open. No memory is held while the peer is waited for.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Timeout};

use super::buffers::Growing;

/// A system call may last so much longer than it should; setting its timeout costs a call of its own.
const TOLERANCE: Duration = Duration::from_millis(20);

/// Bytes that are read at once; on the stack, so that a thread that waits holds no other memory.
const READ: usize = 2 * 1024;

/// Bytes of a request that are kept back for the rest of it.
const HELD: usize = 32 * 1024;

/// First in the chain: connects.
#[derive(Debug)]
pub struct Tcp;

impl Connector<()> for Tcp {
    type Out = Link;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let deadline = details.timeout.not_zero().map(|timeout| Instant::now() + *timeout);
        let mut failure = None;
        for (place, address) in details.addrs.iter().enumerate() {
            // One that does not answer must leave time for those behind it.
            let others = u32::try_from(details.addrs.len() - place).unwrap_or(u32::MAX);
            let connected = match deadline {
                Some(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => break,
                    left => TcpStream::connect_timeout(address, (left / others).max(Duration::from_millis(1))),
                },
                None => TcpStream::connect(address),
            };
            match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let stream = Arc::new(stream);
                    let handle: Weak<TcpStream> = Arc::downgrade(&stream);
                    (details.register_shutdown)(handle)?;
                    return Ok(Some(Link::new(stream)));
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(match failure {
            Some(error) if !timed_out(&error) => Error::Io(error),
            _ => Error::Timeout(Timeout::Connect),
        })
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// A timeout of a socket: what was last set.
#[derive(Default)]
struct Patience(Option<Duration>);

impl Patience {
    /// Sees to it that the next call ends about in time. Ending early is no harm: it is made again.
    fn limit(
        &mut self,
        left: Option<Duration>,
        set: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let fits = match (self.0, left) {
            (Some(now), Some(left)) => now <= left + TOLERANCE && now * 2 >= left,
            (now, left) => now == left,
        };
        if !fits {
            set(left)?;
            self.0 = left;
        }
        Ok(())
    }
}

/// A connection.
pub struct Link {
    /// Shared with ureq, which can shut it down from another thread.
    stream: Arc<TcpStream>,
    buffers: Growing,
    reading: Patience,
    writing: Patience,
}

impl Link {
    fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, buffers: Growing::default(), reading: Patience::default(), writing: Patience::default() }
    }

    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let deadline = deadline(&timeout);
        let mut rest = self.buffers.held();
        while !rest.is_empty() {
            let left = left(deadline, timeout.reason)?;
            self.writing.limit(left, |left| self.stream.set_write_timeout(left))?;
            match (&*self.stream).write(rest) {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(some) => rest = &rest[some..],
                Err(error) if timed_out(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.buffers.let_go();
        Ok(())
    }
}

fn deadline(timeout: &NextTimeout) -> Option<Instant> {
    timeout.not_zero().map(|after| Instant::now() + *after)
}

/// What is left until `deadline`.
fn left(deadline: Option<Instant>, reason: Timeout) -> Result<Option<Duration>, Error> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Error::Timeout(reason)),
        left => Ok(Some(left)),
    }
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        // Head and body leave in one packet where they fit into one.
        self.buffers.hold(amount);
        if self.buffers.held().len() < HELD { Ok(()) } else { self.flush(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.flush(timeout)?;
        self.buffers.rest();
        let deadline = deadline(&timeout);
        let mut bytes = [0; READ];
        let room = self.buffers.room().min(READ);
        loop {
            let left = left(deadline, timeout.reason)?;
            self.reading.limit(left, |left| self.stream.set_read_timeout(left))?;
            match (&*self.stream).read(&mut bytes[..room]) {
                Ok(some) => {
                    let some = self.buffers.take(&bytes[..some]);
                    return Ok(some > 0);
                }
                Err(error) if timed_out(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        is_quiet(&self.stream)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

/// Whether a kept connection is open, and its peer has sent nothing that nobody asked for.
#[cfg(unix)]
fn is_quiet(stream: &TcpStream) -> bool {
    use std::os::fd::AsRawFd as _;
    let mut byte = 0_u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the file is open as long as `stream` lives, and `byte` is a valid place for one byte.
    let came = unsafe { libc::recv(stream.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
    came < 0 && io::Error::last_os_error().kind() == ErrorKind::WouldBlock
}

/// Whether a kept connection is open, and its peer has sent nothing that nobody asked for.
#[cfg(not(unix))]
fn is_quiet(stream: &TcpStream) -> bool {
    let quiet = || -> io::Result<bool> {
        stream.set_nonblocking(true)?;
        let quiet = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        stream.set_nonblocking(false)?;
        Ok(quiet)
    };
    quiet().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn a_timeout_is_set_only_where_the_call_would_end_far_from_its_time() {
        let mut patience = Patience::default();
        let mut set = Vec::new();
        let mut limit = |left| {
            patience.limit(left, |left| {
                set.push(left);
                Ok(())
            })
        };
        let almost = Some(Duration::from_millis(14_990));
        for left in [None, seconds(15), almost, seconds(15), seconds(14), seconds(20), seconds(30), None] {
            limit(left).unwrap();
        }
        assert_eq!(set, [seconds(15), seconds(14), seconds(30), None]);
    }

    #[test]
    fn a_connection_whose_peer_is_gone_or_speaks_unasked_is_not_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let (quiet, _peer) = connect();
        assert!(is_quiet(&quiet));
        let (spoken_to, mut peer) = connect();
        peer.write_all(b"x").unwrap();
        // Arrives before it is looked at.
        spoken_to.peek(&mut [0]).unwrap();
        assert!(!is_quiet(&spoken_to));
        let (left, peer) = connect();
        drop(peer);
        assert_eq!(left.peek(&mut [0]).unwrap(), 0);
        assert!(!is_quiet(&left));
    }
}
