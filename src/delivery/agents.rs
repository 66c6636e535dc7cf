//! The ureq agents, by where they lead. ureq looks at all idle connections of an agent twice a request, under a lock, and
//! compares their URLs; so each agent here has one connection, and whoever sends borrows an agent. Lanes to one origin
//! share those that are idle: a thousand accounts that push to one service need few connections to it.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector};

use super::buffers::LeanConnector;
use super::resolver::Guard;
use super::transport::Tcp;
use crate::domain::target_url::TargetUrl;

/// Held by every connection, and so small; the head of an answer is put together in larger ones (see `buffers`).
const INPUT_BUFFER: usize = 1024;

/// Likewise.
const OUTPUT_BUFFER: usize = 2 * 1024;

/// A connection that was idle for so long is closed, as in ureq's own pool.
const IDLE: Duration = Duration::from_secs(15);

/// Origins that may be remembered before those that no lane leads to are looked for.
const FEW: usize = 64;

/// Connections of the whole engine.
pub struct Connections {
    guard: Guard,
    /// It holds the roots of trust, so it is made once and only where somebody needs it.
    tls: OnceLock<Shared<DefaultConnector>>,
    origins: Mutex<Origins>,
}

#[derive(Default)]
struct Origins {
    known: HashMap<(String, Duration), Weak<Origin>>,
    /// How many may be known before it is looked which are still used.
    room: usize,
}

impl Connections {
    /// None yet; they reach what `guard` lets through.
    pub fn new(guard: Guard) -> Self {
        Self { guard, tls: OnceLock::new(), origins: Mutex::default() }
    }

    /// For a lane to `url`; the whole of an exchange may take `timeout`.
    pub fn to(&self, url: &TargetUrl, timeout: Duration) -> Agents {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (url.origin().to_owned(), timeout);
        if let Some(origin) = origins.known.get(&key).and_then(Weak::upgrade) {
            return Agents::of(origin);
        }
        if origins.known.len() >= origins.room {
            origins.known.retain(|_, origin| origin.strong_count() > 0);
            origins.room = FEW.max(2 * origins.known.len());
        }
        let origin = self.origin(url, timeout);
        origins.known.insert(key, Arc::downgrade(&origin));
        Agents::of(origin)
    }

    /// The same with connections that nobody shares, and so with none that is open yet.
    pub fn apart(&self, url: &TargetUrl, timeout: Duration) -> Agents {
        Agents::of(self.origin(url, timeout))
    }

    fn origin(&self, url: &TargetUrl, timeout: Duration) -> Arc<Origin> {
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE)
            .timeout_global(Some(timeout.max(Duration::from_millis(1))))
            .build();
        let new = || Shared(Arc::new(DefaultConnector::new()));
        let tls = url.is_https().then(|| self.tls.get_or_init(new).clone());
        Arc::new(Origin { config, tls, guard: self.guard.clone(), idle: Mutex::default() })
    }
}

/// Agents whose connections lead to one origin.
struct Origin {
    config: Config,
    /// `None` for plain HTTP.
    tls: Option<Shared<DefaultConnector>>,
    guard: Guard,
    /// Those with a connection that nobody uses and since when, the one that was used last at the end.
    idle: Mutex<VecDeque<(Instant, Agent)>>,
}

impl Origin {
    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, Agent)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> Agent {
        match &self.tls {
            Some(tls) => Agent::with_parts(self.config.clone(), tls.clone().chain(LeanConnector), self.guard.clone()),
            None => Agent::with_parts(self.config.clone(), Tcp, self.guard.clone()),
        }
    }

    /// Takes an agent back, and closes what has been idle for long.
    fn keep(&self, agent: Agent) {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.push_back((now, agent));
        let old = idle.iter().take_while(|(since, _)| now.duration_since(*since) > IDLE).count();
        let closed: Vec<(Instant, Agent)> = idle.drain(..old).collect();
        drop(idle);
        drop(closed);
    }
}

/// Agents for one lane.
pub struct Agents {
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

impl Agents {
    fn of(origin: Arc<Origin>) -> Self {
        Self { origin, lent: Mutex::default() }
    }

