//! Lanes in strict order that can no longer know what comes next, and read it again.

use super::Scheduler;
use crate::delivery::workers::job::Job;
use crate::domain::ids::{DeliveryId, DestinationKey};

impl Scheduler {
    /// A delivery of a lane stays pending in the file and is no longer in hand. In strict order all later ones wait
    /// there too, until it is due.
    pub(super) fn give_up_behind(&mut self, key: DestinationKey, delivery: DeliveryId) {
        self.give_up_waiting(key, Some(delivery));
    }

    /// In strict order a lane reads again what comes next, as deliveries with lower ids may have become pending.
    pub(super) fn read_order_again(&mut self, key: DestinationKey) {
        // What a worker was given and has not begun must not go before what is read now.
        if self.lanes.get(&key).is_some_and(|lane| lane.is_strict()) {
            self.recall_unstarted(key);
        }
        self.give_up_waiting(key, None);
        if let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.is_strict()) {
            lane.note_more();
        }
    }

    fn give_up_waiting(&mut self, key: DestinationKey, after: Option<DeliveryId>) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.is_strict()) else { return };
        let dropped = lane.take_waiting(after);
        for job in dropped.iter().filter(|job| job.urgent) {
            lane.file_order.hurry(job.delivery);
        }
        self.released_waiting(key, dropped);
    }

    /// Jobs that waited are no longer in hand.
    pub(super) fn released_waiting(&mut self, key: DestinationKey, dropped: Vec<Job>) {
        for job in dropped {
            self.bytes -= job.bytes();
            self.released(key, job.delivery);
        }
    }
}

#[cfg(test)]
mod tests;
