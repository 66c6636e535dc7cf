//! A receiver whose every byte a test decides, on a network like real ones: small packets, small buffers. On plain loopback
//! a request of a MiB fits into the buffers, and nobody notices that it is not read.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;

use super::tls::Stream;
use super::wire::{self, Fields};

/// Bytes of a packet's data on most networks, less than that of loopback.
const PACKET: libc::c_int = 1_400;

/// The receiver's buffer, which the system doubles.
const BUFFER: libc::c_int = 8 * 1024;

/// A receiver that plays its part on each connection.
pub struct Played {
    address: SocketAddr,
    tls: bool,
    requests: Arc<AtomicUsize>,
}

/// A connection of it.
pub struct Scene {
    stream: BufReader<Stream>,
    /// Which it is, counted from 0.
    pub nth: usize,
    requests: Arc<AtomicUsize>,
}

impl Played {
    /// Each connection is played by `play` on a thread of its own, and closed when that ends.
    pub fn start(tls: Option<Arc<ServerConfig>>, play: impl Fn(&mut Scene) + Send + Sync + 'static) -> Self {
        let (is_tls, requests) = (tls.is_some(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&requests);
        let address = Self::raw(move |stream, nth| {
            let Some(stream) = Stream::accept(stream, tls.as_ref()) else { return };
            play(&mut Scene { stream: BufReader::with_capacity(256, stream), nth, requests: Arc::clone(&counted) });
        });
        Self { address, tls: is_tls, requests }
    }

    /// The same with nothing but TCP, for what happens before there is any TLS.
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

    /// Heads of requests that it has read.
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
    /// Reads a request's head; `None` where the peer has closed.
    pub fn head(&mut self) -> Option<Fields> {
        let (_, fields) = wire::read_head(&mut self.stream)?;
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some(fields)
    }

    pub fn body(&mut self, fields: &Fields) -> Option<Vec<u8>> {
        wire::read_body(&mut self.stream, fields)
    }

    /// Reads a request to its end.
    pub fn request(&mut self) -> Option<Vec<u8>> {
        let fields = self.head()?;
        self.body(&fields)
    }

    /// Reads so much and no more.
    pub fn part(&mut self, bytes: usize) {
        let _ = self.stream.read_exact(&mut vec![0; bytes]);
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Says nothing more, in order.
    pub fn finish(&mut self) {
        self.stream.get_mut().finish();
    }

    /// Ends the connection without the word that TLS has for it.
    pub fn cut(&mut self) {
        self.stream.get_mut().cut();
    }

    /// Closing sends RST.
    pub fn reset(&mut self) {
        self.stream.get_mut().reset();
    }

    /// Reads nothing and says nothing until the peer closes: that is seen without reading what it has sent.
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
