//! Strict order: what a lane may have in memory, and when its next attempt may begin.
//!
//! The file knows the order, since it holds all that is pending, by id. A lane in strict order has a part of that in
//! memory which begins at the lowest id. Where that can no longer be known, such as after a replay, the lane gives up
//! what has not begun, and reads again from the lowest id.

use std::collections::VecDeque;

use super::{JobState, Lane};
use crate::delivery::workers::job::Job;
use crate::domain::destination::DeliveryOrder;
use crate::domain::ids::DeliveryId;

impl Lane {
    /// Whether the destination asks for strict order.
    pub fn is_strict(&self) -> bool {
        self.destination.fields.ordering == DeliveryOrder::Strict
    }

    /// Whether an attempt of a strict lane may begin: no other is in progress, and the outcomes of all are on disk.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight == 0 && self.in_hand.values().all(|state| *state != JobState::Sent)
    }

    /// Adds a job behind those that wait.
    pub fn enqueue(&mut self, job: Job) {
        if self.is_strict() {
            self.insert(job);
        } else {
            self.queue.push_back(job);
        }
    }

    /// Adds a job that a refill brought. The lowest of a strict lane is urgent if it was retried by hand.
    pub fn enqueue_read(&mut self, job: Job) {
        let is_lowest = self.is_strict() && self.queue.is_empty();
        let urgent = is_lowest && self.file_order.take_hurried(job.delivery);
        self.enqueue(Job { urgent, ..job });
    }

    /// Puts a job that has not begun back to the front.
    pub fn requeue(&mut self, job: Job) {
        if self.is_strict() {
            self.insert(job);
        } else {
            self.queue_of(&job).push_front(job);
        }
    }

    fn queue_of(&mut self, job: &Job) -> &mut VecDeque<Job> {
        if job.urgent { &mut self.urgent } else { &mut self.queue }
    }

    /// Inserts a job by its id.
    fn insert(&mut self, job: Job) {
        let queue = self.queue_of(&job);
        let place = queue.partition_point(|other| other.delivery < job.delivery);
        queue.insert(place, job);
    }

    /// Takes all jobs out that have not begun and whose id is above `after`; all of them for `None`. A refill in
    /// progress began before that, so that what it brings is no longer what comes next.
    pub fn take_waiting(&mut self, after: Option<DeliveryId>) -> Vec<Job> {
        let mut taken = Vec::new();
        for queue in [&mut self.urgent, &mut self.queue] {
            let (kept, out): (VecDeque<Job>, _) =
                queue.drain(..).partition(|job| after.is_some_and(|after| job.delivery <= after));
            *queue = kept;
            taken.extend(out);
        }
        self.file_order.is_behind = true;
        self.file_order.refill_is_stale = self.refilling.is_some();
        taken
    }
}

#[cfg(test)]
mod tests;
