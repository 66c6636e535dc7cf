//! Decides which addresses a request may connect to. ureq asks the resolver for every request, also where the host is
//! an address, and dials exactly the addresses that are returned. So the address that is dialled is always one that was
//! checked, even if the name leads to another address meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::domain::network::NetworkPolicy;

/// Addresses of a name are used for this long, then the next request starts a new DNS lookup.
const TTL: Duration = Duration::from_secs(30);

/// A failed DNS lookup is repeated after this time at the earliest.
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// Most DNS lookups in progress. Each has a thread, and a name server that hangs must not use up all threads.
const MAX_LOOKUPS: usize = 32;

/// Number of remembered names at which all finished ones are forgotten. Bounds memory.
const MAX_NAMES: usize = 10_000;

/// Most addresses of one name that are used.
const MAX_ADDRESSES: usize = 16;

/// The host leads to an address that deliveries must not reach.
#[derive(Debug)]
pub struct RefusedAddress(String);

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RefusedAddress {}

/// The resolver that all lanes share.
#[derive(Clone)]
pub struct GuardedResolver {
    policy: Arc<NetworkPolicy>,
    names: Arc<Names>,
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl GuardedResolver {
    /// A resolver that returns addresses which `policy` allows.
    pub fn new(policy: Arc<NetworkPolicy>) -> Self {
        Self::with(policy, |host| (host, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect()))
    }

    /// A resolver that looks up names with `find`.
    fn with(policy: Arc<NetworkPolicy>, find: impl Fn(&str) -> Found + Send + Sync + 'static) -> Self {
        let names = Names { state: Mutex::default(), changed: Condvar::new(), find: Box::new(find) };
        Self { policy, names: Arc::new(names) }
    }
}

impl Resolver for GuardedResolver {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match bare.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => self.names.look_up(host, timeout)?,
        };
        let mut resolved = self.empty();
        // One forbidden address among allowed ones refuses the whole name, because any of them may be dialled.
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            if let Err(refused) = self.policy.check(address) {
                return Err(ureq::Error::Other(Box::new(RefusedAddress(refused.to_string()))));
            }
            let address = SocketAddr::new(address, port);
            if self.policy.is_own(address) {
                let refused = RefusedAddress(format!("{address} is this server itself"));
                return Err(ureq::Error::Other(Box::new(refused)));
            }
            resolved.push(address);
        }
        if resolved.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(resolved) }
    }
}

/// The result of a DNS lookup.
type Found = std::io::Result<Vec<IpAddr>>;

struct Names {
    state: Mutex<State>,
    changed: Condvar,
    /// Makes the DNS lookup, which may take long.
    find: Box<dyn Fn(&str) -> Found + Send + Sync>,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Name>,
    running: usize,
}

enum Name {
    /// A DNS lookup is in progress. Holds the addresses known before: using these is better than waiting, and they are
    /// checked like all others.
    Running(Vec<IpAddr>),
    /// When a DNS lookup ended, and its addresses. No addresses mean that the name does not resolve.
    Known(Instant, Vec<IpAddr>),
}

