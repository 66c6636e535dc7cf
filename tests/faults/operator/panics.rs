//! A panic of each thread and task. A server without one of its parts would accept events and not deliver them. So the
//! process ends at once, names the part, and has everything at the next start.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::{Host, Start};
use super::keep::{self, served, stands_alone, stored};
use crate::campaign::{Durations, Report, either};
use crate::harness::client::NewAccount;
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, wait_until};
use crate::ledger::{Arrivals, Ledger};

const CLIENTS: usize = 4;

/// Maximum time until the process has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Exit code of a process that ended by a panic.
const PANICKED: i32 = 101;

/// Points at which the program can be made to panic, and the name of the part in the log.
const POINTS: [(&str, &str); 10] = [
    ("writer", "write thread"),
    ("checkpointer", "checkpoint thread"),
    ("scheduler", "scheduler"),
    ("worker", "delivery worker"),
    ("refill", "refill thread"),
    ("acceptor", "HTTP server"),
    ("sweeper", "watch over connections"),
    ("upkeep", "background work"),
    ("file", "watch over the file"),
    ("clock", "watch over the clock"),
];

/// Maximum time until a point is reached. Some points are reached only every two seconds.
const MET_WITHIN: Duration = Duration::from_secs(4);

pub fn a_panic_of_each_part_ends_the_process_and_loses_nothing(report: &mut Report) {
    if !cfg!(debug_assertions) {
        return report.skip("only builds with debug assertions can be made to panic");
    }
    let mut ended = Durations::default();
    let mut acknowledged = 0;
    for _ in 0..either(1, 5) {
        for (point, part) in POINTS {
            let result = std::panic::catch_unwind(|| ends(point, part));
            let (took, count) = result.unwrap_or_else(|panic| {
                eprintln!("this fell: {point}");
                std::panic::resume_unwind(panic)
            });
            ended.add(took);
            acknowledged += count;
        }
    }
    report.figure("parts", POINTS.len());
    report.figure("acknowledged", acknowledged);
    report.figure("lost", 0);
    report.figure("ended after", ended);
}

pub fn a_panic_of_an_attempt_costs_that_attempt_alone(report: &mut Report) {
    if !cfg!(debug_assertions) {
        return report.skip("only builds with debug assertions can be made to panic");
    }
    survives("attempt", either(3, 20), |_, _| {});
}

pub fn a_panic_of_the_log_s_thread_costs_lines_alone(report: &mut Report) {
    if !cfg!(debug_assertions) {
        return report.skip("only builds with debug assertions can be made to panic");
    }
    // Only once: the thread does not start again.
    survives("log", 1, |case, client| keep::chatter(client, &case.folder.path().join("x.db"), 1));
}

/// A server, and the folder in which panics are requested.
struct Case {
    folder: tempfile::TempDir,
    receiver: Receiver,
    ledger: Ledger,
    account: NewAccount,
}

impl Case {
    fn new() -> (Self, Host) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("panics")).unwrap();
        let (receiver, ledger) = (Receiver::start(), Ledger::default());
        let host = Self::start(&folder).served();
        let account = host.client().create_account("ada");
        host.client().create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        (Self { folder, receiver, ledger, account }, host)
    }

    fn start(folder: &tempfile::TempDir) -> Start {
        let panics = folder.path().join("panics").display().to_string();
        Start::on(folder.path(), "x.db")
            .variable("DATA_PUSHER_TEST_PANICS", &panics)
            .flags(&["--retry-schedule", "100ms"])
    }

    /// Requests a panic of whoever reaches this point next. Returns when somebody has reached it.
    fn panic_at(&self, point: &str, has_it_pass: impl FnOnce()) -> Instant {
        let asked = self.folder.path().join("panics").join(point);
        std::fs::write(&asked, "").unwrap();
        let asked_at = Instant::now();
        has_it_pass();
        wait_until("somebody passes", || (!asked.exists()).then_some(()));
        assert!(asked_at.elapsed() < MET_WITHIN, "nobody passes {point}");
        Instant::now()
    }

    /// Checks that all is delivered and that all is in the file.
    fn is_whole(&self, host: Host) {
        let client = host.client();
        Arrivals::default().wait_for_all(&self.receiver, &self.ledger, &["/in"]);
        wait_until("no delivery is pending", || {
            let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
            page["items"].as_array().unwrap().is_empty().then_some(())
        });
        let has = served(&client, &self.account);
        assert!(self.ledger.acknowledged().keys().all(|number| has.contains(number)));
        host.terminate();
        let database = self.folder.path().join("x.db");
        stands_alone(&database);
        assert_eq!(stored(&database), has);
    }
}

/// Requests a panic at a point. Returns how long after the panic the process ended, and how many events were
/// acknowledged.
fn ends(point: &str, part: &str) -> (Duration, usize) {
    let (case, mut host) = Case::new();
    let (client, gate) = (host.client(), Gate::default());
    if point == "refill" {
        // A refill is needed only for a backlog that is not in memory.
        case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    }
    let took = case.ledger.under_load(&client, &case.account.token, CLIENTS, || {
        case.ledger.wait_for_more(30);
        if point == "refill" {
            case.ledger.wait_for_more(300);
        }
        let panicked = case.panic_at(point, || gate.open());
        let status = host.ended_within(ENDS_WITHIN);
        assert_eq!(status.code(), Some(PANICKED), "{}", host.log());
        panicked.elapsed()
    });
    let lines: Vec<Value> = host.log().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["part"] == part), "{}", host.log());
    assert!(lines.iter().any(|line| line["message"] == "panicked" && line["location"].is_string()), "{}", host.log());
    let again = Case::start(&case.folder).served();
    let acknowledged = case.ledger.count();
    case.is_whole(again);
    (took, acknowledged)
}

/// Checks that the server goes on after `times` panics. `passes` makes something reach the point.
fn survives(point: &str, times: usize, passes: impl Fn(&Case, &Client)) {
    let (case, mut host) = Case::new();
    let client = host.client();
    for _ in 0..times {
        case.ledger.under_load(&client, &case.account.token, CLIENTS, || case.ledger.wait_for_more(30));
        let asked = case.folder.path().join("panics").join(point);
        std::fs::write(&asked, "").unwrap();
        passes(&case, &client);
        case.ledger.under_load(&client, &case.account.token, CLIENTS, || {
            wait_until("somebody passes", || (!asked.exists()).then_some(()));
            case.ledger.wait_for_more(30);
        });
    }
    assert!(host.child.try_wait().unwrap().is_none(), "{}", host.log());
    assert!(case.ledger.refused().is_empty() && case.ledger.unanswered() == 0);
    case.is_whole(host);
}
