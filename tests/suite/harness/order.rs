//! Whether a receiver saw events in strict order, and at which pace.

use std::collections::BTreeMap;
use std::time::Duration;

use super::receiver::{Behaviour, Received};

/// Statuses that a receiver answers with, one for each request in the order in which they come. Further requests are
/// answered with 200.
pub struct Statuses(Vec<u16>);

impl Statuses {
    /// `count` statuses, about `failing` of 10 of them 500.
    pub fn random(random: &mut fastrand::Rng, count: usize, failing: u8) -> Self {
        Self((0..count).map(|_| if random.u8(0..10) < failing { 500 } else { 200 }).collect())
    }

    /// What the receiver must do to answer so.
    pub fn behaviours(&self) -> Vec<Behaviour> {
        self.0.iter().chain(&[200]).map(|status| Behaviour::status(*status)).collect()
    }

    /// The status of request number `nth`, counted from 0.
    pub fn of(&self, nth: usize) -> u16 {
        self.0.get(nth).copied().unwrap_or(200)
    }

    /// Fails unless each event came for the first time after all events with lower ids were settled: they were answered
    /// with 200, or `tries` times with 500. `requests` are all requests of one destination in the order of arrival.
    #[track_caller]
    pub fn assert_order(&self, requests: &[Received], tries: usize) {
        // By event: number of requests, and whether they settled it.
        let mut events: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        for (nth, request) in requests.iter().enumerate() {
            let id = request.headers.get("webhook-id").expect("an id");
            if !events.contains_key(id) {
                let open = events.iter().find(|(other, (_, is_settled))| **other < id && !is_settled);
                assert!(open.is_none(), "request {nth}: {id} comes before {open:?} is settled");
                let later = events.keys().find(|other| **other > id);
                assert!(later.is_none(), "request {nth}: {id} comes for the first time after {later:?}");
            }
            let (count, is_settled) = events.entry(id).or_default();
            *count += 1;
            *is_settled |= self.of(nth) == 200 || *count >= tries;
        }
    }
}

/// Most requests within any second. Both ends count.
pub fn most_within_a_second(requests: &[Received]) -> usize {
    let mut times: Vec<_> = requests.iter().map(|request| request.at).collect();
    times.sort();
    let within = |first: usize| {
        let (begin, rest) = (times[first], &times[first..]);
        rest.iter().take_while(|at| **at - begin <= Duration::from_secs(1)).count()
    };
    (0..times.len()).map(within).max().unwrap_or(0)
}
