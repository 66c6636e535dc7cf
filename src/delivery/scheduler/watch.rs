//! Which destinations are slow now, for people. One pass over lanes and runs, which keeps only the slowest. With 20,000
//! lanes the pass takes 0.2 to 0.6 ms, so nothing that is due waits long for it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use super::Scheduler;
use super::lane::Lane;
use super::pools::Pool;
use crate::delivery::limits::SLOW;
use crate::delivery::workers::batch::Progress;
use crate::domain::ids::{AccountKey, DestinationKey};
use crate::domain::ports::{MAX_SLOW_DESTINATIONS, SlowDestination};
use crate::domain::time::Timestamp;

impl Scheduler {
    /// The slowest destinations of all accounts or of one, slowest first. At most [`MAX_SLOW_DESTINATIONS`].
    pub(super) fn slow_destinations(&self, account: Option<AccountKey>, now: Timestamp) -> Vec<SlowDestination> {
        let failing = self.oldest_failing(now);
        let mut slowest = Slowest::default();
        let of_account = |lane: &Lane| account.is_none_or(|account| lane.destination.account_key == account);
        for (key, lane) in self.lanes.iter().filter(|(_, lane)| of_account(lane)) {
            if let Some(slowness) = lane.slowness(failing.get(key).copied(), now) {
                slowest.add(slowness.rank(), *key);
            }
        }
        let entry = |key: DestinationKey| {
            let lane = self.lanes.get(&key)?;
            let slowness = lane.slowness(failing.get(&key).copied(), now)?;
            Some(SlowDestination {
                destination: key,
                usual: slowness.usual,
                in_progress: lane.in_flight,
                is_stalled: slowness.stalled.is_some(),
            })
        };
        slowest.take().into_iter().filter_map(entry).collect()
    }

    /// When the oldest attempt of each failing lane began, where that is [`SLOW`] ago or more. Looks only at runs that
    /// hold permits of the failing pool, so there are few.
    fn oldest_failing(&self, now: Timestamp) -> HashMap<DestinationKey, Timestamp> {
        let mut oldest = HashMap::new();
        for run in self.in_flight.values().filter(|run| run.pool == Pool::Failing) {
            if let Progress::Began(began) = run.run.progress()
                && now.since(began) >= SLOW
            {
                let known = oldest.entry(run.lane).or_insert(began);
                *known = began.min(*known);
            }
        }
        oldest
    }
}

/// The destinations with the highest ranks so far. Among equals the older destination counts more.
#[derive(Default)]
struct Slowest(BinaryHeap<Reverse<(Duration, Reverse<DestinationKey>)>>);

impl Slowest {
    fn add(&mut self, rank: Duration, key: DestinationKey) {
        let entry = Reverse((rank, Reverse(key)));
        if self.0.len() < MAX_SLOW_DESTINATIONS {
            self.0.push(entry);
        } else if let Some(mut lowest) = self.0.peek_mut()
            && entry < *lowest
        {
            *lowest = entry;
        }
    }

    /// The keys, highest rank first.
    fn take(self) -> Vec<DestinationKey> {
        self.0.into_sorted_vec().into_iter().map(|Reverse((_, Reverse(key)))| key).collect()
    }
}

#[cfg(test)]
mod tests;