impl Names {
    fn look_up(self: &Arc<Self>, host: &str, timeout: NextTimeout) -> Result<Vec<IpAddr>, ureq::Error> {
        let deadline = Instant::now() + *timeout.after;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match state.names.get(host) {
                Some(Name::Known(at, addresses))
                    if at.elapsed() < if addresses.is_empty() { FAILURE_TTL } else { TTL } =>
                {
                    return if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses.clone()) };
                }
                Some(Name::Running(before)) if before.is_empty() => {}
                Some(Name::Running(before)) => return Ok(before.clone()),
                known => {
                    let before = match known {
                        Some(Name::Known(_, before)) => before.clone(),
                        _ => Vec::new(),
                    };
                    if state.running < MAX_LOOKUPS {
                        state.running += 1;
                        state.names.insert(host.to_owned(), Name::Running(before));
                        self.start(host.to_owned(), &mut state);
                        continue;
                    }
                    if !before.is_empty() {
                        return Ok(before);
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ureq::Error::Timeout(timeout.reason));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn start(self: &Arc<Self>, host: String, state: &mut State) {
        let names = Arc::clone(self);
        let looked_up = host.clone();
        let started = std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let found = (names.find)(&looked_up);
            names.known(looked_up, found.unwrap_or_default());
        });
        if started.is_err() {
            state.running -= 1;
            state.names.insert(host, Name::Known(Instant::now(), Vec::new()));
        }
    }

    fn known(&self, host: String, addresses: Vec<IpAddr>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        if state.names.len() >= MAX_NAMES {
            state.names.retain(|_, name| matches!(name, Name::Running(_)));
        }
        state.names.insert(host, Name::Known(Instant::now(), addresses));
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(guard: &GuardedResolver, url: &str) -> Result<Vec<IpAddr>, ureq::Error> {
        let config = ureq::Agent::config_builder().build();
        let timeout = NextTimeout {
            after: ureq::unversioned::transport::time::Duration::from_secs(5),
            reason: ureq::Timeout::Global,
            ..NextTimeout::default()
        };
        let found = guard.resolve(&url.parse().unwrap(), &config, timeout)?;
        Ok(found.iter().map(SocketAddr::ip).collect())
    }

    fn resolve(url: &str, policy: NetworkPolicy) -> Result<usize, ureq::Error> {
        ask(&GuardedResolver::new(Arc::new(policy)), url).map(|found| found.len())
    }

    fn is_refused(answer: &Result<Vec<IpAddr>, ureq::Error>) -> bool {
        matches!(answer, Err(ureq::Error::Other(inner)) if inner.is::<RefusedAddress>())
    }

    impl GuardedResolver {
        /// Makes all known addresses older by this much.
        fn age(&self, by: Duration) {
            for name in self.names.state.lock().unwrap().names.values_mut() {
                if let Name::Known(at, _) = name {
                    *at = at.checked_sub(by).expect("the machine has run for longer");
                }
            }
        }

        /// Waits until no DNS lookup is in progress.
        fn settle(&self) {
            let state = self.names.state.lock().unwrap();
            drop(self.names.changed.wait_while(state, |state| state.running > 0).unwrap());
        }
    }

    #[test]
    fn a_known_name_that_changes_to_the_inside_is_refused_once_it_is_asked_anew() {
        let now: Arc<Mutex<Vec<IpAddr>>> = Arc::new(Mutex::new(vec!["93.184.216.34".parse().unwrap()]));
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (answers, counted) = (Arc::clone(&now), Arc::clone(&asked));
        let guard = GuardedResolver::with(Arc::default(), move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Ok(answers.lock().unwrap().clone())
        });
        let public: Vec<IpAddr> = now.lock().unwrap().clone();
        assert_eq!(ask(&guard, "http://flip.test/").unwrap(), public);

        *now.lock().unwrap() = vec!["127.0.0.1".parse().unwrap()];
        guard.age(TTL - Duration::from_secs(10));
        assert_eq!(ask(&guard, "http://flip.test/").unwrap(), public, "what is dialled is still the public one");
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);

        guard.age(Duration::from_secs(10));
        // A request during the DNS lookup gets the old address or a refusal, and never an address that was not checked.
        let meanwhile = ask(&guard, "http://flip.test/");
        assert!(is_refused(&meanwhile) || meanwhile.is_ok_and(|found| found == public));
        guard.settle();
        assert!(is_refused(&ask(&guard, "http://flip.test/")));
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);

        // And back again: a refused address is remembered no longer than any other.
        now.lock().unwrap().clone_from(&public);
        guard.age(TTL);
        let _ = ask(&guard, "http://flip.test/");
        guard.settle();
        assert_eq!(ask(&guard, "http://flip.test/").unwrap(), public);
    }

    #[test]
    fn loopback_is_refused_by_literal_and_by_name() {
        for url in ["http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://localhost/"] {
            let error = resolve(url, NetworkPolicy::default()).unwrap_err();
            assert!(matches!(&error, ureq::Error::Other(inner) if inner.is::<RefusedAddress>()), "{url}: {error}");
        }
    }

    #[test]
    fn an_open_network_resolves() {
        assert_eq!(resolve("http://127.0.0.1:8080/", NetworkPolicy::dev(vec![])).unwrap(), 1);
        assert!(resolve("http://localhost/", NetworkPolicy::dev(vec![])).unwrap() >= 1);
    }
}
