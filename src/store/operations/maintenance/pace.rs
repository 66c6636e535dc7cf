//! How much fits into a step of a given time.

use std::time::Duration;

/// Until the next turn where there was nothing to do.
pub const IDLE: Duration = Duration::from_secs(2);

/// A step on the write thread may take so long: whoever sends in meanwhile waits for it.
pub const STEP_TIME: Duration = Duration::from_millis(3);

/// How long to wait after a step that took so long: three quarters of the write thread's time stay for others.
pub fn after(took: Duration) -> Duration {
    (3 * took).max(Duration::from_millis(1))
}

/// Fewest and most items of a step, whatever was measured.
const MIN_ITEMS: usize = 256;
const MAX_ITEMS: usize = 16_384;

/// What an item is taken for before any was measured.
const AT_FIRST: Duration = Duration::from_micros(20);

/// How long an item takes (moving average, 1/4).
#[derive(Debug)]
pub struct Pace {
    each: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { each: AT_FIRST }
    }
}

impl Pace {
    /// Items that fit into `time`.
    pub fn fit(&self, time: Duration) -> usize {
        let fit = time.as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(fit).unwrap_or(MAX_ITEMS).clamp(MIN_ITEMS, MAX_ITEMS)
    }

    /// So many took so long.
    pub fn observe(&mut self, items: usize, time: Duration) {
        if let Some(each) = u32::try_from(items).ok().and_then(|items| time.checked_div(items)) {
            self.each = (self.each * 3 + each) / 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_as_large_as_their_time_allows() {
        let mut pace = Pace::default();
        let time = Duration::from_millis(3);
        assert_eq!(pace.fit(2 * time), 300);
        (0..50).for_each(|_| pace.observe(1_000, Duration::from_millis(2)));
        assert!((1_450..=1_500).contains(&pace.fit(time)), "{}", pace.fit(time));
        pace.observe(0, Duration::from_secs(1));
        assert!(pace.fit(time) > 1_400, "nothing was done");
        (0..50).for_each(|_| pace.observe(1, Duration::from_secs(1)));
        assert_eq!(pace.fit(time), MIN_ITEMS);
        (0..200).for_each(|_| pace.observe(1_000_000, Duration::ZERO));
        assert_eq!(pace.fit(time), MAX_ITEMS);
    }
}
