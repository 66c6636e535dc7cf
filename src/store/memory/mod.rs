//! What the store keeps in memory beside the file. What callers can see of it changes only after a commit.

pub mod access_tokens;
pub mod change_counts;
pub mod conditions;
pub mod destination_cache;
pub mod documents;
pub mod first_attempts;
pub mod followers;
pub mod last_probe;
pub mod late;
mod places;
pub mod preview_turns;
pub mod tokens;
pub mod unreadable;
pub mod write_metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use self::write_metrics::WriteMetrics;
use super::file::readers::gate::ReadGate;
use super::file::readers::throttle::ReadThrottle;
use crate::domain::memory::MemoryBudget;
use crate::domain::time::Timestamp;
use access_tokens::AccessTokens;
use change_counts::CountSubscribers;
use conditions::ConditionHints;
use documents::Documents;
use first_attempts::FirstAttempts;
use followers::Subscribers;
use last_probe::LastProbe;
use late::Late;
use preview_turns::PreviewTurns;
use tokens::Tokens;
use unreadable::Unreadable;

/// Shared by the write thread and all clones of [`Store`](super::handle::Store).
#[derive(Default)]
pub struct Memory {
    /// Which account a token belongs to.
    pub tokens: Tokens,
    /// Which rights a token with a role has.
    pub access_tokens: Arc<AccessTokens>,
    /// Callers that wait for first attempts.
    pub first_attempts: FirstAttempts,
    /// Subscribers that follow deliveries as they change.
    pub subscribers: Subscribers,
    /// Subscribers that only count changes.
    pub count_subscribers: CountSubscribers,
    /// Deliveries that retention has to come back for.
    pub late: Late,
    /// Which events are for the destinations of an account.
    pub conditions: ConditionHints,
    /// Who may make a preview over many events now.
    pub preview_turns: PreviewTurns,
    /// Destinations whose secrets do not open.
    pub unreadable: Unreadable,
    /// Documents of events.
    pub documents: Documents,
    /// Holds new reads back if the WAL has grown too long.
    pub read_gate: Arc<ReadGate>,
    /// Lets senders of events go before long reads.
    pub read_throttle: Arc<ReadThrottle>,
    /// Metrics of the write thread.
    pub metrics: WriteMetrics,
    /// Whether a write reached the disk a short time ago.
    pub last_probe: LastProbe,
    /// Wall clock minus engine clock, in milliseconds. Changes when somebody sets the wall clock.
    skew: AtomicI64,
}

impl Memory {
    /// Nothing known yet. Documents use at most `memory`.
    pub fn new(memory: MemoryBudget) -> Self {
        Self { documents: Documents::new(memory), ..Self::default() }
    }

    /// Converts a time of the engine clock to the wall clock.
    pub fn to_wall_time(&self, engine: Timestamp) -> Timestamp {
        Timestamp::from_millis(engine.millis().saturating_add(self.skew.load(Ordering::Relaxed)))
    }

    /// Sets how far the wall clock is ahead of the engine clock, in milliseconds.
    pub fn set_skew(&self, millis: i64) {
        self.skew.store(millis, Ordering::Relaxed);
    }
}
