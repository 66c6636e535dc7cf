//! Serves HTTP by an acceptor that nobody can block: every connection has a deadline for what it does now, and there
//! are no more of them than the process has files and memory for.
//!
//! hyper tells nobody when it waits for a head, so the two ends are watched: [`Guarded`](stream::Guarded) sees each
//! read and write of a connection, and [`Tracked`] when its requests begin and end. Bodies have their own deadline,
//! where they are read (`api::limit`), because there the answer can say so.

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

/// Connections that the kernel completes while nobody accepts: a burst must not wait for a repeated SYN.
const BACKLOG: u32 = 4_096;

/// Most connections, whatever the limit of open files: one that sends half a head costs about 20 KB.
const MAX_CONNECTIONS: u64 = 10_000;

/// A server that takes requests.
pub struct HttpServer {
    connections: Arc<OpenConnections>,
    server: JoinHandle<io::Result<()>>,
    sweeper: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// An address that is taken, and where nobody can connect yet.
pub struct Bound {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Bound {
    /// The address, with the port that was found where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections are accepted.
    ///
    /// # Errors
    /// Those of the system: another process may listen there by now.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)
    }
}

/// Takes `address`.
///
/// # Errors
/// Those of the system.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does: a port is free again right after a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok(Bound { socket, address })
}

/// How many connections fit a limit of open files; the other half is for deliveries and the database.
pub fn max_connections(open_files: u64) -> usize {
    usize::try_from((open_files / 2).clamp(16, MAX_CONNECTIONS)).unwrap_or(16)
}

impl HttpServer {
    /// Serves `routes` on `listener`, on at most `most` connections; a head, and each piece of an answer, may take
    /// `patience`. A stop waits for requests under way for at most `grace`.
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
            // A dropped sender stops it as well.
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

    /// Takes no more connections, and ends once the requests under way have.
    ///
    /// # Errors
    /// The server broke earlier.
    pub async fn stop(self) -> io::Result<()> {
        self.connections.stop(Instant::now());
        let _ = self.stop.send(());
        let served = self.server.await.map_err(io::Error::other);
        self.sweeper.abort();
        served?
    }
}

/// Closes what is overdue.
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
