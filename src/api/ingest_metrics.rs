//! What the data handler counts for `/metrics`. The text form is made in `app`. Events on disk are counted by the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::histogram::{Histogram, HistogramSnapshot, SERVER_MICROS};

/// Why a request to the data handler was refused: codes of problems. Other codes are counted as the last one, so that the
/// number of reasons is bounded.
const REASONS: [&str; 21] = [
    "idempotency_key_reused",
    "incomplete_body",
    "internal_error",
    "invalid_event_type",
    "invalid_idempotency_key",
    "invalid_parameter",
    "invalid_token",
    "malformed_json",
    "payload_too_large",
    "queue_full",
    "rate_limited",
    "request_timeout",
    "stopping",
    "storage_full",
    "storage_locked",
    "storage_low",
    "storage_moved",
    "storage_unavailable",
    "too_much_at_once",
    "unsupported_media_type",
    "other",
];

/// Counters of the data handler.
pub struct IngestMetrics {
    refused: [AtomicU64; REASONS.len()],
    duplicates: AtomicU64,
    expired_tokens: AtomicU64,
    answer_micros: Histogram,
}

/// The counters at one moment.
#[derive(Debug, Clone)]
pub struct IngestMetricsSnapshot {
    /// Requests that were refused, by the code of the problem.
    pub refused: Vec<(&'static str, u64)>,
    /// Repeats under an `Idempotency-Key`, which were not stored again.
    pub duplicates: u64,
    /// Requests with a token that was rotated and whose grace has ended.
    pub expired_tokens: u64,
    /// Time from the last byte of a document to the answer that it is on disk, in microseconds. Without requests that
    /// asked for a wait.
    pub answer_micros: HistogramSnapshot,
}

impl Default for IngestMetrics {
    fn default() -> Self {
        Self {
            refused: Default::default(),
            duplicates: AtomicU64::default(),
            expired_tokens: AtomicU64::default(),
            answer_micros: Histogram::new(&SERVER_MICROS),
        }
    }
}

impl IngestMetrics {
    /// Counts a refused request. `code` is that of its problem.
    pub fn refused(&self, code: &str) {
        let place = REASONS.iter().position(|reason| *reason == code).unwrap_or(REASONS.len() - 1);
        self.refused[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a repeat that was not stored again.
    pub fn duplicate(&self) {
        self.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request with an expired token.
    pub fn expired_token(&self) {
        self.expired_tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer that an event is on disk.
    pub fn answered(&self, took: Duration) {
        self.answer_micros.add_duration(took);
    }

    /// Reads all counters.
    pub fn read(&self) -> IngestMetricsSnapshot {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        IngestMetricsSnapshot {
            refused: REASONS.into_iter().zip(self.refused.iter().map(load)).collect(),
            duplicates: load(&self.duplicates),
            expired_tokens: load(&self.expired_tokens),
            answer_micros: self.answer_micros.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_no_name_is_counted_as_other() {
        let metrics = IngestMetrics::default();
        for code in ["rate_limited", "rate_limited", "brand_new", "acc_1"] {
            metrics.refused(code);
        }
        let counted: Vec<_> = metrics.read().refused.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("rate_limited", 2), ("other", 2)]);
    }
}
