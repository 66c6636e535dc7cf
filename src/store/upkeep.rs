//! What goes in the background: rows of deleted accounts and destinations, events past their retention, old tallies, and
//! pages given back to the file system. Each is a loop of its own with turns of its own, so that none keeps another from
//! its work. A turn does at most a few milliseconds of the write thread's time, and a read decides before whether there is
//! anything to do, so that an idle server does not write.

mod pace;
mod removal;
mod retention;
mod space;
mod tallies;
mod walk;

use std::time::Duration;

pub use removal::Removal;
pub use retention::Retention;
pub use space::Space;
pub use tallies::Tallies;

use super::Store;
use crate::error::Result;

/// Until the next turn where there was nothing to do.
pub const IDLE: Duration = Duration::from_secs(2);

/// A step on the write thread may take so long: whoever sends in meanwhile waits for it.
const STEP: Duration = Duration::from_millis(3);

/// How long to wait after a step that took so long: three quarters of the write thread's time stay for others.
fn after(took: Duration) -> Duration {
    (3 * took).max(Duration::from_millis(1))
}

impl Store {
    /// Counts pending deliveries into the figure that commits move. To be called once, before anything is accepted.
    ///
    /// # Errors
    /// Unavailable.
    pub fn load_pending(&self) -> Result<()> {
        let count = self.count_pending()?;
        self.shared.metrics.set_pending(count);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
