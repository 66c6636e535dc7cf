//! Sums of the tallies over all destinations, by beginning of the bucket. With many destinations a month has hundreds of
//! thousands of tallies, and the overview shows their sums each time it is read. Only what nobody writes to any more is
//! kept: buckets that begin some minutes before the newest. If such a bucket is changed later nevertheless, the sums
//! from there on are dropped.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::stats::{Counts, HOUR, MINUTE};

/// Buckets that begin so long before the newest are not expected to change.
const SETTLED: i64 = 2 * MINUTE;

/// Buckets that begin longer before the newest are not kept: somewhat more than the longest window of a page.
const KEPT: i64 = 32 * 24 * HOUR;

/// A read also reads this much that it does not want, to keep what is known in one piece. When minutes are merged into
/// hours, a day of the sums is dropped.
const GAP: i64 = 25 * HOUR;

/// The sums that are known.
#[derive(Default)]
pub struct TallySums(Mutex<State>);

struct State {
    sums: BTreeMap<i64, Counts>,
    /// The sums of all buckets that begin in this range are known.
    covers: Range<i64>,
    /// The latest beginning of a bucket so far.
    newest: i64,
    /// What the open transaction changes begins here; `i64::MAX` if it changes nothing.
    changing: i64,
    /// Counts beginnings and ends of transactions that change a settled bucket. A read during which this number changed
    /// may have seen the file before or after the change, so nothing is kept of it.
    late: u64,
}

impl Default for State {
    fn default() -> Self {
        Self { sums: BTreeMap::new(), covers: 0..0, newest: i64::MIN, changing: i64::MAX, late: 0 }
    }
}

impl State {
    fn settled_before(&self) -> i64 {
        self.newest.saturating_sub(SETTLED)
    }
}

/// The beginning of a read, before its snapshot of the file.
pub struct Began {
    late: u64,
    /// Changes before this time are counted as late from here on.
    settled_before: i64,
}

/// What is known of the buckets that a read wants.
pub struct Known {
    /// The sums of all buckets that are wanted and begin in this range are in `sums`. May be empty.
    pub covers: Range<i64>,
    /// Sums by beginning of the bucket.
    pub sums: BTreeMap<i64, Counts>,
}

impl TallySums {
    /// The write thread calls this before it changes buckets that begin at `start` or later.
    pub fn change(&self, start: i64) {
        let mut state = self.state();
        state.newest = state.newest.max(start);
        state.changing = state.changing.min(start);
        if start <= state.settled_before() {
            state.late += 1;
        }
        if start < state.covers.end {
            state.sums.split_off(&start);
            state.covers.end = start.max(state.covers.start);
        }
    }

    /// The write thread calls this once its transaction is over, committed or not.
    pub fn over(&self) {
        let mut state = self.state();
        if state.changing <= state.settled_before() {
            state.late += 1;
        }
        state.changing = i64::MAX;
    }

    /// A read begins. Must be called before the read's snapshot of the file is taken.
    pub fn begin(&self) -> Began {
        let state = self.state();
        Began { late: state.late, settled_before: state.settled_before() }
    }

    /// What is known of the buckets in `wanted`: nothing, if that may differ from the read's snapshot of the file.
    pub fn known(&self, began: &Began, wanted: &Range<i64>) -> Known {
        let state = self.state();
        let covers = state.covers.clone();
        let is_near = wanted.end > covers.start && wanted.start <= covers.end.saturating_add(GAP);
        if state.late != began.late || covers.is_empty() || !is_near {
            return Known { covers: 0..0, sums: BTreeMap::new() };
        }
        let inside = wanted.start.max(covers.start)..wanted.end.min(covers.end);
        let mut sums = BTreeMap::new();
        if !inside.is_empty() {
            sums.extend(state.sums.range(inside).map(|(start, counts)| (*start, *counts)));
        }
        Known { covers, sums }
    }

