//! The HTTP server, with an acceptor that no client can block. Every connection has a deadline for what it does now,
//! and there are no more connections than the process has files and memory for.
//!
//! hyper does not report when it waits for headers. So [`WatchedStream`](stream::WatchedStream) sees each read and
//! write of a connection, and [`RequestTracker`] sees when its requests begin and end. Deadlines of bodies belong in
//! [`web::body`](crate::web::body), where the response can say that the body is late.

pub mod acceptor;
pub mod bad_request;
pub mod connection;
pub mod connections;
pub mod preface;
pub mod requests;
pub mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::{Endpoint, Response};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use acceptor::BoundedAcceptor;
use connections::OpenConnections;
use requests::RequestTracker;

use crate::process::critical::{EndsProcess, panic_point};

/// Connections that the kernel may complete before they are accepted. In a burst no client should have to repeat its
/// SYN.
const BACKLOG: u32 = 4_096;

/// Most connections, whatever the limit of open files is. A connection that has sent half of its headers costs about 20
/// KB.
const MAX_CONNECTIONS: u64 = 10_000;

/// A running HTTP server.
pub struct HttpServer {
    connections: Arc<OpenConnections>,
    server: JoinHandle<io::Result<()>>,
    sweeper: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// An address that is bound, but where no client can connect yet.
pub struct Bound {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Bound {
    /// The bound address. If port 0 was given, the system has chosen the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen: from now on clients can connect.
    ///
    /// # Errors
    /// Errors of the system. Another process may listen at the address by now.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)
    }
}

/// Binds `address`.
///
/// # Errors
/// Errors of the system.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does, so that the port is free again right after a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok(Bound { socket, address })
}

/// How many connections may be open under a limit of open files: half of the files. The other half is for deliveries
/// and the database.
pub fn max_connections(open_files: u64) -> usize {
    usize::try_from((open_files / 2).clamp(16, MAX_CONNECTIONS)).unwrap_or(16)
}

impl HttpServer {
    /// Serves `routes` on `listener`, with at most `most` connections. The headers of a request, and each part of a
    /// response, may take `timeout`. A stop waits for requests in progress for at most `grace`.
    pub fn start(
        listener: TcpListener,
        routes: impl Endpoint<Output = Response> + 'static,
        most: usize,
        timeout: Duration,
        grace: Duration,
    ) -> Self {
        let connections = Arc::new(OpenConnections::new(most, timeout));
        let (stop, stopped) = oneshot::channel::<()>();
        let signal = async {
            // A dropped sender stops the server as well.
            let _ = stopped.await;
        };
        let acceptor = BoundedAcceptor::new(listener, Arc::clone(&connections));
        let tracked = RequestTracker::new(routes, Arc::clone(&connections));
        let server = poem::Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(tracked, signal, Some(grace));
        let server = async {
            let _ends = EndsProcess("HTTP server");
            server.await
        };
        Self { server: tokio::spawn(server), sweeper: tokio::spawn(sweep(Arc::clone(&connections))), connections, stop }
    }

    /// Stops accepting connections, and waits for the requests in progress.
    ///
    /// # Errors
    /// The server failed earlier.
    pub async fn stop(self) -> io::Result<()> {
        self.connections.stop(Instant::now());
        let _ = self.stop.send(());
        let served = self.server.await.map_err(io::Error::other);
        self.sweeper.abort();
        served?
    }
}

/// Closes overdue connections again and again.
async fn sweep(connections: Arc<OpenConnections>) {
    let _ends = EndsProcess("watch over connections");
    let mut pause = tokio::time::interval(connections.sweep_every());
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        panic_point("sweeper");
        pause.tick().await;
        connections.close_overdue(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_open_files_are_for_clients_and_never_more_than_memory_allows() {
        assert_eq!(max_connections(1_024), 512);
        assert_eq!(max_connections(1_048_576), 10_000);
        assert_eq!(max_connections(0), 16);
    }
}
