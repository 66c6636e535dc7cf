//! What the engine is told.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::sending::tls::trust::Trust;
use crate::domain::network::NetworkPolicy;
use crate::domain::retry::RetrySchedule;

/// What the engine is told at start.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Attempts under way at once, over all destinations.
    pub workers: usize,
    /// Attempts under way at once to one destination.
    pub destination_concurrency: usize,
    /// For one attempt, from look-up to the end of the answer.
    pub timeout: Duration,
    /// Delays between attempts.
    pub retry_schedule: RetrySchedule,
    /// A destination with nothing but failures for this long is paused.
    pub pause_after: Duration,
    /// Where deliveries may go.
    pub network: Arc<NetworkPolicy>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The clock of due times.
    pub clock: Clock,
}
