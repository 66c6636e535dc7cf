//! What the changes of a commit mean to the lanes.

use std::collections::HashSet;
use std::sync::Arc;

use super::Scheduler;
use super::lane::{JobState, Lane};
use crate::delivery::limits::{DOCUMENT_BYTES, MAX_URGENT};
use crate::delivery::workers::job::Job;
use crate::domain::destination::Destination;
use crate::domain::ids::{DeliveryId, DestinationKey, EventId};
use crate::store::{Change, NewEvent};

impl Scheduler {
    pub(super) fn apply_change(&mut self, change: Change) {
        match change {
            Change::Accepted(event) => self.accepted(event),
            Change::OutcomeRecorded { destination, delivery, due } => {
                self.released(destination, delivery);
                if let Some(at) = due {
                    self.give_up_behind(destination, delivery);
                    self.due(destination, at);
                }
                self.reschedule(destination);
            }
            Change::Reloaded(destinations) => self.reloaded(destinations),
            Change::DestinationChanged(destination) => self.destination_changed(destination),
            Change::DestinationDeleted(destination) => self.destination_deleted(destination),
            Change::AccountDeleted(_) => {}
            Change::RetryNow { destination, delivery, event } => self.retry_now(destination, delivery, event),
            Change::Reopened(destination) => {
                if let Some(lane) = self.lanes.get_mut(&destination) {
                    lane.clear_backoff();
                    lane.note_more();
                }
                self.read_order_again(destination);
                self.reschedule(destination);
            }
            Change::Cancelled { destination, delivery } => self.cancelled(destination, delivery),
        }
    }

    pub(super) fn accepted(&mut self, event: NewEvent) {
        for (delivery, destination) in event.deliveries {
            let (share, spare) = self.shared_window();
            let Some(lane) = self.lanes.get_mut(&destination) else { continue };
            // A refill may have read the delivery between the commit and this message.
            if lane.in_hand.contains_key(&delivery) {
                continue;
            }
            // The file already holds older deliveries of this lane, which go first. A paused lane holds nothing in
            // memory.
            let is_behind = lane.is_strict() && lane.file_order.is_behind;
            if is_behind
                || lane.more
                || lane.refilling.is_some()
                || lane.is_paused()
                || lane.in_hand.len() >= lane.window(share, spare)
            {
                lane.note_more();
            } else {
                let fits = self.bytes + event.payload.len() <= DOCUMENT_BYTES;
                self.bytes += if fits { event.payload.len() } else { 0 };
                self.in_hand += 1;
                lane.in_hand.insert(delivery, JobState::Queued);
                let document = fits.then(|| event.payload.clone());
                lane.enqueue(Job { delivery, event: event.id, retry_step: Some(0), document, urgent: false });
            }
            self.reschedule(destination);
        }
    }

    pub(super) fn destination_changed(&mut self, destination: Arc<Destination>) {
        let (key, now) = (destination.key, self.now());
        // Jobs that have not begun must be sent as the destination is now.
        self.recall_unstarted(key);
        match self.lanes.get_mut(&key) {
            None => {
                self.lanes.insert(key, Lane::new(destination, now));
            }
            Some(lane) => {
                let (before, resumed) = (&lane.destination, lane.is_paused() && destination.pause.is_none());
                let lifted = before.held_until.is_some() && destination.held_until.is_none();
                let elsewhere = before.fields.url.origin() != destination.fields.url.origin();
                let timed_otherwise = before.fields.timeout != destination.fields.timeout;
                let ordered_otherwise = before.fields.ordering != destination.fields.ordering;
                lane.destination = destination;
                lane.keep_rate(now);
                lane.client = match lane.client.take() {
                    // The old connections lead to another server or have another timeout.
                    Some(_) if elsewhere || timed_otherwise => None,
                    client => client.map(|client| Arc::new(client.with(Arc::clone(&lane.destination)))),
                };
                if elsewhere {
                    lane.moved();
                }
                if resumed || lifted {
                    lane.clear_backoff();
                    lane.note_more();
                }
                if ordered_otherwise {
                    // What was read in one order may leave out what goes first in the other.
                    lane.note_more();
                    lane.file_order.calm();
                    self.read_order_again(key);
                }
            }
        }
        self.reschedule(key);
    }

