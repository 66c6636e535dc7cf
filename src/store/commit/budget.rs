//! How many outcomes a transaction takes beside write requests, whose callers wait for all of it. Where a large backlog is
//! drained, outcomes touch pages all over the file, and one may take as long as several write requests.

use std::time::{Duration, Instant};

use super::limits::{
    GROUP_MIN, MAX_OUTCOMES, MIN_OUTCOMES, OUTCOME_TIME_BESIDE_FEW, OUTCOME_TIME_BESIDE_GROUP, RECENT,
};

/// What the last transactions were like.
#[derive(Debug, Default)]
pub struct OutcomeBudget {
    /// When one last had steps, and how many.
    last_requests: Option<(Instant, usize)>,
    /// Deliveries that its steps made.
    created_last: usize,
    /// How long an outcome takes (moving average, 1/8).
    cost_ewma: Duration,
}

impl OutcomeBudget {
    /// Outcomes for which the next transaction has the time.
    pub fn limit(&self, now: Instant) -> usize {
        let time = match self.recent_requests(now) {
            None => return MAX_OUTCOMES,
            Some(requests) if requests < GROUP_MIN => OUTCOME_TIME_BESIDE_FEW,
            Some(_) => OUTCOME_TIME_BESIDE_GROUP,
        };
        let in_time = time.as_nanos() / self.cost_ewma.as_nanos().max(1);
        usize::try_from(in_time).unwrap_or(MAX_OUTCOMES).clamp(MIN_OUTCOMES, MAX_OUTCOMES)
    }

    /// Deliveries that the last transaction with steps made. So many outcomes the next one takes in any case: else a backlog
    /// would grow for no other reason.
    pub fn created_last(&self) -> usize {
        self.created_last
    }

    /// Whether a crowd was answered just now, and is likely to come again.
    pub fn has_group(&self, now: Instant) -> bool {
        self.recent_requests(now).is_some_and(|requests| requests >= GROUP_MIN)
    }

    fn recent_requests(&self, now: Instant) -> Option<usize> {
        self.last_requests.filter(|(at, _)| now.duration_since(*at) < RECENT).map(|(_, requests)| requests)
    }

    /// A transaction with so many steps begins.
    pub fn requests_begin(&mut self, now: Instant, requests: usize) {
        self.last_requests = Some((now, requests));
    }

    /// The last transaction with steps made so many deliveries.
    pub fn deliveries_created(&mut self, deliveries: usize) {
        self.created_last = deliveries;
    }

    /// So many outcomes took so long.
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