    /// Keeps what a read found: the sums of all buckets that begin in `range`. `newest` is the latest beginning of a
    /// bucket in the file.
    pub fn learn(&self, began: &Began, range: &Range<i64>, sums: &BTreeMap<i64, Counts>, newest: i64) {
        let mut state = self.state();
        state.newest = state.newest.max(newest);
        let oldest = state.newest.saturating_sub(KEPT);
        let range = range.start.max(oldest)..range.end.min(began.settled_before).min(state.changing);
        let known = state.covers.clone();
        let is_before = range.end < known.start;
        if state.late != began.late || range.is_empty() || (is_before && !known.is_empty()) {
            return;
        }
        let joins = !known.is_empty() && range.start <= known.end;
        if !joins {
            state.sums.clear();
        }
        state.sums.extend(sums.range(range.clone()).map(|(start, counts)| (*start, *counts)));
        let whole = if joins { range.start.min(known.start)..range.end.max(known.end) } else { range };
        state.covers = whole.start.max(oldest)..whole.end;
        state.sums = state.sums.split_off(&oldest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(range: Range<i64>) -> Range<i64> {
        range.start * MINUTE..range.end * MINUTE
    }

    impl TallySums {
        /// Ends a read of a file whose newest bucket is that of the minute before the end of `range`.
        fn learn_minutes(&self, began: &Began, range: Range<i64>) {
            let one = Counts { accepted: 1, ..Counts::default() };
            let sums = range.clone().map(|minute| (minute * MINUTE, one)).collect();
            self.learn(began, &minutes(range.clone()), &sums, (range.end - 1) * MINUTE);
        }

        /// The minutes that are covered, and how many of them have a sum.
        fn covered(&self) -> (Range<i64>, usize) {
            let known = self.known(&self.begin(), &minutes(0..1_000_000));
            (known.covers.start / MINUTE..known.covers.end / MINUTE, known.sums.len())
        }
    }

    #[test]
    fn what_may_still_change_is_not_kept() {
        let tallies = TallySums::default();
        // Which buckets may change is not known before the first read.
        tallies.learn_minutes(&tallies.begin(), 0..11);
        assert_eq!(tallies.covered(), (0..0, 0));
        tallies.learn_minutes(&tallies.begin(), 0..11);
        assert_eq!(tallies.covered(), (0..8, 8));
        tallies.change(11 * MINUTE);
        assert_eq!(tallies.covered(), (0..8, 8));
        tallies.over();
        assert_eq!(tallies.known(&tallies.begin(), &minutes(5..20)).sums.len(), 3);
        tallies.learn_minutes(&tallies.begin(), 8..12);
        assert_eq!(tallies.covered(), (0..9, 9));
    }

    #[test]
    fn a_late_change_drops_what_follows_and_what_is_being_read() {
        let tallies = TallySums::default();
        tallies.learn_minutes(&tallies.begin(), 0..20);
        tallies.learn_minutes(&tallies.begin(), 0..20);
        let before = tallies.begin();
        tallies.change(4 * MINUTE);
        assert_eq!(tallies.covered(), (0..4, 4));
        assert!(tallies.known(&before, &minutes(0..20)).covers.is_empty());
        tallies.learn_minutes(&before, 0..20);
        // This read may or may not see the change.
        let during = tallies.begin();
        tallies.learn_minutes(&during, 0..20);
        assert_eq!(tallies.covered(), (0..4, 4));
        tallies.over();
        tallies.learn_minutes(&during, 0..20);
        assert_eq!(tallies.covered(), (0..4, 4));
        tallies.learn_minutes(&tallies.begin(), 0..20);
        assert_eq!(tallies.covered(), (0..17, 17));
        tallies.change(i64::MIN);
        assert_eq!(tallies.covered(), (0..0, 0));
    }

    #[test]
    fn what_is_known_is_one_piece_of_a_month() {
        let tallies = TallySums::default();
        let read = |range: Range<i64>| {
            (0..2).for_each(|_| tallies.learn_minutes(&tallies.begin(), range.clone()));
        };
        read(0..100);
        assert_eq!(tallies.covered(), (0..97, 97));
        read(200..300);
        assert_eq!(tallies.covered(), (200..297, 97));
        // What ends before is not kept, and what is known stays.
        tallies.learn_minutes(&tallies.begin(), 0..100);
        assert_eq!(tallies.covered(), (200..297, 97));
        let month = KEPT / MINUTE;
        read(30..month + 51);
        assert_eq!(tallies.covered().0, 50..month + 48);
    }
}