    /// Takes over all destinations after the store has opened its connection again. Jobs in hand stay, because no
    /// message was sent for a commit that failed.
    fn reloaded(&mut self, destinations: Vec<Destination>) {
        let known: HashSet<DestinationKey> = destinations.iter().map(|destination| destination.key).collect();
        let gone: Vec<DestinationKey> = self.lanes.keys().filter(|key| !known.contains(key)).copied().collect();
        gone.into_iter().for_each(|key| self.destination_deleted(key));
        for destination in destinations {
            let key = destination.key;
            self.destination_changed(Arc::new(destination));
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.note_more();
            }
            self.read_order_again(key);
            self.reschedule(key);
        }
    }

    pub(super) fn destination_deleted(&mut self, key: DestinationKey) {
        self.recall_unstarted(key);
        self.remove_ready(key);
        self.backlogged.remove(&key);
        if let Some(lane) = self.lanes.remove(&key) {
            self.in_hand -= lane.in_hand.len();
            self.above_floor -= lane.above_floor;
            self.bytes -= lane.queue.iter().chain(&lane.urgent).map(Job::bytes).sum::<usize>();
        }
    }

    /// A manual retry. The delivery goes first in its lane and ignores holds and back-off. Limits of attempts in
    /// progress, the rate and the turns of other accounts still apply. In strict order it keeps its place, and ignores
    /// holds and back-off if it is the next.
    fn retry_now(&mut self, key: DestinationKey, delivery: DeliveryId, event: EventId) {
        let Some(lane) = self.lanes.get(&key) else { return };
        if lane.in_hand.get(&delivery) == Some(&JobState::Sent) {
            // A job that waits for a worker busy with another run is not in progress: takes it back.
            self.recall_unstarted(key);
        }
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let place = lane.in_hand.get(&delivery).copied();
        if lane.is_strict() {
            if place != Some(JobState::Sent) {
                lane.file_order.hurry(delivery);
                self.read_order_again(key);
            }
            return self.reschedule(key);
        }
        match place {
            // An attempt is in progress already.
            Some(JobState::Sent) => {}
            Some(JobState::Queued) => {
                if let Some(at) = lane.queue.iter().position(|job| job.delivery == delivery)
                    && let Some(job) = lane.queue.remove(at)
                {
                    // The retry starts the schedule again.
                    lane.urgent.push_back(Job { retry_step: Some(0), urgent: true, ..job });
                }
            }
            // The delivery stays in the file, where it is due at once.
            _ if lane.is_paused() || lane.urgent.len() >= MAX_URGENT => lane.note_more(),
            Some(JobState::Recorded) | None => {
                if lane.in_hand.insert(delivery, JobState::Queued).is_none() {
                    self.in_hand += 1;
                }
                lane.urgent.push_back(Job { delivery, event, retry_step: None, document: None, urgent: true });
            }
        }
        self.reschedule(key);
    }

    pub(super) fn cancelled(&mut self, key: DestinationKey, delivery: DeliveryId) {
        self.recall_unstarted(key);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.refilling.is_some() {
            lane.cancelled.insert(delivery);
        }
        if lane.in_hand.get(&delivery) == Some(&JobState::Queued) {
            for queue in [&mut lane.queue, &mut lane.urgent] {
                if let Some(at) = queue.iter().position(|job| job.delivery == delivery)
                    && let Some(job) = queue.remove(at)
                {
                    self.bytes -= job.bytes();
                }
            }
            self.released(key, delivery);
        } else if lane.is_strict() {
            // Those behind it may have waited for its retry.
            lane.note_more();
        }
        self.reschedule(key);
    }

    /// A delivery is no longer in hand. During a refill it is remembered as settled, because the refill may have read
    /// the file before the outcome was written.
    pub(super) fn released(&mut self, key: DestinationKey, delivery: DeliveryId) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.refilling.is_some() {
            if let Some(place) = lane.in_hand.get_mut(&delivery) {
                *place = JobState::Recorded;
            }
        } else if lane.in_hand.remove(&delivery).is_some() {
            self.in_hand -= 1;
        }
    }
}
