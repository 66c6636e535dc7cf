//! The file of the simulation: what commits write and reads find.

use std::sync::Arc;

use super::super::*;
use super::world::{Row, World};
use crate::domain::delivery::Next;
use crate::domain::destination::{DeliveryOrder, OnExhausted, Pause, PausedReason};
use crate::domain::document::Document;
use crate::domain::ids::DeliveryId;
use crate::store::{Change, DueDeliveries, DueDelivery, FinishedAttempt};

impl World {
    /// Writes outcomes; gives what the commit changed.
    pub(super) fn commit(&mut self, finished: Vec<FinishedAttempt>) -> Vec<Change> {
        let mut changes = Vec::new();
        for attempt in finished {
            let mut due = None;
            self.promises.settles(attempt.delivery);
            if let Some(row) = self.rows.get_mut(&attempt.delivery) {
                match attempt.transition.next {
                    Next::Retry { at, retry_step: step } => {
                        (row.due, row.step) = (at, step);
                        due = Some(at);
                    }
                    next @ (Next::Succeeded | Next::Exhausted | Next::PauseDestination) => {
                        self.settle(attempt.delivery);
                        changes
                            .extend((next == Next::Exhausted).then(|| self.exhausted(attempt.destination)).flatten());
                    }
                }
            }
            let (destination, delivery) = (attempt.destination, attempt.delivery);
            changes.push(Change::OutcomeRecorded { destination, delivery, due });
        }
        changes
    }

    /// A delivery is no longer pending.
    pub(super) fn settle(&mut self, delivery: DeliveryId) {
        if let Some(row) = self.rows.remove(&delivery) {
            self.settled.insert(delivery, row);
        }
    }

    /// A delivery is pending again, due at once.
    pub(super) fn open_again(&mut self, delivery: DeliveryId, row: Row) {
        self.settled.remove(&delivery);
        self.succeeded.remove(&delivery);
        self.rows.insert(delivery, Row { due: Timestamp::EPOCH, step: 0, ..row });
    }

    /// A delivery is exhausted, after which its destination may have to be paused.
    pub(super) fn exhausted(&mut self, destination: DestinationKey) -> Option<Change> {
        let destination = self.destinations.get_mut(&destination)?;
        let pauses = destination.fields.on_exhausted == OnExhausted::Pause && destination.pause.is_none();
        pauses.then(|| {
            destination.pause = Some(Pause { reason: PausedReason::Exhausted, at: self.now });
            Change::DestinationChanged(Arc::new(destination.clone()))
        })
    }

    pub(super) fn read(&self, request: ReadRequest) -> Message {
        let of = |lane: DestinationKey| {
            let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| row.destination == lane).collect();
            rows.sort_by_key(|(id, row)| (row.due, **id));
            rows
        };
        match request {
            ReadRequest::FirstDue(lanes) => {
                Message::FirstDue(lanes.iter().filter_map(|lane| Some((*lane, of(*lane).first()?.1.due))).collect())
            }
            ReadRequest::Refill { lane, order, now, limit, in_hand } => {
                let mut found = DueDeliveries { deliveries: Vec::new(), next_due: None };
                let mut rows = of(lane);
                if order == DeliveryOrder::Strict {
                    rows.sort_by_key(|(id, _)| **id);
                }
                for (delivery, row) in rows.into_iter().filter(|(delivery, _)| !in_hand.contains(*delivery)) {
                    if row.due > now || found.deliveries.len() >= limit {
                        found.next_due = Some(row.due);
                        break;
                    }
                    let document = (delivery.0 % 3 > 0).then(|| Document::from([b'x'; 100].as_slice()));
                    found.deliveries.push(DueDelivery {
                        delivery: *delivery,
                        event: row.event,
                        retry_step: row.step,
                        document,
                    });
                }
                Message::Refilled { lane, found }
            }
        }
    }
}
