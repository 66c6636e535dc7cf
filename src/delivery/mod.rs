//! Sends pending deliveries. Each destination has a lane of its own, so that none delays another.
//!
//! `scheduler` decides who sends next, `workers` runs on threads that may block, and `sending` makes one HTTP exchange
//! and has all of ureq. This file only exports what other floors may use, and holds no code.

pub mod clock;

mod engine;
mod limits;
mod metrics;
mod options;
mod scheduler;
mod sending;
mod standing;
mod workers;

pub use engine::Engine;
pub use metrics::{EngineMetrics, EngineMetricsSnapshot};
pub use options::EngineOptions;
pub use scheduler::message::{EngineHandle, EngineReceiver, channel};
pub use sending::client::{HttpClient, HttpRequest, HttpResponse};
pub use sending::tls::trust::Trust;
