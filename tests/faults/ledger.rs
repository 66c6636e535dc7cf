//! Which events were sent, which were acknowledged, and which arrived.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::harness::client::text;
use crate::harness::{Client, Receiver, wait_until};

/// Events by their numbers. Each event is `{"n": NUMBER, …}`.
#[derive(Default)]
pub struct Ledger {
    next: AtomicU64,
    acknowledged: Mutex<HashMap<u64, String>>,
    refused: Mutex<Vec<u64>>,
    unanswered: AtomicU64,
}

/// Number of requests for each event, by path.
#[derive(Default)]
pub struct Arrivals {
    seen: usize,
    counts: HashMap<(String, u64), usize>,
}

impl Ledger {
    /// Sends one event. Returns whether the server answered. 202 and 503 are noted, any other status is a failure.
    pub fn send(&self, client: &Client, token: &str) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = client.try_push(token, &[], Self::body(number).as_bytes()) else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        match answer.status {
            202 => {
                let id = text(&answer.json(), "event_id");
                self.acknowledged.lock().unwrap().insert(number, id);
            }
            _ => {
                answer.problem(503);
                assert!(answer.header("retry-after").is_some(), "a 503 says when to come again");
                self.refused.lock().unwrap().push(number);
            }
        }
        true
    }

    /// Sends with `clients` threads while `meanwhile` runs and the server answers.
    pub fn under_load<T>(&self, client: &Client, token: &str, clients: usize, meanwhile: impl FnOnce() -> T) -> T {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut answers = true;
                    while answers && !ended.load(Ordering::Relaxed) {
                        answers = self.send(client, token);
                    }
                });
            }
            // Also set if `meanwhile` panics; otherwise the scope would never end.
            let _end = OnDrop(|| ended.store(true, Ordering::Relaxed));
            meanwhile()
        })
    }

    /// The body of event `number`. Sizes vary, so that some bodies take pages of their own.
    fn body(number: u64) -> String {
        let fat = if number.is_multiple_of(10) { 6_000 } else { number % 200 };
        format!("{{\"n\": {number}, \"fat\": \"{}\"}}", "x".repeat(fat as usize))
    }

    /// The number of the event in a document.
    pub fn number(document: &[u8]) -> u64 {
        let event: Value = serde_json::from_slice(document).expect("JSON");
        event["n"].as_u64().expect("a number")
    }

    /// Numbers and ids of the events that were answered 202.
    pub fn acknowledged(&self) -> HashMap<u64, String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Number of the next event.
    pub fn sent(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Numbers of the events that were answered 503.
    pub fn refused(&self) -> Vec<u64> {
        self.refused.lock().unwrap().clone()
    }

    /// Number of requests without an answer.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Waits until `count` more events are acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, count: usize) {
        let before = self.count();
        wait_until(&format!("{count} more are acknowledged"), || (self.count() >= before + count).then_some(()));
    }
}

impl Arrivals {
    /// Counts the requests that the receiver got since the last call.
    pub fn read(&mut self, receiver: &Receiver) {
        let requests = receiver.requests_since(self.seen);
        self.seen += requests.len();
        for request in requests {
            let key = (request.path().to_owned(), Ledger::number(&request.body));
            *self.counts.entry(key).or_default() += 1;
        }
    }

    /// Number of requests to `path` for event `number`.
    pub fn of(&self, path: &str, number: u64) -> usize {
        self.counts.get(&(path.to_owned(), number)).copied().unwrap_or(0)
    }

    /// Each delivery that arrived, with the number of its requests.
    pub fn all(&self) -> impl Iterator<Item = (&str, u64, usize)> {
        self.counts.iter().map(|((path, number), count)| (path.as_str(), *number, *count))
    }

    /// Number of all requests.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// Number of requests beyond the first of each delivery.
    pub fn repeats(&self) -> usize {
        self.counts.values().map(|count| count - 1).sum()
    }

    /// Deliveries to `paths` of acknowledged events that have not arrived.
    pub fn missing(&self, ledger: &Ledger, paths: &[&str]) -> Vec<(String, u64)> {
        let acknowledged = ledger.acknowledged();
        let each = paths.iter().flat_map(|path| acknowledged.keys().map(|number| ((*path).to_owned(), *number)));
        each.filter(|key| !self.counts.contains_key(key)).collect()
    }

    /// Waits until every acknowledged event has arrived at each of `paths`.
    #[track_caller]
    pub fn wait_for_all(&mut self, receiver: &Receiver, ledger: &Ledger, paths: &[&str]) {
        wait_until("everything acknowledged has arrived everywhere", || {
            self.read(receiver);
            self.missing(ledger, paths).is_empty().then_some(())
        });
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
