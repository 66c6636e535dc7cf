//! What the store keeps in memory beside the file, moved only after a commit.

pub mod destination_cache;
pub mod documents;
pub mod first_attempts;
pub mod followers;
pub mod last_probe;
pub mod late;
pub mod tokens;
pub mod write_metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use self::write_metrics::WriteMetrics;
use super::file::readers::gate::ReadGate;
use super::file::readers::throttle::ReadThrottle;
use crate::domain::memory::MemoryBudget;
use crate::domain::time::Timestamp;
use documents::Documents;
use first_attempts::FirstAttempts;
use followers::Subscribers;
use last_probe::LastProbe;
use late::Late;
use tokens::Tokens;

/// Shared by the write thread and the handles of [`super::handle::Store`].
#[derive(Default)]
pub struct Memory {
    /// Who a token belongs to.
    pub tokens: Tokens,
    /// Who waits for first attempts.
    pub first_attempts: FirstAttempts,
    /// Who follows deliveries as they change.
    pub followers: Subscribers,
    /// What retention has to come back for.
    pub late: Late,
    /// Documents that deliveries carry.
    pub documents: Documents,
    /// Keeps reads back where the log grows too long.
    pub read_gate: Arc<ReadGate>,
    /// Lets senders go before long reads.
    pub read_throttle: Arc<ReadThrottle>,
    /// Figures of the write thread.
    pub metrics: WriteMetrics,
    /// Whether the disk was seen to take writes.
    pub last_probe: LastProbe,
    /// Wall clock minus the engine's clock, in milliseconds; moves when somebody sets the clock.
    skew: AtomicI64,
}

impl Memory {
    /// Nothing known yet; documents are to take no more than `memory`.
    pub fn new(memory: MemoryBudget) -> Self {
        Self { documents: Documents::new(memory), ..Self::default() }
    }

    /// A time of the engine's clock as the wall clock has it.
    pub fn to_wall_time(&self, engine: Timestamp) -> Timestamp {
        Timestamp::from_millis(engine.millis().saturating_add(self.skew.load(Ordering::Relaxed)))
    }

    /// Notes how far the wall clock is before the engine's.
    pub fn set_skew(&self, millis: i64) {
        self.skew.store(millis, Ordering::Relaxed);
    }
}
