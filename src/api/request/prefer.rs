//! Reads the `Prefer: wait=N` request header (RFC 7240). The waiting itself is in `operations/send_event.rs`.

use std::time::Duration;

use poem::http::HeaderMap;

use crate::web::quoted;

/// Longest wait in seconds; a longer wait is shortened to this.
const MAX_WAIT_SECONDS: u64 = 30;

/// How long the client wants to wait. Other preferences, and waits that are not whole seconds, are ignored, as RFC 7240
/// asks. Of several waits the first counts. A line with a quoted string that does not end is ignored.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter().filter_map(|line| quoted::split(line.to_str().ok()?, b','));
    lines.flatten().find_map(|preference| {
        let preference = preference.split_once(';').map_or(preference, |(preference, _)| preference);
        let (name, value) = preference.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large for a u64 is still a number, and over the bound.
        (is_wait && is_number)
            .then(|| Duration::from_secs(value.parse().unwrap_or(MAX_WAIT_SECONDS).min(MAX_WAIT_SECONDS)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(lines: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", line.parse().unwrap());
        }
        wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_found_among_other_preferences_and_capped() {
        for lines in
            [&["wait=10"][..], &["WAIT = 10"], &["respond-async, wait=10;x=y"], &["return=minimal", "wait=\"10\""]]
        {
            assert_eq!(seconds(lines), Some(10), "{lines:?}");
        }
        assert_eq!(seconds(&["wait=31"]), Some(30));
        assert_eq!(seconds(&["wait=99999999999999999999999"]), Some(30));
        assert_eq!(seconds(&["wait=0"]), Some(0));
    }

    #[test]
    fn a_malformed_wait_is_ignored() {
        for line in [
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=soon",
            "await=5",
            "return=minimal",
            "x=\"a, wait=5, b\"",
            "x=\"a, wait=5",
            "wait=\"5",
            "wait=\"\"5\"\"",
        ] {
            assert_eq!(seconds(&[line]), None, "{line}");
        }
    }
}
