//! Who may send next: permits in six pools, tried in a fixed order. Within a pool the lane with the fewest attempts in
//! progress goes first. Among equals accounts take turns.

use std::collections::BTreeSet;

use crate::delivery::limits::{HANGING_EACH, HANGING_FRACTION, MIN_HANGING, RECENT_FAILING, RESERVED_FRACTION};
use crate::domain::ids::DestinationKey;

/// The pool that an attempt needs a permit of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Good lanes that usually answer at once. The real limit of these is the processor.
    Immediate,
    /// Good lanes that usually answer soon.
    Fast,
    /// Good lanes that usually take longer.
    Slow,
    /// Lanes without a success yet.
    New,
    /// Lanes that have probably stopped answering. Their attempts keep the permit until they end, so that there are
    /// few.
    Suspect,
    /// Failing lanes.
    Failing,
    /// No pool: attempts that gave their permit back.
    Free,
}

/// The pools, in the order in which they are tried.
pub const ORDER: [Pool; 6] = [Pool::Immediate, Pool::Fast, Pool::Slow, Pool::New, Pool::Suspect, Pool::Failing];

/// Permits of each pool, in the order of [`ORDER`].
const PERMITS: [usize; 6] = [128, 128, 256, 128, 128, 256];

/// Overdue attempts that a good lane may have. `hanging` is the number of overdue attempts of all lanes, and `workers`
/// the number of threads.
pub fn may_hang(hanging: usize, workers: usize) -> usize {
    ((workers / HANGING_FRACTION).saturating_sub(hanging) / HANGING_EACH).max(MIN_HANGING)
}

type Ready = BTreeSet<(usize, u64, DestinationKey)>;

/// The permits in use, and the lanes that are ready to send.
#[derive(Default)]
pub struct Pools {
    used: [usize; ORDER.len()],
    ready: [Ready; ORDER.len()],
    /// Attempts of failing lanes that count as recent.
    pub recent_failing: usize,
}

/// A lane's entry in the ready set of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The pool.
    pub pool: Pool,
    /// The lane's attempts that hold permits, or in the suspect pool the weight of its next probe.
    pub weight: usize,
    /// The lane's turn among equals.
    pub turn: u64,
}

fn index(pool: Pool) -> Option<usize> {
    ORDER.iter().position(|of| *of == pool)
}

impl Pools {
    /// Adds a lane to the ready set of its pool.
    pub fn enter(&mut self, lane: DestinationKey, entry: Entry) {
        if let Some(at) = index(entry.pool) {
            self.ready[at].insert((entry.weight, entry.turn, lane));
        }
    }

    /// Removes a lane from the ready set of its pool.
    pub fn leave(&mut self, lane: DestinationKey, entry: Entry) {
        if let Some(at) = index(entry.pool) {
            self.ready[at].remove(&(entry.weight, entry.turn, lane));
        }
    }

    /// Number of immediate lanes that are ready.
    pub fn busy_immediate(&self) -> usize {
        self.ready[0].len()
    }

    /// The lane that sends next and its pool, while `flying` of `workers` threads are busy. `processors_free` says
    /// whether the lane's attempt would find a processor. A pool whose first lane finds none is skipped.
    pub fn next(
        &self,
        busy: usize,
        workers: usize,
        processors_free: impl Fn(Pool, DestinationKey) -> bool,
    ) -> Option<(DestinationKey, Pool)> {
        let kept = workers / RESERVED_FRACTION;
        ORDER.iter().enumerate().find_map(|(at, pool)| {
            let free = PERMITS[at].saturating_sub(self.used[at]);
            let keeps = matches!(pool, Pool::Slow | Pool::Suspect | Pool::Failing);
            if free == 0 || busy + if keeps { kept } else { 0 } >= workers {
                return None;
            }
            if *pool == Pool::Failing && self.recent_failing >= RECENT_FAILING {
                return None;
            }
            let (weight, _, lane) = self.ready[at].first()?;
            // A lane gets a further permit only while enough are left for others.
            (*weight < 1 + free / 2 && processors_free(*pool, *lane)).then_some((*lane, *pool))
        })
    }

    /// Whether lanes that are not known to fail wait for a thread, and not for a processor.
    pub fn good_wait(&self, processors_free: impl Fn(Pool, DestinationKey) -> bool) -> bool {
        [Pool::Immediate, Pool::Fast, Pool::New].into_iter().any(|pool| {
            let Some(at) = index(pool) else { return false };
            let first = self.ready[at].first().filter(|_| self.used[at] < PERMITS[at]);
            first.is_some_and(|(_, _, lane)| processors_free(pool, *lane))
        })
    }

