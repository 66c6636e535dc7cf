//! Times and durations, for people. A script converts times to the zone of the reader; without the script they are UTC.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;

use crate::domain::time::Timestamp;

/// A point in time as a `time` element.
pub struct At(pub Timestamp);

/// A point in time, counted down to by a script.
pub struct CountDown(pub Timestamp);

impl HtmlSafe for At {}
impl HtmlSafe for CountDown {}

/// `2026-01-01 12:00:00 UTC`.
fn utc(time: Timestamp) -> String {
    let text = time.to_string();
    let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", clock.split('.').next().unwrap_or(clock))
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<time datetime=\"{0}\" title=\"{0}\">{1}</time>", self.0, utc(self.0))
    }
}

impl fmt::Display for CountDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<time datetime=\"{0}\" title=\"{0}\" data-in>{1}</time>", self.0, utc(self.0))
    }
}

/// A time that has passed, in its two largest units: `3 min 20 s`.
pub fn long(duration: Duration) -> String {
    let mut left = duration.as_secs();
    let mut parts: Vec<String> = Vec::new();
    for (length, unit) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        if left >= length || (unit == "s" && parts.is_empty()) {
            parts.push(format!("{} {unit}", left / length));
            left %= length;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

/// A time that is left, in one unit and never more than is left: `3 days`.
pub fn left(duration: Duration) -> String {
    let hours = duration.as_secs() / 3_600;
    match (hours / 24, hours) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "1 hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

/// How long an attempt took: `12 ms` or `1.50 s`.
pub fn short(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ ..1_000 => format!("{millis} ms"),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_at_most_two_parts() {
        let long = |seconds| long(Duration::from_secs(seconds));
        assert_eq!((long(0), long(59), long(61)), ("0 s".to_owned(), "59 s".to_owned(), "1 min 1 s".to_owned()));
        assert_eq!((long(3_600), long(90_061)), ("1 h".to_owned(), "1 d 1 h".to_owned()));
        let left = |hours: u64| left(Duration::from_secs(hours * 3_600 + 3_599));
        let texts =
            [(0, "less than an hour"), (1, "1 hour"), (23, "23 hours"), (24, "1 day"), (47, "1 day"), (48, "2 days")];
        for (hours, text) in texts {
            assert_eq!(left(hours), text);
        }
        assert_eq!(short(Duration::from_millis(999)), "999 ms");
        assert_eq!(short(Duration::from_millis(1_500)), "1.50 s");
    }

    #[test]
    fn a_time_names_its_zone_and_holds_the_exact_one() {
        let shown = At(Timestamp::from_millis(1_767_225_600_120)).to_string();
        assert!(shown.contains("datetime=\"2026-01-01T00:00:00.120Z\""), "{shown}");
        assert!(shown.contains(">2026-01-01 00:00:00 UTC<"), "{shown}");
    }
}
