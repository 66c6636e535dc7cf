//! All open connections: how many there may be, which connection a request belongs to, and which are closed first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// The two addresses of a connection, unique among open connections.
pub type Ends = (SocketAddr, SocketAddr);

/// Longest time between two searches for overdue connections.
const SWEEP: Duration = Duration::from_millis(250);

/// One part in so many of the allowed connections is closed at once when there are too many. So during a flood the
/// search through all connections is not repeated for every new one.
const SHED: usize = 64;

/// The open connections.
#[derive(Debug)]
pub struct OpenConnections {
    open: Mutex<Open>,
    most: usize,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Open {
    all: HashMap<Ends, Arc<Connection>>,
    stopping: Option<Instant>,
}

impl OpenConnections {
    /// No connections yet, and never more than `most`.
    pub fn new(most: usize, timeout: Duration) -> Self {
        Self { open: Mutex::default(), most, timeout }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often [`close_overdue`](Self::close_overdue) must be called.
    pub fn sweep_every(&self) -> Duration {
        (self.timeout / 4).clamp(Duration::from_millis(5), SWEEP)
    }

    /// Adds a connection. `None` where the limit is reached.
    pub fn admit(&self, ends: Ends, now: Instant) -> Option<Arc<Connection>> {
        let mut open = self.open();
        if open.all.len() >= self.most {
            return None;
        }
        let connection = Arc::new(Connection::new(now));
        open.all.insert(ends, Arc::clone(&connection));
        Some(connection)
    }

    /// The open connection between these two addresses.
    pub fn find(&self, ends: &Ends) -> Option<Arc<Connection>> {
        self.open().all.get(ends).cloned()
    }

    /// Removes a connection whose stream has ended.
    pub fn remove(&self, ends: &Ends, connection: &Arc<Connection>) {
        let mut open = self.open();
        // The connection may have been closed before, and a new one may have the same addresses.
        if open.all.get(ends).is_some_and(|known| Arc::ptr_eq(known, connection)) {
            open.all.remove(ends);
        }
    }

    /// Closes the connections that have waited longest without a request in progress. Returns how many were closed.
    pub fn shed(&self) -> usize {
        let mut open = self.open();
        let mut waiting: Vec<(Instant, Ends)> =
            open.all.iter().filter_map(|(ends, connection)| Some((connection.waiting_since()?, *ends))).collect();
        let count = (self.most / SHED).max(1).min(waiting.len());
        if count < waiting.len() {
            waiting.select_nth_unstable(count);
        }
        let shed: Vec<_> = waiting[..count].iter().filter_map(|(_, ends)| open.all.remove(ends)).collect();
        drop(open);
        shed.iter().for_each(|connection| connection.close());
        shed.len()
    }

    /// Closes the connections whose time has passed.
    pub fn close_overdue(&self, now: Instant) {
        let mut open = self.open();
        let stopping = open.stopping;
        let overdue: Vec<_> =
            open.all.extract_if(|_, connection| connection.is_overdue(now, self.timeout, stopping)).collect();
        drop(open);
        overdue.iter().for_each(|(_, connection)| connection.close());
        if !overdue.is_empty() {
            tracing::debug!(count = overdue.len(), "closed connections that had had their time");
        }
    }

    /// Notes that the server stops: from now on, connections without a request in progress have only a short time.
    pub fn stop(&self, now: Instant) {
        self.open().stopping = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        (([127, 0, 0, 1], 80).into(), ([127, 0, 0, 1], port).into())
    }

    #[test]
    fn those_that_have_waited_longest_make_room_and_requests_under_way_stay() {
        let start = Instant::now();
        let connections = OpenConnections::new(4, Duration::from_secs(15));
        let come = |port: u16| connections.admit(ends(port), start + Duration::from_millis(port.into()));
        come(1).unwrap().begin();
        let kept: Vec<_> = [4, 2, 3].map(|port| come(port).unwrap()).into();
        assert!(come(5).is_none());
        assert_eq!(connections.shed(), 1);
        assert!(connections.find(&ends(2)).is_none());
        assert!([1, 3, 4].iter().all(|port| connections.find(&ends(*port)).is_some()));
        assert!(come(5).is_some());
        kept.iter().for_each(|connection| connection.begin());
        assert_eq!((connections.shed(), connections.shed()), (1, 0), "the rest is being served");
    }

    #[test]
    fn a_stream_that_ends_late_does_not_remove_its_successor() {
        let connections = OpenConnections::new(1, Duration::ZERO);
        let first = connections.admit(ends(1), Instant::now()).unwrap();
        assert_eq!(connections.shed(), 1);
        let second = connections.admit(ends(1), Instant::now()).unwrap();
        connections.remove(&ends(1), &first);
        assert!(connections.find(&ends(1)).is_some_and(|known| Arc::ptr_eq(&known, &second)));
    }
}
