//! Points in time, in whole milliseconds. No clock is read here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use jiff::fmt::temporal::Pieces;

use crate::error::beginning;

/// Milliseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC with three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The epoch on the calendar. jiff's own `Timestamp` ends a day before the end of the year 9999; its calendar does not.
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// 0001-01-01T00:00:00Z. Years of RFC 3339 have four digits, and many clients know no year 0.
    pub const EARLIEST: Self = Self(-62_135_596_800_000);

    /// 9999-12-31T23:59:59.999Z.
    pub const LATEST: Self = Self(253_402_300_799_999);

    /// From milliseconds since the epoch, limited to the years 1 to 9999.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::EARLIEST.0, Self::LATEST.0))
    }

    /// Milliseconds since the epoch. Negative before the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as `webhook-timestamp` needs them.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }

    /// This time plus `by`.
    pub fn plus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time minus `by`.
    pub fn minus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this time. Zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = EPOCH.checked_add(SignedDuration::from_millis(self.0)).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}Z")
    }
}

impl FromStr for Timestamp {
    type Err = String;

    /// Reads RFC 3339 with any offset and at most nine decimals. Digits below a millisecond are dropped. In UTC the time
    /// must be in the years 1 to 9999.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{}` is not an RFC 3339 time such as 2026-01-31T12:00:00Z", beginning(text));
        if !has_shape(text.as_bytes()) {
            return Err(wrong());
        }
        let pieces = Pieces::parse(text).map_err(|_| wrong())?;
        let (Some(time), Some(offset)) = (pieces.time(), pieces.to_numeric_offset()) else { return Err(wrong()) };
        let since = pieces.date().to_datetime(time).duration_since(EPOCH);
        let millis = since.as_secs() * 1000 + i64::from(since.subsec_nanos()).div_euclid(1_000_000)
            - i64::from(offset.seconds()) * 1000;
        let at = Self::from_millis(millis);
        if at.0 == millis { Ok(at) } else { Err(format!("`{text}` lies outside the years 0001 to 9999 in UTC")) }
    }
}

/// Whether digits and marks stand as in RFC 3339, 5.6, but for the colon of an offset. jiff reads other forms of ISO 8601
/// too, and hours of an offset that no day has.
fn has_shape(text: &[u8]) -> bool {
    const TIME: &[u8] = b"0000-00-00T00:00:00";
    let fits = |text: &[u8], shape: &[u8]| {
        let one = |(byte, form): (&u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => b"Tt ".contains(byte),
            form => byte == form,
        };
        text.len() == shape.len() && text.iter().zip(shape).all(one)
    };
    let Some((time, rest)) = text.split_at_checked(TIME.len()) else { return false };
    let zone = match rest.strip_prefix(b".") {
        Some(decimals) => {
            let digits = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &decimals[digits..]
        }
        None => rest,
    };
    // Without the colon it is ISO 8601 alone, but generated Python clients write it so (`strftime`, `%z`).
    let offsets: [&[u8]; 4] = [b"+00:00", b"-00:00", b"+0000", b"-0000"];
    let is_offset = offsets.iter().any(|form| fits(zone, form)) && &zone[1..3] < b"24".as_slice();
    fits(time, TIME) && (is_offset || matches!(zone, b"Z" | b"z"))
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
        for text in ["2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00+0100", "2025-12-31T22:30:00-0130"] {
            assert_eq!(text.parse(), Ok(Timestamp::from_millis(1_767_225_600_000)), "{text}");
        }
        assert_eq!("2026-01-01T00:00:00.1239Z".parse(), Ok(Timestamp::from_millis(1_767_225_600_123)));
    }

    #[test]
    fn the_first_and_the_last_time_are_times() {
        for (text, time) in [
            ("0001-01-01T00:00:00.000Z", Timestamp::EARLIEST),
            ("1969-12-31T23:59:59.999Z", Timestamp::from_millis(-1)),
            ("9999-12-31T23:59:59.999Z", Timestamp::LATEST),
        ] {
            assert_eq!((text.parse(), time.to_string().as_str()), (Ok(time), text));
        }
        assert_eq!("0001-01-01T01:00:00+01:00".parse(), Ok(Timestamp::EARLIEST));
        assert_eq!("9999-12-31T22:59:59.999999999-01:00".parse(), Ok(Timestamp::LATEST));
        assert_eq!("1969-12-31T23:59:59.9999Z".parse(), Ok(Timestamp::from_millis(-1)));
        for text in ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0000-12-31T23:59:59Z"] {
            assert!(text.parse::<Timestamp>().unwrap_err().contains("0001 to 9999"), "{text}");
        }
    }

    #[test]
    fn no_length_of_time_leads_beyond_them() {
        let long = Duration::MAX;
        assert_eq!(
            (Timestamp::EPOCH.plus(long), Timestamp::EPOCH.minus(long)),
            (Timestamp::LATEST, Timestamp::EARLIEST)
        );
        assert_eq!(Timestamp::LATEST.since(Timestamp::EARLIEST).as_millis(), 315_537_897_599_999);
        assert_eq!(Timestamp::EARLIEST.since(Timestamp::LATEST), Duration::ZERO);
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "now",
            "2026-01-01",
            "20260101T000000Z",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+99:00",
            "2026-01-01T00:00:00Z[UTC]",
            "+002026-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-01-01T00:00+00:00",
            "2026-01-01T00:00:00+01",
            "2026-01-01T00:00:00+01:00:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
