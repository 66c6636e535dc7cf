//! How many outcomes a transaction takes beside steps, whose callers wait for all of it. Where a large backlog is
//! drained, its outcomes lie all over the file, and one may take as long as several steps.

use std::time::{Duration, Instant};

/// Most outcomes of one transaction.
pub const MOST: usize = 512;

/// And fewest, where as many wait: also of those that others go before.
pub const LEAST: usize = 16;

/// Outcomes beside the steps of a crowd may take so long, not counting the commit, which then takes longer as well.
const BESIDE_CROWD: Duration = Duration::from_micros(320);

/// And beside the steps of a few.
const BESIDE_FEW: Duration = Duration::from_micros(1_500);

/// So many steps in one transaction are of a crowd.
const CROWD: usize = 8;

/// Steps that came in the last moment are likely to be followed by others.
const MOMENT: Duration = Duration::from_millis(50);

/// What the last transactions were like.
#[derive(Debug, Default)]
pub struct Beside {
    /// When one last had steps, and how many.
    stepped: Option<(Instant, usize)>,
    /// Deliveries that its steps made.
    made: usize,
    /// How long an outcome takes (moving average, 1/8).
    each: Duration,
}

impl Beside {
    /// Outcomes for which the next transaction has the time.
    pub fn outcomes(&self, now: Instant) -> usize {
        let time = match self.lately(now) {
            None => return MOST,
            Some(steps) if steps < CROWD => BESIDE_FEW,
            Some(_) => BESIDE_CROWD,
        };
        let in_time = time.as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(in_time).unwrap_or(MOST).clamp(LEAST, MOST)
    }

    /// Deliveries that the last transaction with steps made. So many outcomes the next one takes in any case: else a backlog
    /// would grow for no other reason.
    pub fn made_last(&self) -> usize {
        self.made
    }

    /// Whether a crowd was answered just now, and is likely to come again.
    pub fn is_crowded(&self, now: Instant) -> bool {
        self.lately(now).is_some_and(|steps| steps >= CROWD)
    }

    fn lately(&self, now: Instant) -> Option<usize> {
        self.stepped.filter(|(at, _)| now.duration_since(*at) < MOMENT).map(|(_, steps)| steps)
    }

    /// A transaction with so many steps begins.
    pub fn steps_begin(&mut self, now: Instant, steps: usize) {
        self.stepped = Some((now, steps));
    }

    /// The last transaction with steps made so many deliveries.
    pub fn made(&mut self, deliveries: usize) {
        self.made = deliveries;
    }

    /// So many outcomes took so long.
    pub fn took(&mut self, outcomes: usize, time: Duration) {
        if let Some(each) = u32::try_from(outcomes).ok().and_then(|outcomes| time.checked_div(outcomes)) {
            self.each = (self.each * 7 + each) / 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_steps_there_are_as_many_as_fit() {
        let (mut beside, now) = (Beside::default(), Instant::now());
        (0..100).for_each(|_| beside.took(10, Duration::from_micros(100)));
        assert_eq!(beside.outcomes(now), MOST, "nobody waits");
        beside.steps_begin(now, CROWD - 1);
        let fit = beside.outcomes(now);
        assert!((150..=155).contains(&fit), "{fit} of 10 µs in 1.5 ms");
        beside.steps_begin(now, CROWD);
        let fit = beside.outcomes(now);
        assert!((32..=33).contains(&fit), "{fit} of 10 µs in 0.32 ms");
        assert_eq!(beside.outcomes(now + MOMENT), MOST, "nobody waits any more");
    }

    #[test]
    fn some_are_taken_however_long_they_take() {
        let (mut beside, now) = (Beside::default(), Instant::now());
        beside.took(0, Duration::from_secs(1));
        beside.took(1, Duration::from_secs(1));
        beside.steps_begin(now, CROWD);
        assert_eq!(beside.outcomes(now), LEAST);
        assert!(beside.is_crowded(now) && !beside.is_crowded(now + MOMENT));
    }
}