    /// Takes a permit.
    pub fn take(&mut self, pool: Pool) {
        if let Some(at) = index(pool) {
            self.used[at] += 1;
        }
    }

    /// Gives a permit back.
    pub fn give(&mut self, pool: Pool) {
        if let Some(at) = index(pool) {
            self.used[at] = self.used[at].saturating_sub(1);
        }
    }

    /// Permits of a pool that are in use.
    #[cfg(test)]
    pub fn used(&self, pool: Pool) -> usize {
        index(pool).map_or(0, |at| self.used[at])
    }

    /// Number of lanes that are ready.
    #[cfg(test)]
    pub fn ready(&self) -> usize {
        self.ready.iter().map(Ready::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pool: Pool, weight: usize) -> Entry {
        Entry { pool, weight, turn: 0 }
    }

    #[test]
    fn fast_lanes_go_before_failing_ones_and_the_idlest_first() {
        let mut pools = Pools::default();
        pools.enter(DestinationKey(1), entry(Pool::Failing, 0));
        pools.enter(DestinationKey(2), entry(Pool::Fast, 3));
        pools.enter(DestinationKey(3), entry(Pool::Fast, 1));
        assert_eq!(pools.next(0, 64, |_, _| true), Some((DestinationKey(3), Pool::Fast)));
        pools.leave(DestinationKey(3), entry(Pool::Fast, 1));
        pools.leave(DestinationKey(2), entry(Pool::Fast, 3));
        assert_eq!(pools.next(0, 64, |_, _| true), Some((DestinationKey(1), Pool::Failing)));
    }

    #[test]
    fn a_lane_takes_more_than_one_permit_only_while_half_are_left_for_others() {
        let mut pools = Pools::default();
        pools.enter(DestinationKey(1), entry(Pool::Fast, 20));
        assert!(pools.next(0, 1_024, |_, _| true).is_some());
        (0..100).for_each(|_| pools.take(Pool::Fast));
        assert_eq!(pools.next(100, 1_024, |_, _| true), None);
        pools.enter(DestinationKey(2), entry(Pool::Fast, 0));
        assert_eq!(pools.next(100, 1_024, |_, _| true), Some((DestinationKey(2), Pool::Fast)));
    }

    #[test]
    fn the_last_threads_are_kept_for_fast_and_new_lanes() {
        let mut pools = Pools::default();
        pools.enter(DestinationKey(1), entry(Pool::Failing, 0));
        assert_eq!(pools.next(56, 64, |_, _| true), None);
        pools.enter(DestinationKey(2), entry(Pool::New, 0));
        assert_eq!(pools.next(56, 64, |_, _| true), Some((DestinationKey(2), Pool::New)));
        assert_eq!(pools.next(64, 64, |_, _| true), None);
    }

    #[test]
    fn of_suspect_lanes_those_that_weigh_most_leave_permits_to_the_others() {
        let mut pools = Pools::default();
        pools.enter(DestinationKey(1), entry(Pool::Suspect, 24));
        assert!(pools.next(0, 1_024, |_, _| true).is_some());
        (0..100).for_each(|_| pools.take(Pool::Suspect));
        assert_eq!(pools.next(100, 1_024, |_, _| true), None);
        pools.enter(DestinationKey(2), entry(Pool::Suspect, 0));
        assert_eq!(pools.next(100, 1_024, |_, _| true), Some((DestinationKey(2), Pool::Suspect)));
    }

    #[test]
    fn the_more_hangs_in_all_the_less_may_hang_of_one_lane() {
        assert_eq!(may_hang(0, 1_024), 128);
        assert_eq!(may_hang(30, 1_024), 120, "more than any destination may have at once");
        assert_eq!(may_hang(400, 1_024), 28);
        assert_eq!((may_hang(600, 1_024), may_hang(0, 16)), (MIN_HANGING, MIN_HANGING));
    }

    #[test]
    fn brisk_lanes_go_first_and_where_no_processor_is_free_hold_up_no_others() {
        let mut pools = Pools::default();
        pools.enter(DestinationKey(1), entry(Pool::Fast, 0));
        pools.enter(DestinationKey(2), entry(Pool::Immediate, 1));
        pools.enter(DestinationKey(3), entry(Pool::Immediate, 0));
        assert_eq!(pools.busy_immediate(), 2);
        assert_eq!(pools.next(0, 64, |_, _| true), Some((DestinationKey(3), Pool::Immediate)));
        assert_eq!(pools.next(0, 64, |pool, _| pool != Pool::Immediate), Some((DestinationKey(1), Pool::Fast)));
    }
}
