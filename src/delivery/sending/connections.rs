//! Connections to destinations, as ureq agents. Twice for each request, ureq looks at all idle connections of an agent
//! under a lock and compares their URLs. So each agent here has one connection, and each run leases an agent. Lanes to
//! one origin share idle agents, so a thousand accounts that send to one service need few connections.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};

use super::resolver::GuardedResolver;
use super::tls::TlsConnector;
use super::tls::trust::Trust;
use super::transport::TcpConnector;
use crate::domain::target_url::TargetUrl;

/// A connection is closed after it was idle for this long. ureq's own pool has the same limit.
const IDLE: Duration = Duration::from_secs(15);

/// A connection older than this is not used again. So deliveries follow a host name that leads to another address by
/// now.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Number of known origins below which nobody looks for unused ones.
const MIN_SWEPT_ORIGINS: usize = 64;

/// Connections of the whole engine.
pub struct DestinationConnections {
    guard: GuardedResolver,
    trust: Trust,
    /// Holds the trusted roots, so it is made once, and only when the first https destination needs it.
    tls: OnceLock<TlsConnector>,
    origins: Mutex<OriginPools>,
}

#[derive(Default)]
struct OriginPools {
    known: HashMap<(String, Duration), Weak<OriginPool>>,
    /// Number of known origins at which the unused ones are removed.
    room: usize,
}

impl DestinationConnections {
    /// No connections yet. `guard` says which addresses they may reach, and `trust` which certificates are trusted.
    pub fn new(guard: GuardedResolver, trust: Trust) -> Self {
        Self { guard, trust, tls: OnceLock::new(), origins: Mutex::default() }
    }

    /// The connections of a lane to `url`. `timeout` is for a whole exchange.
    pub fn to(&self, url: &TargetUrl, timeout: Duration) -> LaneConnections {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (url.origin().to_owned(), timeout);
        if let Some(origin) = origins.known.get(&key).and_then(Weak::upgrade) {
            return LaneConnections::of(origin);
        }
        if origins.known.len() >= origins.room {
            origins.known.retain(|_, origin| origin.strong_count() > 0);
            origins.room = MIN_SWEPT_ORIGINS.max(2 * origins.known.len());
        }
        let origin = self.origin(url, timeout);
        origins.known.insert(key, Arc::downgrade(&origin));
        LaneConnections::of(origin)
    }

    /// Closes connections that have been idle for [`IDLE`].
    pub fn sweep(&self, now: Instant) {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<Arc<OriginPool>> = origins.known.values().filter_map(Weak::upgrade).collect();
        drop(origins);
        known.iter().for_each(|origin| origin.sweep(now));
    }

    /// Connections that are shared with nobody. None is open yet.
    pub fn isolated(&self, url: &TargetUrl, timeout: Duration) -> LaneConnections {
        LaneConnections::of(self.origin(url, timeout))
    }

    fn origin(&self, url: &TargetUrl, timeout: Duration) -> Arc<OriginPool> {
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE)
            .timeout_global(Some(timeout.max(Duration::from_millis(1))))
            .build();
        let tls = url.is_https().then(|| self.tls.get_or_init(|| TlsConnector::new(&self.trust)).clone());
        Arc::new(OriginPool { config, tls, guard: self.guard.clone(), idle: Mutex::default() })
    }
}

/// Agents whose connections lead to one origin.
struct OriginPool {
    config: Config,
    /// `None` for plain HTTP.
    tls: Option<TlsConnector>,
    guard: GuardedResolver,
    /// Idle agents that may have an open connection. The one that was used last is at the end.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    agent: Agent,
    born: Instant,
    since: Instant,
}

impl OriginPool {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> Agent {
        match &self.tls {
            Some(tls) => Agent::with_parts(self.config.clone(), tls.clone(), self.guard.clone()),
            None => Agent::with_parts(self.config.clone(), TcpConnector, self.guard.clone()),
        }
    }

    fn keep(&self, agent: Agent, born: Instant, now: Instant) {
        if now.duration_since(born) <= MAX_AGE {
            self.idle().push_back(Idle { agent, born, since: now });
        }
    }

    fn sweep(&self, now: Instant) {
        let mut idle = self.idle();
        let old = idle.iter().take_while(|idle| now.duration_since(idle.since) > IDLE).count();
        let closed: Vec<Idle> = idle.drain(..old).collect();
        drop(idle);
        drop(closed);
    }
}

/// The agents of one lane.
pub struct LaneConnections {
    origin: Arc<OriginPool>,
    leases: Mutex<InUse>,
}

#[derive(Default)]
struct InUse {
    /// Agents that the lane uses now, by number.
    agents: Vec<(u64, Agent)>,
    number: u64,
    ended: bool,
}

impl LaneConnections {
    fn of(origin: Arc<OriginPool>) -> Self {
        Self { origin, leases: Mutex::default() }
    }

    /// Leases an agent, which nobody else uses meanwhile. Where `shared`, takes the idle agent of this origin that was
    /// used last, because its connection is most likely still open. A failing lane must not share: it would only break
    /// the connections of others.
    pub fn lease(&self, shared: bool) -> Lease<'_> {
        let ended = self.leases().ended;
        let idle = if shared && !ended { self.origin.idle().pop_back() } else { None };
        let connected = Cell::new(idle.is_some());
        let (agent, born) = match idle {
            Some(idle) => (idle.agent, idle.born),
            None => (self.origin.make(), Instant::now()),
        };
        let mut lease = self.leases();
        lease.number += 1;
        let number = lease.number;
        lease.agents.push((number, agent.clone()));
        let ended = lease.ended;
        drop(lease);
        if ended {
            agent.clone().shutdown();
        }
        Lease { agents: self, number, agent, born, connected }
    }

    /// Cancels the exchanges in progress, and those that would begin later. Agents of other lanes go on.
    pub fn shutdown(&self) {
        let agents: Vec<Agent> = {
            let mut lease = self.leases();
            lease.ended = true;
            lease.agents.iter().map(|(_, agent)| agent.clone()).collect()
        };
        agents.into_iter().for_each(Agent::shutdown);
    }

    fn leases(&self) -> MutexGuard<'_, InUse> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A leased agent, which is returned when the lease is dropped.
pub struct Lease<'a> {
    agents: &'a LaneConnections,
    number: u64,
    agent: Agent,
    born: Instant,
    /// Whether the agent may have a connection from an earlier exchange.
    connected: Cell<bool>,
}

impl Lease<'_> {
    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Must be called before an exchange. Returns whether the agent may have a connection from an earlier exchange,
    /// which the peer may have closed since.
    pub fn begin(&self) -> bool {
        self.connected.replace(false)
    }

    /// Must be called after an exchange that went well, which may have left a connection to use again.
    pub fn done(&self) {
        self.connected.set(true);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let ended = {
            let mut lease = self.agents.leases();
            if let Some(place) = lease.agents.iter().position(|(number, _)| *number == self.number) {
                lease.agents.swap_remove(place);
            }
            lease.ended
        };
        if !ended && self.connected.get() {
            self.agents.origin.keep(self.agent.clone(), self.born, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
