//! Attempts from their beginning to their end: who may begin, what an end means, and which are cut.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Flight, Message, Scheduler, TESTS};
use crate::delivery::attempt;
use crate::delivery::flight::{self, Cut, Landed, Said};
use crate::delivery::lane::{FAST, Job, Place, Standing};
use crate::delivery::pools::{KEPT_SHARE, Pool};
use crate::domain::delivery::Attempt;
use crate::domain::destination::Destination;
use crate::domain::ids::DestinationKey;
use crate::domain::retry::Jitter;
use crate::domain::time::Timestamp;

/// An attempt of a failing lane is young for at least this long, so that there are at most 1,600 a second.
const LEAST_YOUNG: Duration = Duration::from_millis(10);

/// An attempt of a failing lane may be cut for room when it is older.
const CUT_AFTER: Duration = Duration::from_secs(1);

impl Scheduler {
    pub(super) fn dispatch(&mut self, now: Timestamp) {
        while self.flights.len() + self.options.workers / KEPT_SHARE < self.options.workers
            && let Some(key) = self.urgent.pop_front()
        {
            if let Some(job) = self.lanes.get_mut(&key).and_then(|lane| lane.urgent.pop_front()) {
                self.send(key, job, Pool::Free, now);
            }
        }
        while let Some((key, pool)) = self.pools.next(self.flights.len(), self.options.workers) {
            let Some(job) = self.lanes.get_mut(&key).and_then(|lane| lane.queue.pop_front()) else {
                self.leave(key);
                continue;
            };
            self.send(key, job, pool, now);
        }
        if self.flights.len() + 1 >= self.options.workers && self.pools.good_wait() {
            self.cut_for_room(now);
        }
    }

    pub(super) fn send(&mut self, key: DestinationKey, job: Job, pool: Pool, now: Timestamp) {
        self.leave(key);
        self.turn += 1;
        let number = self.next_flight;
        self.next_flight += 1;
        let most = self.options.destination_concurrency;
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.in_flight += 1;
        lane.served = self.turn;
        lane.in_hand.insert(job.delivery, Place::Sent);
        let kept = lane.agent.is_some() && lane.standing == Standing::Good;
        let https = lane.destination.fields.url.is_https();
        let agent = lane.agent.get_or_insert_with(|| attempt::agent(&self.context.guard, most, https)).clone();
        let patience = lane.patience(pool);
        let destination = Arc::clone(&lane.destination);
        let young_failing = pool == Pool::Failing;
        self.pools.take(pool);
        self.pools.young_failing += usize::from(young_failing);
        if let Some(patience) = patience.or(young_failing.then_some(FAST)) {
            self.patience.push(Reverse((now.plus(patience), number)));
        }
        let cut = Arc::new(Cut::default());
        let bytes = job.bytes();
        self.flights.insert(
            number,
            Flight {
                lane: key,
                delivery: job.delivery,
                began: now,
                pool,
                young_failing,
                overdue: false,
                cut: Arc::clone(&cut),
                bytes,
            },
        );
        let (context, outbox) = (Arc::clone(&self.context), self.outbox.clone());
        self.workers.give(move |slot| {
            let fly = || flight::fly(&context, &destination, &job, &agent, kept, &cut);
            let landed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fly)).unwrap_or_else(|_| {
                tracing::error!(delivery.id = %job.delivery, "an attempt panicked; it is made again");
                Landed { said: Said::Bad, outcome: false }
            });
            let _ = outbox.0.send(Message::Landed { flight: number, landed, slot });
        });
        self.look(key);
    }

    pub(super) fn landed(&mut self, number: u64, landed: Landed) {
        let Some(flight) = self.flights.remove(&number) else { return };
        self.pools.give(flight.pool);
        self.bytes -= flight.bytes;
        let now = self.now();
        if flight.young_failing {
            // One that failed at once counts a little longer: else sixteen at a time are thousands a second.
            self.cooling.push_back(now.max(flight.began.plus(LEAST_YOUNG)));
        }
        self.leave(flight.lane);
        if let Some(lane) = self.lanes.get_mut(&flight.lane) {
            lane.last_used = now;
            match landed.said {
                Said::Good(took) => lane.succeeded(flight.began, took, flight.overdue),
                Said::Bad => {
                    lane.failed(flight.began, flight.overdue, now, Jitter::from_unit(fastrand::f64()));
                }
                Said::Nothing => lane.ended_unjudged(flight.began, flight.overdue),
            }
            if !landed.outcome {
                // It is still in the file, if anywhere.
                lane.note_more();
                self.released(flight.lane, flight.delivery);
            }
        }
        self.look(flight.lane);
    }

    /// Attempts of failing lanes that ended are no longer young.
    pub(super) fn cool(&mut self, now: Timestamp) {
        while self.cooling.front().is_some_and(|at| *at <= now) {
            self.cooling.pop_front();
            self.pools.young_failing -= 1;
        }
    }

    /// Attempts that take long give their permits back, and their lanes send no more until they answer.
    pub(super) fn lose_patience(&mut self, now: Timestamp) {
        while let Some(Reverse((at, number))) = self.patience.peek().copied() {
            if at > now {
                return;
            }
            self.patience.pop();
            let Some(flight) = self.flights.get_mut(&number) else { continue };
            if flight.young_failing {
                flight.young_failing = false;
                self.pools.young_failing -= 1;
                continue;
            }
            self.pools.give(flight.pool);
            flight.pool = Pool::Free;
            flight.overdue = true;
            let (key, began) = (flight.lane, flight.began);
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.overdue(began);
            }
            self.look(key);
        }
    }

    /// Threads have run out while lanes that are not known to fail wait: the longest attempts of lanes that fail or hang
    /// end now, and are made again later.
    pub(super) fn cut_for_room(&mut self, now: Timestamp) {
        let mut room = (self.options.workers / 16).max(1);
        let mut lanes = HashSet::new();
        for flight in self.flights.values() {
            let Some(lane) = self.lanes.get(&flight.lane) else { continue };
            let hangs = lane.standing == Standing::Failing || lane.is_suspect();
            // One that is connecting does not notice; it must not stand in the way of others for ever.
            if room > 0 && hangs && !flight.cut.is_set() && now.since(flight.began) > CUT_AFTER {
                lanes.insert(flight.lane);
                room -= 1;
            }
        }
        // The client is shared by all attempts of a lane.
        self.flights.values().filter(|flight| lanes.contains(&flight.lane)).for_each(|flight| flight.cut.for_room());
        for key in lanes {
            if let Some(agent) = self.lanes.get_mut(&key).and_then(|lane| lane.agent.take()) {
                agent.shutdown();
            }
        }
    }

    pub(super) fn cut_all(&mut self) {
        for flight in self.flights.values() {
            flight.cut.for_stop();
        }
        for lane in self.lanes.values_mut() {
            if let Some(agent) = lane.agent.take() {
                agent.shutdown();
            }
        }
    }

    /// Too many at once are dropped, and with them `done`: the caller sees that no answer comes.
    pub(super) fn test(
        &mut self,
        destination: Box<Destination>,
        payload: Arc<[u8]>,
        done: Box<dyn FnOnce(Attempt) + Send>,
    ) {
        if self.tests >= TESTS {
            return;
        }
        self.tests += 1;
        let (context, outbox) = (Arc::clone(&self.context), self.outbox.clone());
        self.workers.give(move |slot| {
            let test = || done(flight::test(&context, &destination, &payload));
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).is_err() {
                tracing::error!(destination.id = %destination.id, "a test panicked");
            }
            let _ = outbox.0.send(Message::Tested(slot));
        });
    }
}
