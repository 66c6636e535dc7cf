//! Reads and writes durations as people write them: `200ms`, `5s`, `10m`, `24h`, `30d`.

use std::time::Duration;

use crate::error::beginning;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Longest duration that is accepted: ten years of 365 days.
pub const MAX_DURATION: Duration = Duration::from_secs(3_650 * 86_400);

/// Reads a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), up to [`MAX_DURATION`].
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let given = beginning(text);
        format!("`{given}` is not a duration; write a whole number and a unit, such as 200ms, 5s, 10m, 24h or 30d")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let duration = Duration::from_millis(number.checked_mul(*millis).ok_or_else(wrong)?);
    if duration > MAX_DURATION { Err(format!("`{}` is longer than 3650d", beginning(text))) } else { Ok(duration) }
}

/// The shortest text that [`parse`] reads back as the same duration. The duration must be whole milliseconds.
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, size) = UNITS.iter().rev().find(|(_, size)| millis % size == 0 && millis >= *size).unwrap_or(&UNITS[1]);
    format!("{}{unit}", millis / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [("200ms", 200), ("5s", 5_000), ("10m", 600_000), ("24h", 86_400_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_says_what_would_be_right() {
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "5sec", "99999999999999999999s", "4000d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_back_the_same(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
