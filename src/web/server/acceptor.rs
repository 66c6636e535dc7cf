//! Accepts connections: as many as there may be, and whatever the system answers, without spinning.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::Addr;
use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::TcpListener;

use super::connection::Connection;
use super::connections::{Ends, OpenConnections};
use super::stream::WatchedStream;
use crate::process::critical::panic_point;

/// Between two looks for room, while every connection is being served or those that make room are being closed;
/// meanwhile the kernel queues those that come.
const FULL: Duration = Duration::from_millis(10);

/// After an error that the next connection would meet too, such as too many open files, where nobody can make room.
const BROKEN: Duration = Duration::from_millis(50);

/// Between two lines of the log about such errors.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The listening socket.
pub struct BoundedAcceptor {
    listener: TcpListener,
    connections: Arc<OpenConnections>,
    complained: Option<Instant>,
}

impl BoundedAcceptor {
    /// Accepts from `listener`.
    pub fn new(listener: TcpListener, connections: Arc<OpenConnections>) -> Self {
        Self { listener, connections, complained: None }
    }

    async fn admit(&self, ends: Ends) -> Arc<Connection> {
        loop {
            if let Some(connection) = self.connections.admit(ends, Instant::now()) {
                return connection;
            }
            if self.connections.shed() == 0 {
                tokio::time::sleep(FULL).await;
            }
        }
    }

    /// Waits until accepting may work again.
    async fn recover(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            self.complained = Some(Instant::now());
            tracing::error!(%error, "connections cannot be accepted; those that wait longest are closed");
        }
        // Those that were closed give their files back as soon as their tasks notice.
        let pause = if self.connections.shed() > 0 { FULL } else { BROKEN };
        tokio::time::sleep(pause).await;
    }
}

impl Acceptor for BoundedAcceptor {
    type Io = WatchedStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.listener.local_addr().map(|address| LocalAddr(address.into())).into_iter().collect()
    }

    async fn accept(&mut self) -> io::Result<(WatchedStream, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            panic_point("acceptor");
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    // Either fails only where the peer is already gone.
                    let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else { continue };
                    let ends = (local, remote);
                    let connection = self.admit(ends).await;
                    let stream = WatchedStream::new(stream, ends, connection, Arc::clone(&self.connections));
                    return Ok((stream, LocalAddr(local.into()), RemoteAddr(remote.into()), Scheme::HTTP));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => self.recover(&error).await,
            }
        }
    }
}

/// Both ends as the server passes them on with a request.
pub fn ends(local: &LocalAddr, remote: &RemoteAddr) -> Option<Ends> {
    let socket = |address: &Addr| -> Option<SocketAddr> { address.as_socket_addr().copied() };
    Some((socket(&local.0)?, socket(&remote.0)?))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}
