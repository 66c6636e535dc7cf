//! Accepts connections up to the limit of open connections. Errors of the operating system cause a pause and never a
//! busy loop.

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

/// Pause before the next try to admit a connection or to accept one. The pause is made while every connection has a
/// request in progress, or while connections are being closed. Meanwhile the kernel queues new connections.
const FULL: Duration = Duration::from_millis(10);

/// Pause after an error that the next connection would meet too, such as too many open files. The pause is made where
/// no connection could be closed.
const BROKEN: Duration = Duration::from_millis(50);

/// Least time between two log lines about such errors.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The listening socket, with a limit of open connections.
pub struct BoundedAcceptor {
    listener: TcpListener,
    connections: Arc<OpenConnections>,
    complained: Option<Instant>,
}

impl BoundedAcceptor {
    /// Accepts connections from `listener`, as many as `connections` admits.
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

    /// Closes connections and waits until accepting may work again.
    async fn recover(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            self.complained = Some(Instant::now());
            tracing::error!(%error, "connections cannot be accepted; those that wait longest are closed");
        }
        // Closed connections free their files only when their tasks notice.
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
                    // Either call fails only where the peer has gone already.
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

/// Both ends of a connection, from the addresses that the server attaches to a request.
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
