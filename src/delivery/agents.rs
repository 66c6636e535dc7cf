//! The ureq agents of one lane. ureq looks at all idle connections of an agent twice a request, under a lock, and compares
//! their URLs; so each agent here has one connection, and whoever sends borrows an agent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector};

use super::buffers::LeanConnector;
use super::resolver::Guard;
use super::transport::Tcp;

/// Held by every connection, and so small; the head of an answer is put together in larger ones (see `buffers`).
const INPUT_BUFFER: usize = 1024;

/// Likewise.
const OUTPUT_BUFFER: usize = 2 * 1024;

/// A connection that was idle for so long is closed, as in ureq's own pool.
const IDLE: Duration = Duration::from_secs(15);

/// Agents for one destination.
pub struct Agents {
    config: Config,
    /// TLS for all of them: it holds the roots of trust. `None` for plain HTTP.
    tls: Option<Shared<DefaultConnector>>,
    guard: Guard,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that nobody uses and since when, the one that was used last at the end.
    idle: VecDeque<(Instant, Agent)>,
    /// Those in use, by number.
    lent: Vec<(u64, Agent)>,
    number: u64,
    ended: bool,
}

impl Agents {
    /// For a destination with TLS or without; the whole of an exchange may take `timeout`.
    pub fn new(guard: &Guard, https: bool, timeout: Duration) -> Self {
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
        let tls = https.then(|| Shared(Arc::new(DefaultConnector::new())));
        Self { config, tls, guard: guard.clone(), state: Mutex::default() }
    }

    /// An agent that nobody else uses meanwhile; the one that was used last, whose connection is likeliest to be open.
    pub fn lend(&self) -> Lent<'_> {
        let mut state = self.state();
        let known = state.idle.pop_back().map(|(_, agent)| agent);
        let agent = known.unwrap_or_else(|| self.make());
        if state.ended {
            agent.clone().shutdown();
        }
        state.number += 1;
        let number = state.number;
        state.lent.push((number, agent.clone()));
        Lent { agents: self, number, agent }
    }

    /// Cuts what is under way, and what would begin.
    pub fn shutdown(&self) {
        let (idle, lent) = {
            let mut state = self.state();
            state.ended = true;
            let lent: Vec<Agent> = state.lent.iter().map(|(_, agent)| agent.clone()).collect();
            (std::mem::take(&mut state.idle), lent)
        };
        drop(idle);
        lent.into_iter().for_each(Agent::shutdown);
    }

    fn make(&self) -> Agent {
        match &self.tls {
            Some(tls) => Agent::with_parts(self.config.clone(), tls.clone().chain(LeanConnector), self.guard.clone()),
            None => Agent::with_parts(self.config.clone(), Tcp, self.guard.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A borrowed agent; it goes back when it is dropped.
pub struct Lent<'a> {
    agents: &'a Agents,
    number: u64,
    agent: Agent,
}

impl Lent<'_> {
    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.agents.state();
        if let Some(place) = state.lent.iter().position(|(number, _)| *number == self.number) {
            let (_, agent) = state.lent.swap_remove(place);
            if !state.ended {
                state.idle.push_back((now, agent));
            }
        }
        let old = state.idle.iter().take_while(|(since, _)| now.duration_since(*since) > IDLE).count();
        let closed: Vec<(Instant, Agent)> = state.idle.drain(..old).collect();
        drop(state);
        drop(closed);
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

    fn agents() -> Agents {
        Agents::new(&Guard::new(Arc::new(NetworkPolicy::dev(Vec::new()))), false, Duration::from_secs(1))
    }

    /// Idle ones, and those in use.
    fn counts(agents: &Agents) -> (usize, usize) {
        let state = agents.state();
        (state.idle.len(), state.lent.len())
    }

    #[test]
    fn those_who_send_at_once_have_agents_of_their_own_that_are_used_again() {
        let agents = agents();
        let (first, second) = (agents.lend(), agents.lend());
        drop((first, second));
        assert_eq!(counts(&agents), (2, 0));
        let again = agents.lend();
        assert_eq!(counts(&agents), (1, 1));
        drop(again);
    }

    #[test]
    fn after_a_shutdown_nothing_is_kept_and_nothing_can_be_sent() {
        let agents = agents();
        let before = agents.lend();
        agents.shutdown();
        for lent in [before, agents.lend()] {
            let answer = lent.agent().get("http://127.0.0.1:1/").call();
            assert!(matches!(answer, Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotConnected));
        }
        assert_eq!(counts(&agents), (0, 0));
    }
}
