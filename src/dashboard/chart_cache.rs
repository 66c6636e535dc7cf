//! Counts for the charts of the overview, kept for a moment. A month of a thousand destinations is hundreds of thousands
//! of counts, and every open overview reads them again whenever something changes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::view::chart::Window;
use crate::domain::stats::Counts;
use crate::domain::time::Timestamp;

/// Longest time that counts are kept. In the chart of a month nobody sees what a minute adds.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What is kept for each window: when it was read, and the counts.
#[derive(Default)]
pub struct ChartCache(Mutex<HashMap<&'static str, (Timestamp, Buckets)>>);

/// Counts by the beginning of their bucket.
pub type Buckets = Vec<(Timestamp, Counts)>;

/// How long the counts of a window are kept: a sixtieth of a bucket, so that the chart looks the same.
fn age(window: Window) -> Duration {
    (window.bucket / 60).min(MAX_AGE)
}

impl ChartCache {
    /// The counts of a window, if they are young enough at `now`. A clock that was set back makes nothing young.
    pub fn find(&self, window: Window, now: Timestamp) -> Option<Buckets> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, buckets) = kept.get(window.key)?;
        (*read <= now && now.since(*read) < age(window)).then(|| buckets.clone())
    }

    /// Keeps what was read at `now`.
    pub fn keep(&self, window: Window, now: Timestamp, buckets: &Buckets) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(window.key, (now, buckets.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::view::chart::WINDOWS;

    #[test]
    fn counts_are_kept_for_a_moment_and_for_their_window_only() {
        let (cache, at) = (ChartCache::default(), |millis: i64| Timestamp::from_millis(1_000_000 + millis));
        let [hour, day, week, _] = WINDOWS;
        cache.keep(hour, at(0), &Vec::new());
        assert!(cache.find(hour, at(999)).is_some() && cache.find(hour, at(1_000)).is_none());
        assert!(cache.find(hour, at(-1)).is_none() && cache.find(day, at(0)).is_none());
        cache.keep(week, at(0), &Vec::new());
        assert!(cache.find(week, at(59_999)).is_some() && cache.find(week, at(60_000)).is_none());
    }
}
