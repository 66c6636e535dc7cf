//! Values of flags and variables, each read into what it means. An error is a sentence that says what would be right.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use poem::http::StatusCode;

use crate::domain::destination::MAX_TIMEOUT;
use crate::domain::ids::AccountId;
use crate::domain::origin::Origin;
use crate::domain::retry::RetrySchedule;
use crate::domain::{duration, size};
use crate::store::Checkpoints;

/// Longest body that may be allowed.
const MAX_BODY: u64 = 64 << 20;

/// Least memory that documents can do with.
const MIN_MEMORY: u64 = 16 << 20;

/// What a variable says of a flag without a value.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write 1 or 0, true or false, yes or no, on or off".to_owned()),
    }
}

/// Where to listen. What is nearly right is named as it should be.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        if let Ok(address) = text.parse::<IpAddr>() {
            return format!("has no port; did you mean {}?", SocketAddr::new(address, 8080));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        match (host, port.parse::<u16>()) {
            ("" | "localhost", Ok(port)) => format!("has no IP address; did you mean 127.0.0.1:{port}?"),
            ("*", Ok(port)) => format!("has no IP address; did you mean 0.0.0.0:{port}?"),
            _ => "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned(),
        }
    })
}

/// A whole number from 1 to the given one.
pub fn count<const MAX: u16>(text: &str) -> Result<u16, String> {
    let count = text.parse().ok().filter(|count| (1..=MAX).contains(count));
    count.ok_or_else(|| format!("must be a whole number from 1 to {MAX}"))
}

/// An item of a list; it may have blanks around it.
pub fn origin(text: &str) -> Result<Origin, String> {
    Origin::parse(text.trim())
}

/// Who copies the write-ahead log into the database.
pub fn checkpoints(text: &str) -> Result<Checkpoints, String> {
    match text {
        "own" => Ok(Checkpoints::Own),
        "external" => Ok(Checkpoints::External),
        _ => Err("write own, or external where a replicator such as Litestream copies the log".to_owned()),
    }
}

/// The id of an account, which need not exist yet.
pub fn account_id(text: &str) -> Result<AccountId, String> {
    text.trim().parse()
}

/// An item of a list; it may have blanks around it.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "write a network such as 10.1.0.0/16 or an address such as 127.0.0.1".to_owned())
}

/// An item of a list; it may have blanks around it.
pub fn file(text: &str) -> Result<PathBuf, String> {
    match text.trim() {
        "" => Err("write the path of a file".to_owned()),
        path => Ok(PathBuf::from(path)),
    }
}

/// Of an attempt or a request.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text)?;
    if timeout.is_zero() || timeout > MAX_TIMEOUT {
        return Err("must be more than 0 and at most 5m".to_owned());
    }
    Ok(timeout)
}

/// Delays between attempts. Only a text with nothing in it has none: blanks alone are a slip, and would mean that
/// nothing is tried again.
pub fn schedule(text: &str) -> Result<RetrySchedule, String> {
    if !text.is_empty() && text.trim().is_empty() {
        return Err("write delays with commas between them, such as 5s,5m,30m".to_owned());
    }
    RetrySchedule::parse(text)
}

/// Longest body.
pub fn max_body(text: &str) -> Result<usize, String> {
    let bytes = size::parse(text)?;
    if !(1..=MAX_BODY).contains(&bytes) {
        return Err("must be more than 0 and at most 64MiB".to_owned());
    }
    in_this_machine(bytes)
}

/// Of documents and answers.
pub fn memory(text: &str) -> Result<usize, String> {
    let bytes = size::parse(text)?;
    if bytes < MIN_MEMORY { Err("must be at least 16MiB".to_owned()) } else { in_this_machine(bytes) }
}

fn in_this_machine(bytes: u64) -> Result<usize, String> {
    usize::try_from(bytes).map_err(|_| "is more than this machine can have".to_owned())
}

/// How long events are kept.
pub fn retention(text: &str) -> Result<Duration, String> {
    let retention = duration::parse(text)?;
    if retention.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(retention) }
}

