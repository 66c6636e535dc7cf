//! What all workers share. It is made once, at the start of the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::delivery::clock::Clock;
use crate::delivery::metrics::EngineMetrics;
use crate::delivery::sending::connections::DestinationConnections;
use crate::domain::memory::MemoryBudget;
use crate::domain::retry::RetrySchedule;
use crate::store::Store;

/// What all workers share.
pub struct WorkerContext {
    /// Where missing documents are read. The scheduler passes the outcomes to the same store.
    pub store: Store,
    /// The clock of due times.
    pub clock: Clock,
    /// Where attempts are counted.
    pub metrics: Arc<EngineMetrics>,
    /// Connections to all destinations.
    pub connections: DestinationConnections,
    /// The schedule for destinations that have none of their own.
    pub retry_schedule: RetrySchedule,
    /// The timeout for destinations that have none of their own.
    pub timeout: Duration,
    /// See [`FinishedAttempt::pause_after`](crate::store::FinishedAttempt::pause_after).
    pub pause_after: Duration,
    /// Memory for bodies that templates make.
    pub memory: MemoryBudget,
    /// Longest body that a template may make, in bytes.
    pub max_body: usize,
}
