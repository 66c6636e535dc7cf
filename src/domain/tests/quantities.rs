//! Durations, sizes, rates, times and schedules.

use std::time::Duration;

use proptest::prelude::*;

use super::{grammar, odd, reads, says_what_is_wrong};
use crate::domain::duration::{self, MAX_DURATION};
use crate::domain::rate::Rate;
use crate::domain::retry::{MAX_DELAY, MAX_DELAYS, MAX_HOLD, RetrySchedule, retry_after};
use crate::domain::size;
use crate::domain::time::Timestamp;

/// The number, unless it is beyond all that is counted here.
fn number(digits: &str) -> Option<u128> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

/// Milliseconds of a text, by the grammar.
fn millis(text: &str) -> Option<u128> {
    let found = grammar("([0-9]+)(ms|s|m|h|d)").captures(text)?;
    let unit = match &found[2] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 86_400_000,
    };
    number(&found[1])?.checked_mul(unit).filter(|millis| *millis <= MAX_DURATION.as_millis())
}

#[test]
fn a_duration_is_a_number_and_a_unit() {
    odd::hold(&["200ms", "5s", "10m", "24h", "30d", "3650d", "3651d", "0s"], |text| {
        let read = duration::parse(text);
        prop_assert_eq!(read.as_ref().ok().map(Duration::as_millis), millis(text));
        match read {
            Ok(read) => prop_assert_eq!(duration::parse(&duration::format(read)), Ok(read)),
            Err(error) => says_what_is_wrong(&error)?,
        }
        Ok(())
    });
}

#[test]
fn a_size_is_a_number_and_perhaps_a_unit() {
    let grammar = grammar(r"([0-9]+)(?:\s*((?i-u:B|KB|KiB|MB|MiB|GB|GiB)))?\s*");
    odd::hold(&["0", "1048576", "1MiB", "1 mb", "2GiB", "512KiB", "10B", "18446744073709551615"], |text| {
        let by_grammar = grammar.captures(text).filter(|_| !text.ends_with(char::is_whitespace)).and_then(|found| {
            let unit = match found.get(2).map_or("", |unit| unit.as_str()).to_ascii_lowercase().as_str() {
                "" | "b" => 1,
                "kb" => 1_000,
                "kib" => 1 << 10,
                "mb" => 1_000_000,
                "mib" => 1 << 20,
                "gb" => 1_000_000_000,
                _ => 1_u128 << 30,
            };
            number(&found[1])?.checked_mul(unit).filter(|bytes| *bytes <= u128::from(u64::MAX))
        });
        let read = size::parse(text);
        // Blanks behind a number without a unit are let pass, since a unit might have come.
        if !text.ends_with(char::is_whitespace) {
            prop_assert_eq!(read.clone().ok().map(u128::from), by_grammar);
        }
        read.map_or_else(|error| says_what_is_wrong(&error), |_| Ok(()))
    });
}

#[test]
fn a_rate_is_what_its_grammar_says() {
    reads::<Rate>("(?:[1-9][0-9]{0,5}|1000000)/[smh]", &["100/s", "6000/m", "1/h", "1000000/s", "1000001/s"]);
}

#[test]
fn a_schedule_is_a_list_of_durations() {
    odd::hold(&["5s,5m,30m", "1s, 2s", "", "30d", "31d", "1s,1s,1s,1s,1s,1s"], |text| {
        let parts: Vec<Option<u128>> =
            if text.trim().is_empty() { Vec::new() } else { text.split(',').map(|part| millis(part.trim())).collect() };
        let fits = |millis: &Option<u128>| millis.is_some_and(|millis| millis <= MAX_DELAY.as_millis());
        let read = RetrySchedule::parse(text);
        prop_assert_eq!(read.is_ok(), parts.iter().all(fits) && parts.len() <= MAX_DELAYS);
        match read {
            Ok(schedule) => prop_assert_eq!(RetrySchedule::parse(&schedule.to_string()), Ok(schedule)),
            Err(error) => says_what_is_wrong(&error)?,
        }
        Ok(())
    });
}

/// Days before the first of January 1970 and after, by the Gregorian rule of leap years, counted one by one.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *months.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=length).contains(&day) {
        return None;
    }
    let whole = |from: i64, to: i64| (from..to).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<i64>();
    let years = if year >= 1970 { whole(1970, year) } else { -whole(year, 1970) };
    let before: i64 = months[..usize::try_from(month - 1).ok()?].iter().sum();
    Some(years + before + day - 1)
}

/// Milliseconds since 1970 of a text, by RFC 3339 and the calendar; an offset may lack its colon. `None` also for a
/// leap second, which is let pass.
fn since_1970(text: &str) -> Option<i64> {
    let form = r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):?(\d\d))";
    let found = grammar(&form.replace(r"\d", "[0-9]")).captures(text)?;
    let part = |at: usize| found.get(at).map_or(0, |part| part.as_str().parse::<i64>().unwrap_or(0));
    let (hour, minute, second) = (part(4), part(5), part(6));
    if hour > 23 || minute > 59 || second > 59 || part(9) > 23 || part(10) > 59 {
        return None;
    }
    let thousandths = found.get(7).map_or("", |part| part.as_str());
    let thousandths: i64 = format!("{thousandths:0<3}")[..3].parse().ok()?;
    let offset =
        (part(9) * 60 + part(10)) * if &found.get(8).map_or("+", |sign| sign.as_str())[..1] == "-" { -1 } else { 1 };
    let minutes = days(part(1), part(2), part(3))? * 1_440 + hour * 60 + minute - offset;
    let millis = minutes * 60_000 + second * 1_000 + thousandths;
    (Timestamp::EARLIEST.millis()..=Timestamp::LATEST.millis()).contains(&millis).then_some(millis)
}

#[test]
fn a_time_is_what_rfc_3339_and_the_calendar_say() {
    let valid = [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00.123456789z",
        "2026-01-31 12:00:00.5+01:30",
        "2024-02-29T23:59:59-23:59",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.9999Z",
        "2100-02-29T00:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00+01:00",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00+24:00",
        "20260131T120000Z",
    ];
    odd::hold(&valid, |text| {
        let read = text.parse::<Timestamp>();
        if !text.contains(":60") {
            prop_assert_eq!(read.as_ref().ok().map(|time| time.millis()), since_1970(text));
        }
        read.map_or_else(|error| says_what_is_wrong(&error), |time| super::shows_the_same(&time))
    });
    let any = Timestamp::EARLIEST.millis()..=Timestamp::LATEST.millis();
    odd::run(&any, |millis| {
        let text = Timestamp::from_millis(millis).to_string();
        prop_assert_eq!((text.parse(), since_1970(&text)), (Ok(Timestamp::from_millis(millis)), Some(millis)));
        Ok(())
    });
}

#[test]
fn retry_after_is_seconds_or_a_date_and_never_more_than_a_day() {
    let now = Timestamp::from_millis(784_111_777_000);
    let digits = grammar(r"\s*[0-9]+\s*");
    odd::hold(&["120", "0", "Sun, 06 Nov 1994 08:50:37 GMT", "Fri, 31 Dec 2100 00:00:00 GMT"], |text| {
        let wait = retry_after(text, now);
        prop_assert!(wait.is_none_or(|wait| wait <= MAX_HOLD));
        if digits.is_match(text) {
            let seconds = number(text.trim()).unwrap_or(u128::MAX).min(u128::from(MAX_HOLD.as_secs()));
            prop_assert_eq!(wait.map(|wait| u128::from(wait.as_secs())), Some(seconds));
        }
        Ok(())
    });
}
