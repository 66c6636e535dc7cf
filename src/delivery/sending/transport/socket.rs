//! A connected socket: writes that do not wait, reads that wait for a limited time, and how much the peer's system has
//! confirmed. HTTP and TLS are above, not here.

use std::io::{self, ErrorKind, Read as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

/// How much later than its timeout a read may end. A smaller difference is not worth the system call that sets the
/// timeout again.
const TOLERANCE: Duration = Duration::from_millis(20);

/// The timeout that a socket was last given.
#[derive(Debug, Default)]
struct SocketTimeout(Option<Duration>);

impl SocketTimeout {
    /// Makes sure that the next call ends about in time. A call that ends early does no harm, because the caller
    /// repeats it.
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

/// Whether a call ended because its time was up, or because it must not wait.
pub fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// Whether the connection broke.
pub fn is_reset(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected)
}

/// A connection to a peer.
#[derive(Debug)]
pub struct Socket {
    /// Shared with ureq, which can shut down the stream from another thread.
    stream: Arc<TcpStream>,
    reading: SocketTimeout,
    sent: u64,
}

impl Socket {
    /// A socket on this stream.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, reading: SocketTimeout::default(), sent: 0 }
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends the bytes that fit into the system's buffers now.
    ///
    /// # Errors
    /// `WouldBlock` where nothing fits, else the error that broke the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.send_now(bytes)?;
        if sent == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WriteZero.into());
        }
        self.sent += sent as u64;
        Ok(sent)
    }

    /// Reads what is there, or what comes first within about `left`.
    ///
    /// # Errors
    /// An error for which [`timed_out`] is true where nothing came, perhaps a little early.
    pub fn receive(&mut self, bytes: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        self.reading.limit(left, |left| self.stream.set_read_timeout(left))?;
        (&*self.stream).read(bytes)
    }

    /// Whether the connection is open and the peer has sent no unexpected bytes.
    pub fn is_reusable(&self) -> bool {
        is_quiet(&self.stream)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const QUIETLY: libc::c_int = libc::MSG_NOSIGNAL;

/// Here the standard library has already turned the signal off for the socket.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const QUIETLY: libc::c_int = 0;

impl Socket {
    fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, flags) = (self.stream.as_raw_fd(), libc::MSG_DONTWAIT | QUIETLY);
        // SAFETY: the file is open as long as `stream` lives, and `bytes` is readable for its length.
        let sent = unsafe { libc::send(file, bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there.
    pub fn receive_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (file, flags) = (self.stream.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: the file is open as long as `stream` lives, and `bytes` is writable for its length.
        let came = unsafe { libc::recv(file, bytes.as_mut_ptr().cast(), bytes.len(), flags) };
        usize::try_from(came).map_err(|_| io::Error::last_os_error())
    }

    /// Waits until something can be sent or, where `input`, something can be read. Waits at most `left`, and returns
    /// whether something can be read.
    ///
    /// # Errors
    /// The error of the system.
    pub fn wait(&mut self, input: bool, left: Option<Duration>) -> io::Result<bool> {
        let events = if input { libc::POLLIN | libc::POLLOUT } else { libc::POLLOUT };
        let mut polled = libc::pollfd { fd: self.stream.as_raw_fd(), events, revents: 0 };
        let millis = left.map_or(-1, |left| i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX));
        // SAFETY: `polled` is one valid entry.
        let ready = unsafe { libc::poll(&raw mut polled, 1, millis) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == ErrorKind::Interrupted { Ok(false) } else { Err(error) };
        }
        Ok(input && polled.revents & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0)
    }
}

fn is_quiet(stream: &TcpStream) -> bool {
    let mut byte = 0_u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the file is open as long as `stream` lives, and `byte` is valid for writing one byte.
    let came = unsafe { libc::recv(stream.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
    came < 0 && io::Error::last_os_error().kind() == ErrorKind::WouldBlock
}

impl Socket {
    /// Bytes that the peer's system has confirmed, including one for the beginning of the connection; `None` where that
    /// is not known.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn confirmed(&self) -> Option<u64> {
        /// Where the kernel's `struct tcp_info` has `tcpi_bytes_acked`. The struct of `libc` ends before that.
        const PLACE: std::ops::Range<usize> = 120..128;
        let mut info = [0_u8; 256];
        let mut length = libc::socklen_t::try_from(info.len()).ok()?;
        let (file, level, name) = (self.stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO);
        // SAFETY: the file is open as long as `stream` lives, and `info` is as long as `length` says.
        let asked = unsafe { libc::getsockopt(file, level, name, info.as_mut_ptr().cast(), &raw mut length) };
        if asked != 0 || (length as usize) < PLACE.end {
            return None;
        }
        info[PLACE].try_into().ok().map(u64::from_ne_bytes)
    }

    /// Bytes that the peer's system has confirmed; `None` where that is not known.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn confirmed(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::new(Arc::new(ours)), listener.accept().unwrap().0)
    }

    #[test]
    fn a_timeout_is_set_only_where_the_call_would_end_far_from_its_time() {
        let mut timeout = SocketTimeout::default();
        let mut set = Vec::new();
        let mut limit = |left| {
            timeout.limit(left, |left| {
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
        let (quiet, _peer) = pair();
        assert!(quiet.is_reusable());
        let (spoken_to, mut peer) = pair();
        peer.write_all(b"x").unwrap();
        // Waits until the byte has arrived.
        spoken_to.stream.peek(&mut [0]).unwrap();
        assert!(!spoken_to.is_reusable());
        let (left, peer) = pair();
        drop(peer);
        assert_eq!(left.stream.peek(&mut [0]).unwrap(), 0);
        assert!(!left.is_reusable());
    }

    #[test]
    fn a_write_ends_once_the_buffers_are_full_and_a_wait_tells_of_what_can_be_read() {
        let (mut socket, mut peer) = pair();
        let blocked = loop {
            if let Err(error) = socket.send(&[0; 64 * 1024]) {
                break error;
            }
        };
        assert!(timed_out(&blocked));
        assert!(!socket.wait(true, Some(Duration::from_millis(1))).unwrap());
        peer.write_all(b"x").unwrap();
        assert!(socket.wait(true, seconds(20)).unwrap());
        assert_eq!(socket.receive_now(&mut [0; 8]).unwrap(), 1);
        assert!(timed_out(&socket.receive_now(&mut [0; 8]).unwrap_err()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_peer_has_read_is_confirmed() {
        let (mut socket, mut peer) = pair();
        let before = socket.confirmed().unwrap();
        assert!(before <= 1);
        let sent = socket.send(&[0; 256 * 1024]).unwrap();
        io::copy(&mut (&mut peer).take(sent as u64), &mut io::sink()).unwrap();
        peer.write_all(b"x").unwrap();
        // The packet with this byte confirms what came before.
        assert_eq!(socket.receive(&mut [0], seconds(20)).unwrap(), 1);
        assert!(socket.confirmed().unwrap() >= sent as u64 + before);
    }
}
