//! What the benchmarks share: the server under test, a receiving process, load, and what the system is asked.

// Each benchmark is a program of its own and uses its part of this.
#![allow(dead_code)]

pub mod http;
pub mod load;
pub mod server;
pub mod sink;
pub mod sinks;
pub mod stage;
pub mod system;

/// What a benchmark comes to, or why it cannot go on.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
