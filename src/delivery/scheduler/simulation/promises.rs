//! What a destination may rely on, checked at each attempt of the simulation: its rate, and its order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::world::Row;
use crate::domain::destination::{DeliveryOrder, Destination};
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;

/// What began and is not settled, and when attempts began lately.
#[derive(Default)]
pub struct Promises {
    /// Deliveries whose attempt began, until its outcome is in the file.
    unsettled: HashMap<DeliveryId, DestinationKey>,
    /// Attempts of the last second, for each destination with a rate, and that rate.
    begun: HashMap<DestinationKey, (Rate, VecDeque<Timestamp>)>,
}

impl Promises {
    /// An attempt begins. `rows` is what is pending in the file.
    pub fn begins(
        &mut self,
        destination: &Destination,
        delivery: DeliveryId,
        rows: &BTreeMap<DeliveryId, Row>,
        now: Timestamp,
    ) {
        if destination.fields.ordering == DeliveryOrder::Strict {
            let unsettled = self.unsettled.iter().find(|(_, of)| **of == destination.key);
            assert_eq!(unsettled, None, "{delivery} begins before an earlier attempt is settled");
            let older = rows.range(..delivery).find(|(_, row)| row.destination == destination.key);
            assert!(older.is_none(), "{delivery} begins before {older:?}");
        }
        self.unsettled.insert(delivery, destination.key);
        match destination.fields.rate_limit {
            Some(rate) => self.keeps_to(rate, destination.key, now),
            None => drop(self.begun.remove(&destination.key)),
        }
    }

    fn keeps_to(&mut self, rate: Rate, key: DestinationKey, now: Timestamp) {
        let (known, begun) = self.begun.entry(key).or_insert_with(|| (rate, VecDeque::new()));
        if *known != rate {
            (*known, *begun) = (rate, VecDeque::new());
        }
        begun.push_back(now);
        while begun.front().is_some_and(|first| now.since(*first) > Duration::from_secs(1)) {
            begun.pop_front();
        }
        let per_second = 1.0 / rate.each().as_secs_f64();
        // A bucket holds one token at least.
        let most = per_second * 1.1 + if per_second < 10.0 { 1.0 } else { 0.0 };
        assert!(begun.len() as f64 <= most, "{} in a second at {rate}", begun.len());
    }

    /// The outcome of an attempt is in the file, or will never be.
    pub fn settles(&mut self, delivery: DeliveryId) {
        self.unsettled.remove(&delivery);
    }

    /// The server was killed: what was in progress is made again. What began stays within the rate all the same.
    pub fn killed(&mut self) {
        self.unsettled.clear();
    }
}
