//! Responses about the server itself: health and statistics.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use crate::domain::stats::{Counts, StatsRequest};
use crate::domain::time::Timestamp;

/// The server works.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Health {
    /// Always `ok`. If the server does not work, the response has another HTTP status.
    pub status: String,
}

impl Health {
    /// The response of a server that works.
    pub fn ok() -> Self {
        Self { status: "ok".to_owned() }
    }
}

impl Example for Health {
    fn example() -> Self {
        Self::ok()
    }
}

/// Counts over a time range, divided into buckets of equal length.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Stats {
    /// Start of the first bucket.
    pub since: Timestamp,
    /// End of the last bucket.
    pub until: Timestamp,
    /// Length of a bucket in seconds.
    pub bucket_seconds: u64,
    /// The buckets, earliest first. Buckets in which nothing happened are included.
    pub buckets: Vec<StatsBucket>,
}

/// Counts of one bucket, which is an interval of time.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct StatsBucket {
    /// Start of the bucket.
    pub start: Timestamp,
    /// Number of events received that had at least one destination. An event is counted at its first destination, and no
    /// longer once that destination is deleted. Null with `destination_id`.
    pub events: Option<u64>,
    /// Number of deliveries that new events created.
    pub accepted: u64,
    /// Number of deliveries that succeeded.
    pub succeeded: u64,
    /// Number of attempts that failed.
    pub failed: u64,
    /// Number of deliveries that became exhausted (all attempts of the schedule failed).
    pub exhausted: u64,
    /// Number of times that an event was not for a destination, by the destination's event types or filter.
    pub skipped: u64,
}

impl Stats {
    /// The response for `request`.
    pub fn new(request: &StatsRequest, buckets: Vec<(Timestamp, Counts)>) -> Self {
        let is_whole = request.destination_id.is_none();
        let buckets = buckets
            .into_iter()
            .map(|(start, counts)| StatsBucket {
                start,
                events: is_whole.then_some(counts.events),
                accepted: counts.accepted,
                succeeded: counts.succeeded,
                failed: counts.failed,
                exhausted: counts.exhausted,
                skipped: counts.skipped,
            })
            .collect();
        let (since, until) = (request.since, request.until);
        Self { since, until, bucket_seconds: request.bucket.as_secs(), buckets }
    }
}

impl Example for StatsBucket {
    fn example() -> Self {
        let start = Timestamp::from_millis(1_767_268_800_000);
        Self { start, events: Some(60), accepted: 120, succeeded: 118, failed: 5, exhausted: 0, skipped: 0 }
    }
}

impl Example for Stats {
    fn example() -> Self {
        let bucket = StatsBucket::example();
        let until = Timestamp::from_millis(bucket.start.millis() + 3_600_000);
        Self { since: bucket.start, until, bucket_seconds: 3_600, buckets: vec![bucket] }
    }
}
