//! What people and destinations of the simulation do: events that come, settings that change, and answers.

use std::sync::Arc;

use super::super::*;
use super::world::{Row, World};
use crate::domain::destination::{DeliveryOrder, OnExhausted, Pause, PausedReason};
use crate::domain::document::Document;
use crate::domain::ids::{AccountKey, DeliveryId, EventId};
use crate::domain::rate::Rate;
use crate::store::{Change, NewEvent};
use message::Test;

/// How a destination answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answers {
    AtOnce,
    Soon,
    Slowly,
    Fails,
    Hangs,
    Sometimes,
    /// At once but for one of 40, as where a destination collects garbage.
    MostlyAtOnce,
}

const ANSWERS: [Answers; 7] = [
    Answers::AtOnce,
    Answers::Soon,
    Answers::Slowly,
    Answers::Fails,
    Answers::Hangs,
    Answers::Sometimes,
    Answers::MostlyAtOnce,
];

/// Rates from one that is slower than anything that answers to one that holds nothing back.
const RATES: [&str; 5] = ["20/m", "3/s", "17/s", "200/s", "100000/s"];

impl World {
    /// How long the next attempt to a destination takes, in milliseconds, and whether it succeeds.
    pub(super) fn attempt(&mut self, destination: DestinationKey) -> (u64, Result<(), ()>) {
        let answers = if self.calm { Answers::AtOnce } else { self.answers[&destination] };
        let random = &mut self.random;
        match answers {
            Answers::AtOnce => (random.u64(0..=1), Ok(())),
            Answers::Soon => (random.u64(8..=30), Ok(())),
            Answers::Slowly => (random.u64(100..=400), Ok(())),
            Answers::Fails => (random.u64(0..=2), Err(())),
            Answers::Hangs => (10_000, Err(())),
            Answers::Sometimes if random.u8(0..10) == 0 => (3_000, Err(())),
            Answers::MostlyAtOnce if random.u8(0..40) == 0 => (random.u64(10..=200), Ok(())),
            Answers::MostlyAtOnce => (random.u64(0..=1), Ok(())),
            Answers::Sometimes => (random.u64(0..=3), if random.bool() { Ok(()) } else { Err(()) }),
        }
    }

    pub(super) fn new_destination(&mut self) -> Destination {
        self.next += 1;
        let key = DestinationKey(self.next as i64);
        let url = format!("http://h{}/", self.random.u8(0..8));
        let mut destination = Destination::example(key, &url);
        destination.account_key = AccountKey(self.random.i64(1..4));
        destination.fields.max_concurrency = self.random.bool().then(|| self.random.u16(1..8));
        self.set_order_and_rate(&mut destination);
        let answers = if self.quick && self.random.u8(0..10) > 0 {
            Answers::MostlyAtOnce
        } else {
            ANSWERS[self.random.usize(0..7)]
        };
        self.answers.insert(key, answers);
        if matches!(answers, Answers::AtOnce) {
            self.always_at_once.insert(key);
        }
        self.destinations.insert(key, destination.clone());
        destination
    }

    /// Gives a destination an order, a rate, and what follows when a delivery is exhausted.
    pub(super) fn set_order_and_rate(&mut self, destination: &mut Destination) {
        let (random, fields) = (&mut self.random, &mut destination.fields);
        let strict = if self.ordered { 5 } else { 2 };
        fields.ordering = if random.u8(0..6) < strict { DeliveryOrder::Strict } else { DeliveryOrder::None };
        fields.on_exhausted = if random.bool() { OnExhausted::Pause } else { OnExhausted::Continue };
        let rate = RATES[random.usize(0..RATES.len())];
        fields.rate_limit = (random.u8(0..3) == 0).then(|| Rate::parse(rate).unwrap());
    }

