//! A receiver whose every byte a test decides, on a network like a real one: with small packets and small buffers. On
//! plain loopback a request of 1 MiB fits into the buffers, and nobody notices that the receiver does not read.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;

use super::tls::Stream;
use super::wire::{self, Fields};

/// Data bytes of a packet on most networks; fewer than on loopback.
const PACKET: libc::c_int = 1_400;

/// The receiver's buffer in bytes. The system doubles this value.
const BUFFER: libc::c_int = 8 * 1024;

/// A receiver that runs a test's function on each connection.
pub struct Played {
    address: SocketAddr,
    tls: bool,
    requests: Arc<AtomicUsize>,
}

/// One connection of the receiver.
pub struct Scene {
    stream: BufReader<Stream>,
    /// Its number, counted from 0.
    pub nth: usize,
    requests: Arc<AtomicUsize>,
}

impl Played {
    /// Starts a receiver. Each connection is given to `play` on its own thread, and closed when `play` returns.
    pub fn start(tls: Option<Arc<ServerConfig>>, play: impl Fn(&mut Scene) + Send + Sync + 'static) -> Self {
        let (is_tls, requests) = (tls.is_some(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&requests);
        let address = Self::raw(move |stream, nth| {
            let Some(stream) = Stream::accept(stream, tls.as_ref()) else { return };
            play(&mut Scene { stream: BufReader::with_capacity(256, stream), nth, requests: Arc::clone(&counted) });
        });
        Self { address, tls: is_tls, requests }
    }

    /// The same over TCP only, for what happens before TLS begins.
    pub fn raw(play: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        set(&listener, libc::IPPROTO_TCP, libc::TCP_MAXSEG, PACKET);
        set(&listener, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER);
        let address = listener.local_addr().expect("an address");
        let play = Arc::new(play);
        std::thread::spawn(move || {
            for (nth, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let play = Arc::clone(&play);
                std::thread::spawn(move || play(stream, nth));
            }
        });
        address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http{}://{}{path}", if self.tls { "s" } else { "" }, self.address)
    }

    /// Number of request heads that were read.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Sets an option of a socket.
pub fn set(socket: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) {
    let size = libc::socklen_t::try_from(size_of_val(&value)).expect("a small number");
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and `value` is as large as `size` says.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

impl Scene {
    /// Reads a request's head; `None` if the peer has closed.
    pub fn head(&mut self) -> Option<Fields> {
        let (_, fields) = wire::read_head(&mut self.stream)?;
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some(fields)
    }

    pub fn body(&mut self, fields: &Fields) -> Option<Vec<u8>> {
        wire::read_body(&mut self.stream, fields)
    }

    /// Reads a whole request.
    pub fn request(&mut self) -> Option<Vec<u8>> {
        let fields = self.head()?;
        self.body(&fields)
    }

    /// Reads `bytes` bytes and no more.
    pub fn part(&mut self, bytes: usize) {
        let _ = self.stream.read_exact(&mut vec![0; bytes]);
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Ends the sending side in order.
    pub fn finish(&mut self) {
        self.stream.get_mut().finish();
    }

    /// Ends the connection without TLS's close_notify.
    pub fn cut(&mut self) {
        self.stream.get_mut().cut();
    }

    /// Makes closing send RST.
    pub fn reset(&mut self) {
        self.stream.get_mut().reset();
    }

    /// Waits until the peer closes, without reading or sending anything.
    pub fn wait_for_the_peer(&mut self) {
        #[cfg(target_os = "linux")]
        let events = libc::POLLRDHUP;
        #[cfg(not(target_os = "linux"))]
        let events = 0;
        let mut polled = libc::pollfd { fd: self.stream.get_ref().tcp().as_raw_fd(), events, revents: 0 };
        // SAFETY: `polled` is one valid entry.
        unsafe { libc::poll(&raw mut polled, 1, -1) };
    }
}
