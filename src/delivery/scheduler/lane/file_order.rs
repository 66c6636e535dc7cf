//! What a lane in strict order knows of the file.

use std::collections::BTreeSet;

use crate::delivery::limits::MAX_URGENT;
use crate::domain::ids::DeliveryId;

/// What a lane in strict order knows of the file.
#[derive(Debug)]
pub struct FileOrder {
    /// The file may hold pending deliveries that are not in hand. Then a new event waits in the file too.
    pub is_behind: bool,
    /// A refill is in progress that began before the order changed.
    pub refill_is_stale: bool,
    /// Deliveries that were retried by hand, and ignore holds and back-off once they are the lowest that is pending.
    hurried: BTreeSet<DeliveryId>,
}

impl Default for FileOrder {
    /// Nothing was read yet.
    fn default() -> Self {
        Self { is_behind: true, refill_is_stale: false, hurried: BTreeSet::new() }
    }
}

impl FileOrder {
    /// Notes that a delivery was retried by hand.
    pub fn hurry(&mut self, delivery: DeliveryId) {
        if self.hurried.len() < MAX_URGENT {
            self.hurried.insert(delivery);
        }
    }

    /// Whether a read must not wait for the end of a hold or a back-off.
    pub fn is_hurried(&self) -> bool {
        !self.hurried.is_empty()
    }

    /// Whether a delivery was retried by hand. It is forgotten with the answer.
    pub fn take_hurried(&mut self, delivery: DeliveryId) -> bool {
        self.hurried.remove(&delivery)
    }

    /// Forgets what was retried by hand.
    pub fn calm(&mut self) {
        self.hurried.clear();
    }
}
