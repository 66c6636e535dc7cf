//! What an overview of the server shows: the backlog, how long attempts take, and counts that stop at a bound.

use std::time::Duration;

use super::time::Timestamp;

/// What still waits to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are pending.
    pub pending: u64,
    /// When the event of the oldest pending delivery was received. `None` if nothing is pending.
    pub oldest: Option<Timestamp>,
}

/// How long attempts took, and how many of them failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Number of attempts that these figures are made of.
    pub attempts: u64,
    /// Half of the attempts took at most this long.
    pub p50: Duration,
    /// 99 of 100 attempts took at most this long.
    pub p99: Duration,
    /// Attempts that failed.
    pub failed: u64,
}

impl Latency {
    /// The figures of `attempts`: how long each took, and whether it failed. `None` if there are none.
    pub fn of(mut attempts: Vec<(Duration, bool)>) -> Option<Self> {
        attempts.sort_unstable();
        // The nearest rank: the shortest duration that at least this share of the attempts did not exceed.
        let quantile = |percent: usize| {
            let rank = (attempts.len() * percent).div_ceil(100);
            attempts.get(rank.checked_sub(1)?).map(|(took, _)| *took)
        };
        Some(Self {
            p50: quantile(50)?,
            p99: quantile(99)?,
            failed: attempts.iter().filter(|(_, failed)| *failed).count() as u64,
            attempts: attempts.len() as u64,
        })
    }
}

/// What a server has so far. A guide for a new server shows the first step that is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// There is an account.
    pub has_account: bool,
    /// There is a destination.
    pub has_destination: bool,
    /// A delivery has succeeded.
    pub has_delivered: bool,
}

/// A count that stops at a bound, so that it costs the same whatever the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtMost {
    /// How many were counted.
    pub count: u64,
    /// Whether there are more than were counted.
    pub is_more: bool,
}

impl AtMost {
    /// A count of `found`, of which no more than `bound` are counted.
    pub fn of(found: u64, bound: u64) -> Self {
        Self { count: found.min(bound), is_more: found > bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(each: impl IntoIterator<Item = u64>) -> Vec<(Duration, bool)> {
        each.into_iter().map(|millis| (Duration::from_millis(millis), millis % 10 == 0)).collect()
    }

    #[test]
    fn quantiles_are_durations_that_occurred() {
        let of = |each: Vec<(Duration, bool)>| {
            Latency::of(each).map(|found| (found.attempts, found.p50.as_millis(), found.p99.as_millis(), found.failed))
        };
        assert_eq!(of(millis([])), None);
        assert_eq!(of(millis([7])), Some((1, 7, 7, 0)));
        assert_eq!(of(millis([9, 1])), Some((2, 1, 9, 0)));
        assert_eq!(of(millis((1..=100).rev())), Some((100, 50, 99, 10)));
        assert_eq!(of(millis(1..=1_000)), Some((1_000, 500, 990, 100)));
    }

    #[test]
    fn a_count_at_its_bound_is_whole() {
        assert_eq!(AtMost::of(9, 10), AtMost { count: 9, is_more: false });
        assert_eq!(AtMost::of(10, 10), AtMost { count: 10, is_more: false });
        assert_eq!(AtMost::of(11, 10), AtMost { count: 10, is_more: true });
    }
}