    pub(super) fn accept(&mut self) -> Change {
        self.next += 1;
        let id = EventId(self.next as i64);
        let payload = Document::from(vec![b'x'; self.random.usize(0..2_000)].as_slice());
        let all: Vec<_> = self.destinations.keys().copied().collect();
        let keys: Vec<_> = all.into_iter().filter(|_| self.random.u8(0..4) == 0).collect();
        let mut deliveries = Vec::new();
        for destination in keys {
            self.next += 1;
            let delivery = DeliveryId(self.next as i64);
            self.rows.insert(delivery, Row { destination, event: id, due: Timestamp::EPOCH, step: 0 });
            deliveries.push((delivery, destination));
        }
        Change::Accepted(NewEvent { id, payload, deliveries })
    }

    /// Now and then somebody tests a destination.
    pub(super) fn random_test(&mut self) -> Option<Test> {
        let key = *self.random.choice(&self.destinations.keys().copied().collect::<Vec<_>>())?;
        let destination = Box::new(self.destinations[&key].clone());
        let test = Test { destination, payload: Document::from(b"{}".as_slice()), done: Box::new(drop) };
        (self.random.u8(0..40) == 0).then_some(test)
    }

    /// Something that a client does.
    pub(super) fn act(&mut self) -> Option<Change> {
        let key = *self.random.choice(&self.destinations.keys().copied().collect::<Vec<_>>())?;
        let row = self.random.choice(&self.rows.iter().map(|(id, row)| (*id, *row)).collect::<Vec<_>>()).copied();
        let changed = |world: &Self| Change::DestinationChanged(Arc::new(world.destinations[&key].clone()));
        match self.random.u8(0..100) {
            0..3 => Some(Change::DestinationChanged(Arc::new(self.new_destination()))),
            3..5 if self.destinations.len() > 4 => {
                self.destinations.remove(&key);
                self.rows.retain(|_, row| row.destination != key);
                self.settled.retain(|_, row| row.destination != key);
                Some(Change::DestinationDeleted(key))
            }
            5..9 => {
                let pause = Pause { reason: PausedReason::Manual, at: self.now };
                self.destinations.get_mut(&key)?.pause = Some(pause);
                Some(changed(self))
            }
            9..15 => {
                self.destinations.get_mut(&key)?.pause = None;
                Some(changed(self))
            }
            15..18 => {
                let until = self.now.plus(Duration::from_millis(self.random.u64(0..2_000)));
                self.destinations.get_mut(&key)?.held_until = Some(until);
                Some(changed(self))
            }
            18..21 => {
                self.answers.insert(key, *self.random.choice(&ANSWERS)?);
                self.always_at_once.remove(&key);
                None
            }
            21..24 => {
                let settled = self.settled.iter().filter(|(_, row)| row.destination == key);
                let settled: Vec<_> = settled.map(|(delivery, row)| (*delivery, *row)).collect();
                let again: Vec<_> = settled.into_iter().filter(|_| self.random.u8(0..4) == 0).collect();
                again.into_iter().for_each(|(delivery, row)| self.open_again(delivery, row));
                Some(Change::Reopened(key))
            }
            24..28 => {
                let (delivery, row) = row?;
                self.settle(delivery);
                Some(Change::Cancelled { destination: row.destination, delivery })
            }
            28..34 => {
                let settled: Vec<_> = self.settled.iter().map(|(id, row)| (*id, *row)).collect();
                let settled = self.random.choice(&settled).copied().filter(|_| self.random.u8(0..4) == 0);
                let (delivery, row) = settled.or(row)?;
                self.open_again(delivery, row);
                Some(Change::RetryNow { destination: row.destination, delivery, event: row.event })
            }
            35..38 => {
                let mut destination = self.destinations.get(&key)?.clone();
                self.set_order_and_rate(&mut destination);
                self.destinations.insert(key, destination);
                Some(changed(self))
            }
            34 => Some(Change::Reloaded(self.destinations.values().cloned().collect())),
            _ => Some(self.accept()),
        }
    }
}
