//! TLS to destinations: rustls on top of our own connections. So all that [`HttpTransport`] does for plain HTTP holds
//! for https too.

pub mod error_text;
pub mod trust;

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::transport::HttpTransport;
use super::transport::channel::Channel;
use super::transport::connect::{connect, deadline};
use super::transport::failure::Failure;
use super::transport::socket::{Socket, is_reset, timed_out};
use crate::domain::delivery::ErrorClass;
use error_text::Notes;
use trust::Trust;

/// Most reads of TLS's own records, such as session tickets, before an idle connection counts as not reusable.
const UNASKED: usize = 8;

/// Connects for `https`. Clones share the sessions that can be resumed.
#[derive(Clone)]
pub struct TlsConnector(Arc<ClientConfig>);

impl TlsConnector {
    /// A connector that accepts servers whose certificates `trust` leads to.
    pub fn new(trust: &Trust) -> Self {
        Self(trust.config())
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Connector<()> for TlsConnector {
    type Out = HttpTransport<TlsChannel>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let end = deadline(&details.timeout);
        let name = server_name(details.uri)?;
        let socket = connect(details)?;
        Ok(Some(HttpTransport::new(TlsChannel::shake_hands(&self.0, name, socket, end)?)))
    }
}

/// The name that the certificate must be for.
fn server_name(uri: &Uri) -> Result<ServerName<'static>, Failure> {
    let host = uri.host().unwrap_or_default();
    // A URL has brackets around an IPv6 address, and a host name may end in a dot. Certificates have neither.
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    ServerName::try_from(bare.to_owned()).map_err(|_| {
        let detail = format!("no certificate can be for the host `{host}`; give the URL a host name that DNS allows");
        Failure::new(ErrorClass::Tls, detail)
    })
}

/// A TLS connection.
pub struct TlsChannel {
    tls: ClientConnection,
    socket: Socket,
    /// What was noted in the handshake, to describe errors.
    notes: Notes,
}

impl TlsChannel {
    fn shake_hands(
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
        socket: Socket,
        end: Option<Instant>,
    ) -> Result<Self, Failure> {
        let notes = Notes::of(&name);
        let tls = ClientConnection::new(Arc::clone(config), name)
            .map_err(|error| Failure::new(ErrorClass::Tls, notes.words(&error)))?;
        let mut secured = Self { tls, socket, notes };
        let mut heard = false;
        loop {
            let left = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Err(error_text::too_slow(heard)),
                left => left,
            };
            let step = match secured.push() {
                Err(error) if timed_out(&error) => secured.socket.wait(false, left).map(|_| ()),
                Err(error) => Err(error),
                Ok(()) if !secured.tls.is_handshaking() => {
                    secured.notes.done();
                    return Ok(secured);
                }
                Ok(()) => secured.feed(Some(left)).and_then(|some| {
                    heard |= some > 0;
                    if some == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
                }),
            };
            match step {
                Err(error) if !timed_out(&error) && error.kind() != ErrorKind::Interrupted => {
                    return Err(secured.refused(error, heard));
                }
                _ => {}
            }
        }
    }

    /// Why the handshake failed.
    fn refused(&mut self, error: io::Error, heard: bool) -> Failure {
        // If writing failed because the connection broke, an alert that the peer sent before may say why.
        let said = if is_reset(&error) { self.feed(None).err() } else { None };
        let error = said.filter(|said| said.get_ref().is_some()).unwrap_or(error);
        // Tries to send the peer an alert about our own error, if there is one.
        let _ = self.push();
        match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => error_text::broken(&error, heard),
        }
    }

    /// Sends the records that TLS has ready.
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Now(&mut self.socket)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Reads records and gives them to TLS; returns the number of bytes. `left` is how long to wait for the first byte;
    /// `None` means not at all.
    fn feed(&mut self, left: Option<Option<Duration>>) -> io::Result<usize> {
        let came = self.tls.read_tls(&mut In { socket: &mut self.socket, left })?;
        match self.tls.process_new_packets() {
            Ok(_) => Ok(came),
            Err(error) => Err(io::Error::other(Failure::new(ErrorClass::Tls, self.notes.words(&error)))),
        }
    }

    fn read(&mut self, bytes: &mut [u8], left: Option<Option<Duration>>) -> io::Result<usize> {
        match self.tls.reader().read(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other.map_err(closed),
        }
        self.feed(left)?;
        // Sends TLS's own reply to what came, such as a change of keys. If that would wait, it is sent with the next
        // request.
        let _ = self.push();
        // If only records of TLS itself came, this returns `WouldBlock`. The caller checks its timeout and reads again.
        self.tls.reader().read(bytes).map_err(closed)
    }
}

/// Describes an end of the connection without TLS's `close_notify`.
fn closed(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(
            ErrorKind::UnexpectedEof,
            "the connection was closed without TLS's own end (close_notify), so something may be missing",
        ),
        _ => error,
    }
}

impl Channel for TlsChannel {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        let some = self.tls.writer().write(bytes)?;
        match self.push() {
            Err(error) if timed_out(&error) => Ok(some),
            pushed => pushed.map(|()| some),
        }
    }

    fn is_pending(&self) -> bool {
        self.tls.wants_write()
    }

    fn receive(&mut self, bytes: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        self.read(bytes, Some(left))
    }

    fn receive_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.read(bytes, None)
    }

    fn is_quiet(&mut self) -> bool {
        for _ in 0..UNASKED {
            if self.tls.reader().read(&mut [0]).map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true) {
                return false;
            }
            if self.socket.is_reusable() {
                return true;
            }
            if !matches!(self.feed(None), Ok(1..)) {
                return false;
            }
        }
        false
    }

    fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secured").field(&self.socket).finish()
    }
}

/// Writes to the socket without waiting.
struct Now<'a>(&'a mut Socket);

impl io::Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads from the socket. `left` is how long to wait; `None` means not at all.
struct In<'a> {
    socket: &'a mut Socket,
    left: Option<Option<Duration>>,
}

impl io::Read for In<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.left {
            Some(left) => self.socket.receive(bytes, left),
            None => self.socket.receive_now(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_certificate_has_neither_brackets_nor_the_dot_of_the_root() {
        for (url, name) in [
            ("https://example.com/", "example.com"),
            ("https://example.com.:8443/", "example.com"),
            ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
            ("https://127.0.0.1/", "127.0.0.1"),
            ("https://[::1]:443/", "::1"),
            ("https://under_score.example/", "under_score.example"),
        ] {
            assert_eq!(server_name(&url.parse().unwrap()).unwrap().to_str(), name, "{url}");
        }
        assert!(server_name(&"https://-a.example/".parse().unwrap()).is_err());
    }
}
