//! Counts in time buckets, for charts of deliveries.

use std::time::Duration;

use super::ids::{AccountId, DestinationId, DestinationKey};
use super::time::Timestamp;

/// Most buckets of one response.
pub const MAX_BUCKETS: i64 = 1_500;

/// Narrowest bucket. Counts older than a day are stored by the hour, at the beginning of the hour.
pub const MIN_BUCKET: Duration = Duration::from_secs(60);

/// Width of a fresh bucket, in milliseconds.
pub const MINUTE: i64 = 60_000;

/// Width of an old bucket, in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;

/// Destination, and beginning of the bucket in milliseconds since 1970.
pub type CountKey = (DestinationKey, i64);

/// Beginning of the minute that `at` is in, in milliseconds since 1970.
pub fn bucket_start(at: Timestamp) -> i64 {
    at.millis() - at.millis() % MINUTE
}

/// What happened in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries created by new events.
    pub accepted: u64,
    /// Deliveries that succeeded.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that became exhausted.
    pub exhausted: u64,
    /// Events whose first delivery is for this destination. The sum over all destinations is the number of events that
    /// had at least one.
    pub events: u64,
    /// Events that were not for this destination, by its event types or its filter.
    pub skipped: u64,
}

impl Counts {
    /// Adds the counts of another bucket.
    pub fn add(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.exhausted += more.exhausted;
        self.events += more.events;
        self.skipped += more.skipped;
    }
}

/// Which counts a client asks for.
#[derive(Debug, Clone)]
pub struct StatsRequest {
    /// Only counts of this account.
    pub account_id: Option<AccountId>,
    /// Only counts of this destination.
    pub destination_id: Option<DestinationId>,
    /// Beginning of the first bucket, a whole number of buckets from the beginning of 1970.
    pub since: Timestamp,
    /// End of the last bucket.
    pub until: Timestamp,
    /// Width of a bucket.
    pub bucket: Duration,
}

impl StatsRequest {
    /// The buckets of width `bucket` that cover `since` to `until`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn new(
        account_id: Option<AccountId>,
        destination_id: Option<DestinationId>,
        since: Timestamp,
        until: Timestamp,
        bucket: Duration,
    ) -> Result<Self, String> {
        if bucket < MIN_BUCKET || !bucket.as_secs().is_multiple_of(MIN_BUCKET.as_secs()) {
            return Err("a bucket must be a whole number of minutes, such as 1m, 1h or 1d".to_owned());
        }
        if until <= since {
            return Err("`until` must lie after `since`".to_owned());
        }
        let width = i64::try_from(bucket.as_millis()).unwrap_or(i64::MAX);
        // No bucket begins before the year 1, because such a time cannot be shown.
        let first = since.millis().div_euclid(width).max(-(-Timestamp::EARLIEST.millis() / width));
        let end = (until.millis() - 1).div_euclid(width) + 1;
        if end - first > MAX_BUCKETS {
            return Err(format!("the window holds over {MAX_BUCKETS} buckets; narrow it or widen the buckets"));
        }
        let (since, until) = (Timestamp::from_millis(first * width), Timestamp::from_millis(end * width));
        Ok(Self { account_id, destination_id, since, until, bucket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(since: i64, until: i64, bucket: u64) -> Result<(i64, i64), String> {
        let (since, until) = (Timestamp::from_millis(since), Timestamp::from_millis(until));
        let request = StatsRequest::new(None, None, since, until, Duration::from_secs(bucket))?;
        Ok((request.since.millis(), request.until.millis()))
    }

    #[test]
    fn the_window_is_widened_to_whole_buckets() {
        assert_eq!(window(61_000, 119_000, 60), Ok((60_000, 120_000)));
        assert_eq!(window(60_000, 120_000, 60), Ok((60_000, 120_000)));
    }

    #[test]
    fn a_window_may_begin_and_end_with_all_time() {
        let decade = 3_650 * 86_400;
        let all = StatsRequest::new(None, None, Timestamp::EARLIEST, Timestamp::LATEST, Duration::from_secs(decade));
        let (all, width) = (all.unwrap(), decade as i64 * 1000);
        assert!(all.since >= Timestamp::EARLIEST && all.since.millis() % width == 0);
        assert_eq!(all.until, Timestamp::LATEST);
        assert_eq!(window(-61_000, -1_000, 60), Ok((-120_000, 0)));
    }

    #[test]
    fn windows_and_buckets_out_of_bounds_are_refused() {
        assert!(window(0, 60_000, 30).is_err() && window(0, 60_000, 90).is_err());
        assert!(window(60_000, 60_000, 60).is_err() && window(0, 100_000_000, 60).is_err());
    }
}
