//! Points in time, in whole milliseconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC with three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 9999-12-31T23:59:59.999Z: RFC 3339 years have four digits.
const LATEST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the epoch, held within the years 1970 to 9999.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LATEST))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as `webhook-timestamp` wants them.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }

    /// This much later.
    pub fn plus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This much earlier.
    pub fn minus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this; zero if it lies after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = String;

    /// Reads RFC 3339 with any offset; finer than a millisecond is cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not an RFC 3339 time such as 2026-01-31T12:00:00Z");
        // jiff reads more (ISO 8601 basic forms, bracketed zones) than the contract's RFC 3339.
        let shape = text.as_bytes();
        if shape.len() < 20 || shape[4] != b'-' || shape[7] != b'-' || shape[13] != b':' || text.contains('[') {
            return Err(wrong());
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        let millis = time.as_millisecond();
        if (0..=LATEST).contains(&millis) { Ok(Self(millis)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_767_225_600_000).to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_767_225_600_120).to_string(), "2026-01-01T00:00:00.120Z");
    }

    #[test]
    fn rfc_3339_times_are_read_whatever_the_offset() {
        assert_eq!("2026-01-01T01:00:00+01:00".parse(), Ok(Timestamp::from_millis(1_767_225_600_000)));
        assert_eq!("2026-01-01T00:00:00.1239Z".parse(), Ok(Timestamp::from_millis(1_767_225_600_123)));
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in ["", "now", "2026-01-01", "20260101T000000Z", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