    /// An agent that nobody else uses meanwhile; the one that was used last, whose connection is likeliest to be open.
    pub fn lend(&self) -> Lent<'_> {
        let idle = self.origin.idle().pop_back();
        let connected = Cell::new(idle.is_some());
        let agent = idle.map_or_else(|| self.origin.make(), |(_, agent)| agent);
        let mut lent = self.lent();
        if lent.ended {
            agent.clone().shutdown();
        }
        lent.number += 1;
        let number = lent.number;
        lent.agents.push((number, agent.clone()));
        Lent { agents: self, number, agent, connected }
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
pub struct Lent<'a> {
    agents: &'a Agents,
    number: u64,
    agent: Agent,
    /// Whether it may have a connection from an earlier exchange.
    connected: Cell<bool>,
}

impl Lent<'_> {
    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Whether it may have a connection from an earlier exchange, which the peer may have closed since.
    pub fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// How an exchange ended: where it failed there is no connection left.
    pub fn used(&self, well: bool) {
        self.connected.set(well);
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let ended = {
            let mut lent = self.agents.lent();
            if let Some(place) = lent.agents.iter().position(|(number, _)| *number == self.number) {
                lent.agents.swap_remove(place);
            }
            lent.ended
        };
        if !ended && self.connected.get() {
            self.agents.origin.keep(self.agent.clone());
        }
    }
}

/// A connector that many agents have in common.
#[derive(Debug)]
struct Shared<C>(Arc<C>);

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connector<()>> Connector<()> for Shared<C> {
    type Out = C::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::network::NetworkPolicy;

    const SECOND: Duration = Duration::from_secs(1);

    fn connections() -> Connections {
        Connections::new(Guard::new(Arc::new(NetworkPolicy::dev(Vec::new()))))
    }

    fn to(connections: &Connections, url: &str) -> Agents {
        connections.to(&TargetUrl::from_stored(url.to_owned()), SECOND)
    }

    /// Idle ones of its origin, and those it has in use.
    fn counts(agents: &Agents) -> (usize, usize) {
        (agents.origin.idle().len(), agents.lent().agents.len())
    }

    #[test]
    fn those_who_send_at_once_have_agents_of_their_own_that_are_used_again() {
        let agents = to(&connections(), "http://127.0.0.1:1/");
        let (first, second) = (agents.lend(), agents.lend());
        assert!(!first.is_connected());
        first.used(true);
        second.used(true);
        drop((first, second));
        assert_eq!(counts(&agents), (2, 0));
        let again = agents.lend();
        assert!(again.is_connected());
        assert_eq!(counts(&agents), (1, 1));
    }

    #[test]
    fn one_whose_exchange_failed_is_not_used_again() {
        let agents = to(&connections(), "http://127.0.0.1:1/");
        agents.lend().used(false);
        assert_eq!(counts(&agents), (0, 0));
    }

    #[test]
    fn lanes_to_one_origin_share_what_is_idle_and_others_do_not() {
        let connections = connections();
        let first = to(&connections, "http://127.0.0.1:1/a");
        first.lend().used(true);
        let others = ["http://127.0.0.1:2/a", "https://127.0.0.1:1/a", "http://localhost:1/a"];
        for other in others {
            assert!(!to(&connections, other).lend().is_connected(), "{other}");
        }
        let later = TargetUrl::from_stored("http://127.0.0.1:1/a".to_owned());
        assert!(!connections.to(&later, 2 * SECOND).lend().is_connected(), "it would have the other's timeout");
        assert!(!connections.apart(&later, SECOND).lend().is_connected());
        assert!(to(&connections, "http://127.0.0.1:1/b").lend().is_connected());
    }

    #[test]
    fn a_lane_that_is_cut_leaves_others_alone() {
        let connections = connections();
        let (cut, other) = (to(&connections, "http://127.0.0.1:1/a"), to(&connections, "http://127.0.0.1:1/b"));
        let before = cut.lend();
        before.used(true);
        other.lend().used(true);
        cut.shutdown();
        drop(before);
        assert_eq!(counts(&other), (1, 0), "what was cut is not kept");
        for (agents, is_cut) in [(&cut, true), (&to(&connections, "http://127.0.0.1:1/a"), false)] {
            let answer = agents.lend().agent().get("http://127.0.0.1:1/").call();
            let shut =
                matches!(answer, Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotConnected);
            assert_eq!(shut, is_cut);
        }
    }

    #[test]
    fn origins_that_no_lane_leads_to_are_forgotten() {
        let connections = connections();
        for port in 1..10 * FEW {
            to(&connections, &format!("http://127.0.0.1:{port}/"));
        }
        let origins = connections.origins.lock().unwrap();
        assert!(origins.known.len() <= FEW, "{}", origins.known.len());
    }
}
