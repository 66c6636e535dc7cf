//! Where a lane is: in the ready set of a pool, on a timer, or waiting for a refill.

use std::collections::HashSet;

use super::Scheduler;
use super::lane::{Health, JobState, Lane};
use super::pools::{Entry, may_hang};
use super::refill::ReadRequest;
use crate::delivery::limits::{CLIENT_IDLE, DOCUMENT_BYTES, FLOOR, SHARED_WINDOW, TICK};
use crate::delivery::standing::STANDINGS;
use crate::delivery::workers::job::Job;
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::time::Timestamp;
use crate::store::DueDeliveries;

impl Scheduler {
    pub(super) fn refilled(&mut self, key: DestinationKey, found: DueDeliveries) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let came_meanwhile = lane.refilling.take() == Some(true);
        lane.more = came_meanwhile;
        let is_stale = std::mem::take(&mut lane.file_order.refill_is_stale) && lane.is_strict();
        lane.file_order.is_behind = is_stale || came_meanwhile || found.next_due.is_some();
        let before = lane.in_hand.len();
        for due in found.deliveries.into_iter().filter(|_| !is_stale) {
            if lane.in_hand.contains_key(&due.delivery) || lane.cancelled.contains(&due.delivery) {
                continue;
            }
            let fits = due.document.as_ref().is_some_and(|document| self.bytes + document.len() <= DOCUMENT_BYTES);
            let document = due.document.filter(|_| fits);
            self.bytes += document.as_ref().map_or(0, |document| document.len());
            lane.in_hand.insert(due.delivery, JobState::Queued);
            lane.enqueue_read(Job {
                delivery: due.delivery,
                event: due.event,
                retry_step: Some(due.retry_step),
                document,
                urgent: false,
            });
        }
        lane.in_hand.retain(|_, place| *place != JobState::Recorded);
        lane.cancelled.clear();
        if !is_stale {
            lane.file_order.calm();
        }
        self.in_hand = self.in_hand + lane.in_hand.len() - before;
        if let Some(at) = found.next_due {
            self.due(key, at);
        }
        self.reschedule(key);
    }

    /// Puts a lane where it belongs now: into the ready set of its pool, on a timer, or in the queue for refills.
    pub(super) fn reschedule(&mut self, key: DestinationKey) {
        self.remove_ready(key);
        self.count(key);
        let now = self.now();
        let Some(lane) = self.lanes.get(&key) else { return };
        if lane.is_backlogged() {
            self.backlogged.insert(key);
        } else {
            self.backlogged.remove(&key);
        }
        let (share, spare) = self.shared_window();
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.is_paused() {
            // A paused lane keeps nothing in memory. Its deliveries wait in the file.
            lane.file_order.calm();
            if !lane.queue.is_empty() || !lane.urgent.is_empty() {
                lane.note_more();
                let dropped = lane.take_waiting(None);
                self.released_waiting(key, dropped);
            }
            return self.count(key);
        }
        let wait = lane.waits_until(now);
        let window = lane.window(share, spare);
        let low = lane.queue.len() <= window / 4;
        let limit = window.saturating_sub(lane.in_hand.len());
        // A refill skips all that is in hand, which takes time. So it must be able to bring a quarter of the window,
        // and at least 2 because half may be retries.
        let may_read = wait.is_none() || lane.file_order.is_hurried();
        if lane.more && lane.refilling.is_none() && low && may_read && limit >= (window / 4).max(2) {
            lane.refilling = Some(false);
            lane.more = false;
            let in_hand: HashSet<DeliveryId> = lane.in_hand.keys().copied().collect();
            let high_priority = lane.health != Health::Failing;
            let order = lane.destination.fields.ordering;
            self.environment.read(ReadRequest::Refill { lane: key, order, now, limit, in_hand }, high_priority);
        }
        if lane.queue.is_empty() && lane.urgent.is_empty() && !lane.more {
            return;
        }
        if let Some(until) = wait {
            self.set_timer(key, until);
        }
        let Some(lane) = self.lanes.get(&key) else { return };
        if self.may_send(lane, now) && !self.wait_for_rate(key, now) {
            let Some(lane) = self.lanes.get_mut(&key) else { return };
            let turn = *lane.turn.get_or_insert_with(|| self.account_turns.queue(lane.destination.account_key));
            let entry = Entry { pool: lane.pool(), weight: lane.weight(), turn };
            self.entered.insert(key, entry);
            self.pools.enter(key, entry);
        }
    }

    /// Whether a lane has something that may be sent now, as far as it is not held back by its rate.
    pub(super) fn may_send(&self, lane: &Lane, now: Timestamp) -> bool {
        let has_work = !lane.urgent.is_empty() || (!lane.queue.is_empty() && lane.waits_until(now).is_none());
        let hanging = may_hang(self.hanging, self.limits.workers);
        has_work && lane.has_capacity(self.limits.destination_concurrency, hanging)
    }

    /// Counts the jobs that a lane has in hand above [`FLOOR`]. Manual retries hold no document while they wait, and
    /// must not use up the shared window.
    fn count(&mut self, key: DestinationKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let excess = lane.in_hand.len().saturating_sub(lane.urgent.len() + FLOOR);
        self.above_floor = self.above_floor + excess - lane.above_floor;
        lane.above_floor = excess;
    }

    /// The part of the shared window that each lane may use, and what is left of the whole. There is one part for each
    /// backlogged lane, and one more for all other lanes.
    pub(super) fn shared_window(&self) -> (usize, usize) {
        (SHARED_WINDOW / (self.backlogged.len() + 1), SHARED_WINDOW.saturating_sub(self.above_floor))
    }

    pub(super) fn remove_ready(&mut self, key: DestinationKey) {
        if let Some(entry) = self.entered.remove(&key) {
            self.pools.leave(key, entry);
        }
    }

    /// Once every [`TICK`]: ends what has been idle for long, and reschedules lanes that others may have held back.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        if now.since(self.last_sweep) < TICK {
            return;
        }
        self.last_sweep = now;
        self.account_turns.prune();
        self.environment.sweep();
        let mut waiting = Vec::new();
        let mut standings = [0; STANDINGS.len()];
        for (key, lane) in &mut self.lanes {
            standings[lane.standing(now) as usize] += 1;
            if lane.in_flight == 0 && lane.client.is_some() && now.since(lane.last_used) > CLIENT_IDLE {
                lane.client = None;
            }
            let short = lane.more && lane.refilling.is_none() && !lane.is_paused() && lane.in_hand.len() < FLOOR;
            // Overdue attempts of other lanes may have held this lane back.
            if short || (lane.hangs_much() && !lane.queue.is_empty()) {
                waiting.push(*key);
            }
        }
        self.environment.show_standings(standings);
        waiting.into_iter().for_each(|key| self.reschedule(key));
    }
}
