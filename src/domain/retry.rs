//! When a delivery is tried again: the schedule, its jitter, and the limits of `Retry-After`.

use std::time::Duration;

use super::duration;
use super::time::Timestamp;

/// Longest wait that `Retry-After` can ask for. Longer waits are shortened to this.
pub const MAX_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Fraction of a delay by which jitter may lengthen or shorten it.
const JITTER: f64 = 0.2;

/// Most delays of a schedule.
pub const MAX_DELAYS: usize = 30;

/// Longest single delay of a schedule.
pub const MAX_DELAY: Duration = Duration::from_secs(30 * 86_400);

/// A number from -1 to 1, drawn by the caller. So what follows an attempt depends only on arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No jitter: exactly on schedule.
    pub const NONE: Self = Self(0.0);

    /// From a number that is evenly distributed from 0 to 1.
    pub fn from_unit(unit: f64) -> Self {
        Self((unit * 2.0 - 1.0).clamp(-1.0, 1.0))
    }

    /// `duration`, longer or shorter by at most a fifth.
    pub fn apply(self, duration: Duration) -> Duration {
        duration.mul_f64(1.0 + JITTER * self.0)
    }
}

/// Delays after the first, second, … failed attempt. When all are used up, the delivery is exhausted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

impl RetrySchedule {
    /// Accepts at most [`MAX_DELAYS`] delays of at most [`MAX_DELAY`]. Without delays there is only one attempt.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn new(delays: Vec<Duration>) -> Result<Self, String> {
        if delays.len() > MAX_DELAYS {
            return Err(format!("must have at most {MAX_DELAYS} delays"));
        }
        if delays.iter().any(|delay| *delay > MAX_DELAY) {
            return Err("must have no delay over 30d".to_owned());
        }
        Ok(Self(delays))
    }

    /// Reads delays that are separated by commas, such as `5s,5m,30m`. An empty text has none.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Self::new(Vec::new());
        }
        Self::new(text.split(',').map(|delay| duration::parse(delay.trim())).collect::<Result<_, _>>()?)
    }

    /// The delays in order.
    pub fn delays(&self) -> &[Duration] {
        &self.0
    }

    /// Delay after the failure number `step` (0 is the first attempt). `None` when the schedule is used up.
    pub fn delay(&self, step: u32, jitter: Jitter) -> Option<Duration> {
        self.0.get(step as usize).map(|delay| jitter.apply(*delay))
    }
}

impl Default for RetrySchedule {
    /// `5s,5m,30m,2h,5h,10h,14h,20h,24h`: ten attempts over about three days.
    fn default() -> Self {
        Self([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map(Duration::from_secs).to_vec())
    }
}

impl std::fmt::Display for RetrySchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(|delay| duration::format(*delay)).collect::<Vec<_>>().join(","))
    }
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds or an HTTP date. The wait is at most [`MAX_HOLD`]. `None` where the
/// value is neither.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // A number with more digits than a u64 holds is valid too, and over the limit.
        value.parse().map_or(MAX_HOLD, Duration::from_secs)
    } else {
        let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Timestamp::from_millis(i64::try_from(at.as_millis()).ok()?).since(now)
    };
    Some(wait.min(MAX_HOLD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_schedule_is_as_designed() {
        assert_eq!(RetrySchedule::default().to_string(), "5s,5m,30m,2h,5h,10h,14h,20h,1d");
    }

    #[test]
    fn a_schedule_that_is_used_up_has_no_next_delay() {
        let schedule = RetrySchedule::parse("1s, 2s").unwrap();
        assert_eq!(schedule.delay(1, Jitter::NONE), Some(Duration::from_secs(2)));
        assert_eq!(schedule.delay(2, Jitter::NONE), None);
        assert_eq!(RetrySchedule::parse("").unwrap().delay(0, Jitter::NONE), None);
    }

    #[test]
    fn schedules_out_of_bounds_are_refused() {
        assert!(RetrySchedule::parse("1s,,2s").is_err() && RetrySchedule::parse("31d").is_err());
        assert!(RetrySchedule::parse(&["1s"; 31].join(",")).is_err());
    }

    #[test]
    fn retry_after_reads_seconds_and_dates_and_ignores_nonsense() {
        let now = Timestamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999999999999999", now), Some(MAX_HOLD));
        assert_eq!(retry_after("Fri, 31 Dec 2100 00:00:00 GMT", now), Some(MAX_HOLD));
        for nonsense in ["", "soon", "-5", "1.5", "5s", "+3"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn jitter_moves_a_delay_by_at_most_a_fifth(unit in 0.0f64..=1.0, millis in 1u64..100_000_000) {
            let moved = Jitter::from_unit(unit).apply(Duration::from_millis(millis)).as_secs_f64() * 1000.0;
            prop_assert!(moved >= millis as f64 * 0.799_999 && moved <= millis as f64 * 1.200_001);
        }
    }
}
