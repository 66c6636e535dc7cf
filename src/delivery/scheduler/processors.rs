//! Attempts that probably want a processor. More of them than processors can serve only slow each other down, and
//! everything else. Then each takes long, and destinations that answer at once look slow.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pools::Pool;
use crate::delivery::limits::{FAST_PER_PROCESSOR, NEW_PER_PROCESSOR, RECLAIM_AFTER};
use crate::delivery::workers::batch::{Progress, Run};
use crate::domain::time::Timestamp;

type Wanting = BTreeMap<u64, (Timestamp, Arc<Run>)>;

/// Workers that probably want a processor, by pool and by the number of their first run.
pub struct Processors {
    count: usize,
    immediate: Wanting,
    fast: Wanting,
    new: Wanting,
}

impl Processors {
    /// For a machine with `count` processors.
    pub fn new(count: usize) -> Self {
        Self { count, immediate: Wanting::new(), fast: Wanting::new(), new: Wanting::new() }
    }

    /// A worker was given run `number` of `pool`, and perhaps others after it. `first` is that run.
    pub fn given(&mut self, number: u64, pool: Pool, first: &Arc<Run>, now: Timestamp) {
        let wanting = match pool {
            Pool::Immediate => &mut self.immediate,
            Pool::Fast => &mut self.fast,
            Pool::New => &mut self.new,
            Pool::Slow | Pool::Suspect | Pool::Failing | Pool::Free => return,
        };
        wanting.insert(number, (now, Arc::clone(first)));
    }

    /// The worker with the first run `number` is done.
    pub fn ended(&mut self, number: u64) {
        for wanting in [&mut self.immediate, &mut self.fast, &mut self.new] {
            wanting.remove(&number);
        }
    }

    /// Forgets workers that have been busy for long, which probably wait for a response.
    pub fn pass(&mut self, now: Timestamp) {
        for wanting in [&mut self.immediate, &mut self.fast, &mut self.new] {
            wanting.retain(|_, (since, first)| {
                // A worker that has not begun still wants a processor.
                if since.plus(RECLAIM_AFTER) <= now && first.progress() == Progress::NotStarted {
                    *since = now;
                }
                since.plus(RECLAIM_AFTER) > now
            });
        }
    }

    /// When to call [`Processors::pass`] next.
    pub fn next_pass(&self) -> Option<Timestamp> {
        let all = [&self.immediate, &self.fast, &self.new];
        all.into_iter().flat_map(BTreeMap::values).map(|(since, _)| since.plus(RECLAIM_AFTER)).min()
    }

    /// Whether a processor is free for a lane of `pool`. `useful` is the lane's highest useful number of attempts in
    /// progress.
    pub fn are_free(&self, pool: Pool, useful: usize) -> bool {
        match pool {
            Pool::Immediate => self.immediate.len() < useful * self.count,
            Pool::Fast => self.fast.len() < FAST_PER_PROCESSOR * self.count,
            Pool::New => self.new.len() < NEW_PER_PROCESSOR * self.count,
            Pool::Slow | Pool::Suspect | Pool::Failing | Pool::Free => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::delivery::workers::job::Job;
    use crate::domain::ids::{DeliveryId, EventId};

    fn run() -> Arc<Run> {
        let job =
            Job { delivery: DeliveryId(1), event: EventId(1), retry_step: Some(0), document: None, urgent: false };
        Arc::new(Run::new(VecDeque::from([job]), None))
    }

    #[test]
    fn new_lanes_begin_a_few_at_a_time_and_those_that_wait_for_an_answer_make_room() {
        let (mut processors, now) = (Processors::new(2), Timestamp::EPOCH);
        let runs: Vec<_> = (0..16).map(|_| run()).collect();
        for (number, run) in (0..).zip(&runs) {
            assert!(processors.are_free(Pool::New, 1));
            processors.given(number, Pool::New, run, now);
        }
        assert!(!processors.are_free(Pool::New, 1));
        assert!(processors.are_free(Pool::Immediate, 1) && processors.are_free(Pool::Fast, 1), "others have their own");
        runs[3].next(now);
        let later = now.plus(RECLAIM_AFTER);
        assert_eq!(processors.next_pass(), Some(later));
        processors.pass(later);
        assert!(processors.are_free(Pool::New, 1), "one has begun long ago");
        processors.given(16, Pool::New, &run(), later);
        assert!(!processors.are_free(Pool::New, 1), "the others have not");
        processors.ended(7);
        assert!(processors.are_free(Pool::New, 1));
    }

    #[test]
    fn what_is_known_to_wait_needs_none() {
        let mut processors = Processors::new(1);
        (0..100).for_each(|number| processors.given(number, Pool::Slow, &run(), Timestamp::EPOCH));
        assert!(processors.are_free(Pool::Slow, 0) && processors.next_pass().is_none());
    }
}
