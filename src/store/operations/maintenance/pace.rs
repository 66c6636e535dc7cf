//! How much background work fits into one write request, and how long to wait after it.

use std::time::Duration;

/// Time until the next turn of a loop that found nothing to do.
pub const IDLE: Duration = Duration::from_secs(2);

/// Time on the write thread that one write request of background work is sized for. Callers who send events wait that
/// long. Retention ends a write request only after twice the time that the request was sized for.
pub const STEP_TIME: Duration = Duration::from_millis(3);

/// Returns how long to wait after a write request that took `took`: three times as long, and at least 1 ms. So three
/// quarters of the write thread's time stay for others.
pub fn after(took: Duration) -> Duration {
    (3 * took).max(Duration::from_millis(1))
}

/// Fewest items of one write request, whatever was measured: one slow measurement must not stop the work.
const MIN_ITEMS: usize = 256;
/// Most items of one write request, whatever was measured.
const MAX_ITEMS: usize = 16_384;
const _: () = assert!(MIN_ITEMS <= MAX_ITEMS, "items are clamped between them");

/// Estimate of the time for one item before anything was measured.
const AT_FIRST: Duration = Duration::from_micros(20);

/// How long one item takes, as a moving average with a weight of 1/4 for the newest value.
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
    /// Returns how many items fit into `time`.
    pub fn fit(&self, time: Duration) -> usize {
        let fit = time.as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(fit).unwrap_or(MAX_ITEMS).clamp(MIN_ITEMS, MAX_ITEMS)
    }

    /// Adds a measurement: `items` items took `time`. Zero items change nothing.
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
