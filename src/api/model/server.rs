//! Objects about the server itself.

use std::time::Duration;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use crate::domain::stats::Counts;
use crate::domain::time::Timestamp;

/// The server is well.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Health {
    /// Always `ok`; otherwise the status is not 200.
    pub status: String,
}

impl Health {
    /// All is well.
    pub fn ok() -> Self {
        Self { status: "ok".to_owned() }
    }
}

impl Example for Health {
    fn example() -> Self {
        Self::ok()
    }
}

/// Counts over a window of time.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Stats {
    /// Beginning of the first bucket.
    pub since: Timestamp,
    /// End of the last bucket.
    pub until: Timestamp,
    /// Width of a bucket, in seconds.
    pub bucket_seconds: u64,
    /// The buckets, earliest first; those in which nothing happened are there too.
    pub buckets: Vec<StatsBucket>,
}

/// Counts of one bucket.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct StatsBucket {
    /// Beginning of the bucket.
    pub start: Timestamp,
    /// Deliveries made by new events.
    pub accepted: u64,
    /// Deliveries that ended in success.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that ended exhausted.
    pub exhausted: u64,
}

impl Stats {
    /// The answer for a window.
    pub fn new(since: Timestamp, until: Timestamp, bucket: Duration, buckets: Vec<(Timestamp, Counts)>) -> Self {
        let buckets = buckets
            .into_iter()
            .map(|(start, counts)| StatsBucket {
                start,
                accepted: counts.accepted,
                succeeded: counts.succeeded,
                failed: counts.failed,
                exhausted: counts.exhausted,
            })
            .collect();
        Self { since, until, bucket_seconds: bucket.as_secs(), buckets }
    }
}

impl Example for StatsBucket {
    fn example() -> Self {
        let start = Timestamp::from_millis(1_767_268_800_000);
        Self { start, accepted: 120, succeeded: 118, failed: 5, exhausted: 0 }
    }
}

impl Example for Stats {
    fn example() -> Self {
        let bucket = StatsBucket::example();
        let until = Timestamp::from_millis(bucket.start.millis() + 3_600_000);
        Self { since: bucket.start, until, bucket_seconds: 3_600, buckets: vec![bucket] }
    }
}
