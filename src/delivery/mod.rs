//! The engine: sends what is pending, each destination in a lane of its own, so that none delays another.
//!
//! `scheduler` decides who sends next, `workers` are the threads that do, `sending` is one HTTP exchange and all of ureq.
//! This file only says what other floors see.

pub mod clock;

mod engine;
mod limits;
mod metrics;
mod options;
mod scheduler;
mod sending;
mod workers;

pub use engine::Engine;
pub use metrics::{BUCKETS, EngineMetricsSnapshot};
pub use options::EngineOptions;
pub use scheduler::message::{EngineHandle, EngineReceiver, channel};
pub use sending::tls::trust::Trust;
