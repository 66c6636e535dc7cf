//! The ureq agents, by where they lead. ureq looks at all idle connections of an agent twice a request, under a lock, and
//! compares their URLs; so each agent here has one connection, and whoever sends borrows an agent. Lanes to one origin
//! share those that are idle: a thousand accounts that push to one service need few connections to it.

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

/// A connection that was idle for so long is closed, as in ureq's own pool.
const IDLE: Duration = Duration::from_secs(15);

/// One that is so old is not used again, so that deliveries follow a name that leads elsewhere by now.
const MAX_AGE: Duration = Duration::from_secs(300);

/// OriginPools that may be remembered before those that no lane leads to are looked for.
const MIN_SWEPT_ORIGINS: usize = 64;

/// Connections of the whole engine.
pub struct DestinationConnections {
    guard: GuardedResolver,
    trust: Trust,
    /// It holds the roots of trust, so it is made once and only where somebody needs it.
    tls: OnceLock<TlsConnector>,
    origins: Mutex<OriginPool>,
}

#[derive(Default)]
struct OriginPool {
    known: HashMap<(String, Duration), Weak<Origin>>,
    /// How many may be known before it is looked which are still used.
    room: usize,
}

impl DestinationConnections {
    /// None yet; they reach what `guard` lets through, and over https what `trust` vouches for.
    pub fn new(guard: GuardedResolver, trust: Trust) -> Self {
        Self { guard, trust, tls: OnceLock::new(), origins: Mutex::default() }
    }

    /// For a lane to `url`; the whole of an exchange may take `timeout`.
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

    /// Closes what has been idle for long.
    pub fn sweep(&self, now: Instant) {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<Arc<Origin>> = origins.known.values().filter_map(Weak::upgrade).collect();
        drop(origins);
        known.iter().for_each(|origin| origin.sweep(now));
    }

    /// The same with connections that nobody shares, and so with none that is open yet.
    pub fn isolated(&self, url: &TargetUrl, timeout: Duration) -> LaneConnections {
        LaneConnections::of(self.origin(url, timeout))
    }

    fn origin(&self, url: &TargetUrl, timeout: Duration) -> Arc<Origin> {
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
        Arc::new(Origin { config, tls, guard: self.guard.clone(), idle: Mutex::default() })
    }
}

/// Agents whose connections lead to one origin.
struct Origin {
    config: Config,
    /// `None` for plain HTTP.
    tls: Option<TlsConnector>,
    guard: GuardedResolver,
    /// Those with a connection that nobody uses, the one that was used last at the end.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    agent: Agent,
    born: Instant,
    since: Instant,
}

impl Origin {
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

/// Agents for one lane.
pub struct LaneConnections {
    origin: Arc<Origin>,
    lent: Mutex<InUse>,
}

#[derive(Default)]
struct InUse {
    /// Agents of this lane that are in use, by number.
    agents: Vec<(u64, Agent)>,
    number: u64,
    ended: bool,
}

impl LaneConnections {
    fn of(origin: Arc<Origin>) -> Self {
        Self { origin, lent: Mutex::default() }
    }

    /// An agent that nobody else uses meanwhile. Where `shared`, it is the one of this origin that was used last, whose
    /// connection is likeliest to be open; a lane that fails would only break the connections of others.
    pub fn lease(&self, shared: bool) -> Lease<'_> {
        let ended = self.lent().ended;
        let idle = if shared && !ended { self.origin.idle().pop_back() } else { None };
        let connected = Cell::new(idle.is_some());
        let (agent, born) = match idle {
            Some(idle) => (idle.agent, idle.born),
            None => (self.origin.make(), Instant::now()),
        };
        let mut lent = self.lent();
        lent.number += 1;
        let number = lent.number;
        lent.agents.push((number, agent.clone()));
        let ended = lent.ended;
        drop(lent);
        if ended {
            agent.clone().shutdown();
        }
        Lease { agents: self, number, agent, born, connected }
    }

    /// Cuts what is under way, and what would begin. Other lanes' agents go on.
    pub fn shutdown(&self) {
        let agents: Vec<Agent> = {
            let mut lent = self.lent();
            lent.ended = true;
            lent.agents.iter().map(|(_, agent)| agent.clone()).collect()
        };
        agents.into_iter().for_each(Agent::shutdown);
    }

    fn lent(&self) -> MutexGuard<'_, InUse> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A borrowed agent; it goes back when it is dropped.
pub struct Lease<'a> {
    agents: &'a LaneConnections,
    number: u64,
    agent: Agent,
    born: Instant,
    /// Whether it may have a connection from an earlier exchange.
    connected: Cell<bool>,
}

impl Lease<'_> {
    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Before an exchange: whether there may be a connection from an earlier one, which the peer may have closed since.
    pub fn begin(&self) -> bool {
        self.connected.replace(false)
    }

    /// After an exchange that went well, and so may have left a connection.
    pub fn done(&self) {
        self.connected.set(true);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let ended = {
            let mut lent = self.agents.lent();
            if let Some(place) = lent.agents.iter().position(|(number, _)| *number == self.number) {
                lent.agents.swap_remove(place);
            }
            lent.ended
        };
        if !ended && self.connected.get() {
            self.agents.origin.keep(self.agent.clone(), self.born, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
