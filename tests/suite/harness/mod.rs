//! What every test uses: the real binary, a client, and a receiver that can misbehave.

pub mod client;
pub mod old_file;
pub mod order;
pub mod played;
pub mod program;
pub mod receiver;
pub mod room;
pub mod server;
pub mod tls;
pub mod wire;

use std::time::{Duration, Instant};

pub use client::{Answer, Client};
pub use program::Program;
pub use receiver::{Behaviour, Gate, Receiver, Reply};
pub use server::{Server, Setup};

/// Time after which a test gives up. Long, because this only decides that a test fails.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// Asks `question` until it returns a value. Fails the test after [`DEADLINE`].
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