/// Status of an answer.
pub fn status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse().ok().filter(|status| (200..=599).contains(status));
    let status = status.and_then(|status: u16| StatusCode::from_u16(status).ok());
    status.ok_or_else(|| "must be a status from 200 to 599".to_owned())
}

/// A part of all, from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a number from 0 to 1, such as 0.2".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::TestCaseError;

    use super::*;
    use crate::domain::tests::{MAX_ERROR, odd};

    #[test]
    fn an_address_that_is_nearly_right_is_named_as_it_should_be() {
        let meant = |text| listen(text).unwrap_err();
        for text in ["8080", ":8080", "localhost:8080"] {
            assert!(meant(text).contains("127.0.0.1:8080"), "{text}");
        }
        assert!(meant("*:80").contains("0.0.0.0:80") && meant("10.0.0.1").contains("10.0.0.1:8080"));
        assert!(meant("::1").contains("[::1]:8080") && meant("push.example.com").contains("an IP address and a port"));
        assert_eq!(listen("[::1]:0").unwrap().port(), 0);
    }

    #[test]
    fn a_count_is_bounded() {
        assert_eq!((count::<8>("1"), count::<8>("8")), (Ok(1), Ok(8)));
        for text in ["0", "9", "-1", "1.5", "many", ""] {
            assert_eq!(count::<8>(text), Err("must be a whole number from 1 to 8".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_status_and_a_share_are_bounded() {
        assert_eq!((status("200"), status("599")), (Ok(StatusCode::OK), Ok(StatusCode::from_u16(599).unwrap())));
        for text in ["199", "600", "0", "ok", ""] {
            assert!(status(text).is_err(), "{text}");
        }
        assert_eq!((share("0"), share("0.25"), share("1")), (Ok(0.0), Ok(0.25), Ok(1.0)));
        for text in ["-0.1", "1.1", "20%", "NaN", "inf", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whatever_a_flag_is_given_it_is_within_its_bounds_or_refused_in_a_short_sentence() {
        fn bounded<T>(read: Result<T, String>, fits: impl FnOnce(&T) -> bool) -> Result<(), TestCaseError> {
            match read {
                Ok(value) => prop_assert!(fits(&value)),
                Err(error) => prop_assert!((1..=MAX_ERROR).contains(&error.len()), "{}", error),
            }
            Ok(())
        }
        let valid =
            ["127.0.0.1:8080", "[::1]:0", "10.0.0.0/8", "::1", "15s", "1MiB", "5s,5m", "30d", "200", "0.2", "yes", "8"];
        odd::hold(&valid, |text| {
            bounded(boolean(text), |_| text.len() <= 5)?;
            bounded(listen(text), |address| address.to_string().parse() == Ok(*address))?;
            bounded(count::<1_024>(text), |count| (1..=1_024).contains(count))?;
            bounded(network(text), |network| network.to_string().parse() == Ok(*network))?;
            bounded(origin(text), |origin| Origin::parse(origin.as_str()).as_ref() == Ok(origin))?;
            bounded(account_id(text), |id| id.as_str() == text.trim())?;
            bounded(timeout(text), |timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT)?;
            bounded(schedule(text), |schedule| RetrySchedule::parse(&schedule.to_string()).as_ref() == Ok(schedule))?;
            bounded(max_body(text), |bytes| (1..=64 << 20).contains(bytes))?;
            bounded(memory(text), |bytes| *bytes >= 16 << 20)?;
            bounded(retention(text), |retention| !retention.is_zero())?;
            bounded(status(text), |status| (200..=599).contains(&status.as_u16()))?;
            bounded(share(text), |share| (0.0..=1.0).contains(share))
        });
    }

    #[test]
    fn words_for_yes_and_no_are_read_in_any_case() {
        for (words, value) in [(["1", "true", "Yes", "ON"], true), (["0", "FALSE", "no", "oFF"], false)] {
            assert!(words.iter().all(|word| boolean(word) == Ok(value)));
        }
        for word in ["", "2", "maybe", "y", "true "] {
            assert!(boolean(word).is_err(), "{word}");
        }
    }
}
