//! What every test stands on: the real binary, a client for it, and a receiver that can misbehave.

pub mod client;
pub mod played;
pub mod receiver;
pub mod room;
pub mod server;
pub mod tls;
pub mod wire;

use std::time::{Duration, Instant};

pub use client::{Answer, Client};
pub use receiver::{Behaviour, Gate, Receiver, Reply};
pub use server::{Server, Setup};

/// How long anything may take before a test gives up on it. Long, because it only ever decides that a test fails.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// Asks `question` until it gives something, and fails the test when it has not by the deadline.
#[track_caller]
pub fn wait_until<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < end, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
