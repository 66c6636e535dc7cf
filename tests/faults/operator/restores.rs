//! Every kind of backup, put back in every way after every kind of stop. Either the server serves what the backup
//! holds, and with its own log what was acknowledged. Or one line says what to do, and doing so helps.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::advice;
use super::host::{Host, Start};
use super::keep::{self, Numbers, cp, mv, numbers, served, stands_alone, stored};
use crate::campaign::{Report, either, seed};
use crate::file::with_ending;
use crate::harness::client::NewAccount;
use crate::harness::{Receiver, wait_until};
use crate::ledger::Ledger;

/// How the server ends before the backup is put back.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Signal(i32),
    KillIdle,
    KillUnderLoad,
}

/// How the backup is made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Backup {
    CopyAfterStop,
    FileAndLogAfterKill,
    VacuumInto,
    ByTheShell,
    ByTheCommand,
    UpgradesCopy,
}

/// How the backup is put back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Copied over the file.
    Cp,
    Mv,
    /// Copied to the name of the file, which was moved away. The file's log stays.
    CpBesideTheOld,
    /// Copied to another name.
    AnotherName,
}

/// What happens to the old log.
#[derive(Debug, Clone, Copy, PartialEq)]
enum OldLog {
    Left,
    MovedAway,
}

const STOPS: [Stop; 5] = [
    Stop::Signal(libc::SIGTERM),
    Stop::Signal(libc::SIGINT),
    Stop::Signal(libc::SIGHUP),
    Stop::KillIdle,
    Stop::KillUnderLoad,
];
const BACKUPS: [Backup; 6] = [
    Backup::CopyAfterStop,
    Backup::FileAndLogAfterKill,
    Backup::VacuumInto,
    Backup::ByTheShell,
    Backup::ByTheCommand,
    Backup::UpgradesCopy,
];
const WAYS: [Way; 4] = [Way::Cp, Way::Mv, Way::CpBesideTheOld, Way::AnotherName];
const OLD_LOGS: [OldLog; 2] = [OldLog::Left, OldLog::MovedAway];

/// Number of combinations in the short form.
const SHORT_COUNT: usize = 30;

pub fn each_backup_put_back_in_each_way_after_each_stop_is_served_or_refused_in_a_line_that_helps(report: &mut Report) {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut all = Vec::new();
    for stop in STOPS {
        for backup in BACKUPS {
            for way in WAYS {
                all.extend(OLD_LOGS.map(|log| (stop, backup, way, log)));
            }
        }
    }
    random.shuffle(&mut all);
    all.truncate(either(SHORT_COUNT, all.len()));
    let receiver = Receiver::start();
    let mut refused = 0;
    for (stop, backup, way, log) in &all {
        let what = format!("{stop:?}, {backup:?}, {way:?}, old log {log:?}");
        let result = std::panic::catch_unwind(|| Case::new(&receiver, *backup).run(*stop, *way, *log));
        refused += result.unwrap_or_else(|panic| {
            eprintln!("this fell: {what}");
            std::panic::resume_unwind(panic)
        });
    }
    report.figure("combinations", all.len());
    report.figure("refusals whose advice was followed", refused);
}

struct Case {
    folder: tempfile::TempDir,
    ledger: Ledger,
    account: NewAccount,
    backup: Backup,
    /// Events in the backup.
    held: Numbers,
    host: Option<Host>,
}

