//! The settings of the engine, as values of `domain`. Flags and their validation are in `commands`.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::sending::tls::trust::Trust;
use crate::domain::memory::MemoryBudget;
use crate::domain::network::NetworkPolicy;
use crate::domain::retry::RetrySchedule;

/// Settings that the engine gets at start and that do not change.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Most attempts in progress, over all destinations.
    pub workers: usize,
    /// Most attempts in progress to one destination that sets no limit of its own.
    pub destination_concurrency: usize,
    /// Timeout of one attempt, from DNS lookup to the end of the response. A destination may set its own.
    pub timeout: Duration,
    /// Delays between the attempts of a delivery. A destination may set its own.
    pub retry_schedule: RetrySchedule,
    /// A destination is paused after only failures for this long.
    pub pause_after: Duration,
    /// Addresses that deliveries may go to.
    pub network: Arc<NetworkPolicy>,
    /// Roots of TLS certificates that are trusted besides Mozilla's.
    pub trust: Trust,
    /// The clock of due times.
    pub clock: Clock,
    /// Memory for bodies that templates make.
    pub memory: MemoryBudget,
    /// Longest body that a template may make, in bytes.
    pub max_body: usize,
}
