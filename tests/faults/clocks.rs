//! A wall clock that somebody sets while the server runs. Retries follow the time that really passes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::campaign::{Report, either};
use crate::harness::client::NewAccount;
use crate::harness::{Behaviour, Client, Receiver, Server, Setup, wait_until};

/// Paths of libfaketime in several distributions.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

pub const HOUR: i64 = 3_600;

const YEAR: i64 = 365 * 24 * HOUR;

/// `setup` with a wall clock that can be moved, and the file that moves it: [`set`] writes to that file. No file where
/// libfaketime is missing.
pub fn movable(setup: Setup) -> (Setup, Option<PathBuf>) {
    let Some(library) = LIBRARIES.iter().find(|path| Path::new(path).exists()) else { return (setup, None) };
    let offset = setup.folder().join("offset");
    set(&offset, 0);
    let setup = setup
        .variable("LD_PRELOAD", library)
        .variable("FAKETIME_TIMESTAMP_FILE", &offset.display().to_string())
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    (setup, Some(offset))
}

/// Moves the wall clock to `seconds` from the true time.
pub fn set(offset: &Path, seconds: i64) {
    // Renamed into place, so that a reader never sees half of a number.
    let new = offset.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}")).unwrap();
    std::fs::rename(&new, offset).unwrap();
}

struct Case {
    client: Client,
    receiver: Receiver,
    account: NewAccount,
    /// File that moves the wall clock.
    offset: PathBuf,
    server: Server,
}

impl Case {
    /// A server whose wall clock can be set; `None` where libfaketime is missing.
    fn new() -> Option<Self> {
        let (setup, offset) = movable(Setup::dev());
        let offset = offset?;
        let server = setup.start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        Some(Self { client, receiver, account, offset, server })
    }

    fn set_clock(&self, seconds: i64) {
        set(&self.offset, seconds);
    }

    /// Creates a destination that answers 500, with this schedule. Returns the id of its one delivery after the first
    /// attempt.
    fn failing(&self, path: &str, schedule: &str) -> String {
        self.receiver.on(path, Behaviour::status(500));
        let body = json!({
            "url": self.receiver.url(path), "http_method": "POST", "headers": {},
            "retry_schedule": schedule.split(',').collect::<Vec<_>>(),
        });
        let account = self.client.create_account(path.trim_start_matches('/'));
        self.client.post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201);
        let delivery = self.client.push_one(&account, "{}");
        self.client.wait_for_attempts(&delivery, 1);
        delivery
    }
}

/// Milliseconds between two RFC 3339 times of a delivery.
fn millis_between(delivery: &Value, from: &str, to: &str) -> i64 {
    let time = |field: &str| {
        let text = delivery[field].as_str().unwrap_or_else(|| panic!("no {field} in {delivery}"));
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    time(to) - time(from)
}

/// A case. If there is none, the report says that the fault is skipped.
fn case(report: &mut Report) -> Option<Case> {
    let case = Case::new();
    if case.is_none() {
        report.skip("libfaketime is not installed, and so no clock can be made to jump");
    }
    case
}

/// Checks what must hold after a jump in either direction.
fn a_jump_of(seconds: i64, report: &mut Report) {
    let Some(case) = case(report) else { return };
    // Each delay is longer than the time for which a failing lane is left alone anyway: 50 ms, doubled up to 5 s, ±20
    // %.
    let delays = either(&[400, 700, 1_300][..], &[400, 700, 1_300, 2_500, 5_000, 6_500, 6_500, 6_500]);
    let schedule: String = delays.iter().map(|delay| format!("{delay}ms,")).collect();
    let often = case.failing("/often", &format!("{schedule}1h"));
    let later = case.failing("/later", "1h");
    case.set_clock(seconds);
    // Retries that are due soon go on: through the whole schedule, up to its last step.
    let last = case.client.wait_for_attempts(&often, delays.len() as u64 + 1);
    assert_eq!(last["state"], "pending");
    let times: Vec<Instant> = case.receiver.requests_to("/often").iter().map(|request| request.at).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let shares: Vec<f64> =
        gaps.zip(delays).map(|(gap, delay)| gap.as_secs_f64() / Duration::from_millis(*delay).as_secs_f64()).collect();
    let (least, most) =
        shares.iter().fold((f64::MAX, 0.0_f64), |(low, high), share| (low.min(*share), high.max(*share)));
    report.figure("retries", delays.len());
    report.figure("came after", format!("{:.0} to {:.0} % of the schedule", least * 100.0, most * 100.0));
    // The jitter is ±20 %; a busy machine may add 100 ms, which counts most for the shortest delay.
    assert!(least >= 0.75 && most <= 1.45, "{shares:?} of {delays:?}");
    // Since then the engine has looked at all lanes many times, and did not find this delivery due.
    let delivery = case.client.delivery(&later);
    assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("pending"), &json!(1)));
    // Times that people see are on the wall clock: attempts after the jump show the new time.
    let attempts = case.client.delivery(&often)["attempts"].as_array().unwrap().clone();
    let moved =
        millis_between(&json!({"first": attempts[0]["at"], "last": attempts[delays.len()]["at"]}), "first", "last");
    assert!((moved - seconds * 1_000).abs() < HOUR * 500, "{moved} ms between the first and the last attempt");
    // The next attempt is shown an hour ± 20 % ahead.
    wait_until("due times are shown on the new clock", || {
        let next = case.client.delivery(&often);
        let ahead = millis_between(&next, "last_attempt_at", "next_attempt_at") / 1_000;
        (HOUR * 8 / 10 - 60..=HOUR * 12 / 10 + 60).contains(&ahead).then_some(())
    });
    // New events are delivered as before.
    case.client.create_destination(&case.account, &case.receiver.url("/in"), "POST", json!({}));
    let delivery = case.client.push_one(&case.account, "{}");
    case.client.wait_for_state(&delivery, "succeeded");
    drop(case.server);
}

pub fn the_clock_goes_back_an_hour(report: &mut Report) {
    a_jump_of(-HOUR, report);
}

pub fn the_clock_goes_a_year_ahead(report: &mut Report) {
    a_jump_of(YEAR, report);
}

pub fn a_clock_a_year_ahead_makes_nothing_old(report: &mut Report) {
    let Some(case) = case(report) else { return };
    case.client.create_destination(&case.account, &case.receiver.url("/in"), "POST", json!({}));
    let before = case.client.push_one(&case.account, "{}");
    case.client.wait_for_state(&before, "succeeded");
    case.set_clock(YEAR);
    wait_until("the clock has jumped", || {
        let delivery = case.client.push_one(&case.account, "{}");
        let delivery = case.client.wait_for_state(&delivery, "succeeded");
        let both = json!({"old": case.client.delivery(&before)["created_at"], "new": delivery["created_at"]});
        (millis_between(&both, "old", "new") > YEAR * 500).then_some(())
    });
    // Longer than the interval at which the server looks for events to delete.
    let (began, looks) = (Instant::now(), Duration::from_secs(5));
    while began.elapsed() < looks {
        assert_eq!(case.client.delivery(&before)["state"], "succeeded");
        std::thread::sleep(Duration::from_millis(100));
    }
}
