//! Figures of attempts: the share of successes, and how long attempts take.

use super::{time, words};
use crate::domain::overview::Latency;

/// Share of attempts that succeeded.
pub fn success(succeeded: u64, failed: u64) -> String {
    let all = succeeded + failed;
    if all == 0 {
        return "–".to_owned();
    }
    let percent = succeeded as f64 * 100.0 / all as f64;
    // Rounding must not hide that something failed.
    let percent = if failed > 0 { percent.min(99.9) } else { percent };
    format!("{percent:.1} %")
}

/// Median, 99th percentile, and over how many attempts.
pub fn latency(latency: Latency) -> (String, String, String) {
    (time::short(latency.p50), time::short(latency.p99), words::count(latency.attempts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_never_rounded_away() {
        assert_eq!(success(0, 0), "–");
        assert_eq!(success(10, 0), "100.0 %");
        assert_eq!(success(1_000_000, 1), "99.9 %");
        assert_eq!(success(0, 3), "0.0 %");
    }
}
