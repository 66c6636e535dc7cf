//! Budget for outcomes that share a transaction with write requests, whose callers wait for the whole of it. While a
//! large backlog is drained, outcomes touch pages all over the file, and one may take as long as several write
//! requests. Pure: time is an argument, and nothing here waits.

use std::time::{Duration, Instant};

use super::limits::{
    GROUP_MIN, MAX_OUTCOMES, MIN_OUTCOMES, OUTCOME_TIME_BESIDE_FEW, OUTCOME_TIME_BESIDE_GROUP, RECENT,
};

/// What the last transactions were like, and hence how many outcomes the next one has time for.
#[derive(Debug, Default)]
pub struct OutcomeBudget {
    /// When the last transaction with write requests began, and how many it had or expected.
    last_requests: Option<(Instant, usize)>,
    /// Deliveries that the write requests of the last such transaction created.
    created_last: usize,
    /// Mean time to record one outcome (moving average, weight 1/8).
    cost_ewma: Duration,
}

impl OutcomeBudget {
    /// How many outcomes the next transaction has time for.
    pub fn limit(&self, now: Instant) -> usize {
        let time = match self.recent_requests(now) {
            None => return MAX_OUTCOMES,
            Some(requests) if requests < GROUP_MIN => OUTCOME_TIME_BESIDE_FEW,
            Some(_) => OUTCOME_TIME_BESIDE_GROUP,
        };
        let in_time = time.as_nanos() / self.cost_ewma.as_nanos().max(1);
        usize::try_from(in_time).unwrap_or(MAX_OUTCOMES).clamp(MIN_OUTCOMES, MAX_OUTCOMES)
    }

    /// Deliveries that the last transaction with write requests created. The next transaction takes at least as many
    /// outcomes, up to [`MAX_OUTCOMES`]. Otherwise a backlog would grow for this reason alone.
    pub fn created_last(&self) -> usize {
        self.created_last
    }

    /// Whether a group was served less than [`RECENT`] ago, and is likely to return.
    pub fn has_group(&self, now: Instant) -> bool {
        self.recent_requests(now).is_some_and(|requests| requests >= GROUP_MIN)
    }

    fn recent_requests(&self, now: Instant) -> Option<usize> {
        self.last_requests.filter(|(at, _)| now.duration_since(*at) < RECENT).map(|(_, requests)| requests)
    }

    /// A transaction begins that has or expects this many write requests.
    pub fn requests_begin(&mut self, now: Instant, requests: usize) {
        self.last_requests = Some((now, requests));
    }

    /// The last transaction with write requests created this many deliveries.
    pub fn deliveries_created(&mut self, deliveries: usize) {
        self.created_last = deliveries;
    }

    /// Recording this many outcomes took `time`.
    pub fn observe(&mut self, outcomes: usize, time: Duration) {
        if let Some(cost) = u32::try_from(outcomes).ok().and_then(|outcomes| time.checked_div(outcomes)) {
            self.cost_ewma = (self.cost_ewma * 7 + cost) / 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_steps_there_are_as_many_as_fit() {
        let (mut budget, now) = (OutcomeBudget::default(), Instant::now());
        (0..100).for_each(|_| budget.observe(10, Duration::from_micros(100)));
        assert_eq!(budget.limit(now), MAX_OUTCOMES, "nobody waits");
        budget.requests_begin(now, GROUP_MIN - 1);
        let fit = budget.limit(now);
        assert!((150..=155).contains(&fit), "{fit} of 10 µs in 1.5 ms");
        budget.requests_begin(now, GROUP_MIN);
        let fit = budget.limit(now);
        assert!((32..=33).contains(&fit), "{fit} of 10 µs in 0.32 ms");
        assert_eq!(budget.limit(now + RECENT), MAX_OUTCOMES, "nobody waits any more");
    }

    #[test]
    fn some_are_taken_however_long_they_take() {
        let (mut budget, now) = (OutcomeBudget::default(), Instant::now());
        budget.observe(0, Duration::from_secs(1));
        budget.observe(1, Duration::from_secs(1));
        budget.requests_begin(now, GROUP_MIN);
        assert_eq!(budget.limit(now), MIN_OUTCOMES);
        assert!(budget.has_group(now) && !budget.has_group(now + RECENT));
    }
}