impl Case {
    /// A server on `x.db`, and an older `backup.db`.
    fn new(receiver: &Receiver, backup: Backup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (database, copy) = (path("x.db"), path("backup.db"));
        let ledger = Ledger::default();
        let start = Start::on(folder.path(), &database);
        let old: Numbers = (1_000_000..1_000_003).collect();
        let known = (backup == Backup::UpgradesCopy).then(|| keep::of_version_3(&database, &old));
        let mut host = start.served();
        let account = known.unwrap_or_else(|| host.client().create_account("ada"));
        host.client().create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        let mut held = keep::push(&host, &ledger, &account, 4);
        match backup {
            Backup::CopyAfterStop => {
                host.terminate();
                stands_alone(&database);
                cp(&database, &copy);
                host = start.served();
            }
            Backup::FileAndLogAfterKill => {
                host.kill();
                keep::with_log(&database, &copy, cp);
                host = start.served();
            }
            Backup::VacuumInto => keep::vacuum_into(&database, &copy),
            Backup::ByTheShell => keep::back_up(&database, &copy),
            Backup::ByTheCommand => keep::back_up_by_command(&database, &copy),
            Backup::UpgradesCopy => {
                cp(&keep::upgrades_copy(&database), &copy);
                held = old;
            }
        }
        keep::push(&host, &ledger, &account, 4);
        Self { folder, ledger, account, backup, held, host: Some(host) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs one combination. Returns the number of refusals.
    fn run(mut self, stop: Stop, way: Way, log: OldLog) -> usize {
        self.stop(stop);
        let (file, old_log) = (self.path("x.db"), with_ending(&self.path("x.db"), "-wal"));
        let killed = old_log.exists();
        assert_eq!(killed, !matches!(stop, Stop::Signal(_)), "{stop:?}");
        // If the kill comes right after a restart of the log, all events are in the file and the log holds no frames.
        let holds_frames = killed && keep::holds_frames(&old_log);
        if log == OldLog::MovedAway && killed {
            mv(&old_log, &self.path("x.db-wal.old"));
        }
        let backup = self.path("backup.db");
        let has_own_log = self.backup == Backup::FileAndLogAfterKill;
        let place = if way == Way::AnotherName { self.path("y.db") } else { file.clone() };
        if way == Way::CpBesideTheOld {
            mv(&file, &self.path("x.db.old"));
        }
        let act = if way == Way::Mv { mv } else { cp };
        act(&backup, &place);
        // If the backup has its own log and another log was left there, the own log is first forgotten, except with
        // `mv`.
        let forgets = has_own_log && log == OldLog::Left && way != Way::Mv;
        if has_own_log && !forgets {
            act(&with_ending(&backup, "-wal"), &with_ending(&place, "-wal"));
        }
        let start = Start::on(self.folder.path(), &place);
        let foreign_log =
            killed && holds_frames && log == OldLog::Left && way != Way::AnotherName && (!has_own_log || forgets);
        let mut refused = 0;
        if foreign_log {
            let line = start.refused();
            assert!(line.contains("belongs to another file"), "{line}");
            if way == Way::CpBesideTheOld && !has_own_log {
                self.put_the_other_file_back(&place);
            }
            advice::move_aside(&line);
            refused += 1;
        }
        if forgets {
            let line = start.refused();
            assert!(line.contains("move the log there"), "{line}");
            act(&with_ending(&backup, "-wal"), &with_ending(&place, "-wal"));
            refused += 1;
        }
        self.serves(&start, &place, &self.held.clone());
        refused
    }

    /// Follows the other advice of the line: puts back the file to which the log belongs, and checks that all is
    /// served.
    fn put_the_other_file_back(&mut self, place: &Path) {
        let (aside, log) = (self.path("restored"), with_ending(place, "-wal"));
        let kept_log = self.path("kept-log");
        mv(place, &aside);
        cp(&self.path("x.db.old"), place);
        cp(&log, &kept_log);
        let all = numbers(&self.ledger).into_iter().chain(self.old()).collect();
        self.serves(&Start::on(self.folder.path(), place), place, &all);
        mv(&aside, place);
        mv(&kept_log, &log);
    }

    /// Events that the file had before it was upgraded.
    fn old(&self) -> Numbers {
        if self.backup == Backup::UpgradesCopy { self.held.clone() } else { Numbers::new() }
    }

    /// Checks that a start serves the expected events. After a kill under load there may be more: events that were sent
    /// and not answered. Then checks that the server goes on, stops, and leaves the file whole and alone.
    #[track_caller]
    fn serves(&self, start: &Start, database: &Path, expected: &Numbers) {
        let host = start.served();
        let has = served(&host.client(), &self.account);
        let missing: Vec<_> = expected.difference(&has).collect();
        assert!(missing.is_empty(), "lost: {missing:?}, has {has:?}");
        let more = has.len() - expected.len();
        let unanswered = if *expected == self.held { 0 } else { self.ledger.unanswered() };
        assert!(more as u64 <= unanswered, "it has {more} more");
        let new = keep::push(&host, &self.ledger, &self.account, 1);
        host.terminate();
        stands_alone(database);
        assert_eq!(stored(database), has.union(&new).copied().collect());
    }

    fn stop(&mut self, stop: Stop) {
        let host = self.host.take().expect("it runs");
        match stop {
            Stop::Signal(signal) => _ = host.stop(signal),
            Stop::KillIdle => {
                let client = host.client();
                wait_until("no delivery is pending", || {
                    let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
                    page["items"].as_array().unwrap().is_empty().then_some(())
                });
                host.kill();
            }
            Stop::KillUnderLoad => {
                let client = host.client();
                self.ledger.under_load(&client, &self.account.token, 3, || {
                    self.ledger.wait_for_more(20);
                    host.kill();
                });
            }
        }
    }
}
