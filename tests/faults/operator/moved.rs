//! Changes to the files of a running server. The server notices within a second, accepts nothing from then on, and says
//! so once. The server goes on when all is put back. A stop does no harm to the files that stand there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::advice;
use super::host::{Host, Start};
use super::keep::{self, Numbers, cp, mv, numbers, served, stands_alone, stored};
use crate::campaign::{Durations, Report, either};
use crate::file::with_ending;
use crate::harness::client::NewAccount;
use crate::harness::{Receiver, wait_until};
use crate::ledger::Ledger;

/// Maximum time until the server notices.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// After this time at rest the server would truncate its log.
const RESTS_FOR: Duration = Duration::from_millis(1_500);

/// A server on `x.db`. In its folder are also `backup.db`, an older copy; `same.db`, another name of the file; and
/// `other.db` of another server.
struct Case {
    folder: tempfile::TempDir,
    ledger: Ledger,
    account: NewAccount,
    /// Events in the backup.
    backed_up: Numbers,
    receiver: Receiver,
}

/// A change to the files, and how it is put back if that is possible.
struct Act {
    what: &'static str,
    done: fn(&Case),
    put_back: Option<fn(&Case)>,
    after_stop: After,
}

/// What an operator finds after a stop while the files are changed.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// The file has this name, and its log is where it was.
    FileAt(&'static str),
    /// The file is lost.
    Gone,
    /// The content of this backup stands there unchanged, with the events of the backup.
    Backup(&'static str),
    /// All events are in the file, and there is no log.
    Whole,
}

const ACTS: [Act; 12] = [
    Act {
        what: "the file is moved",
        done: |case| mv(&case.path("x.db"), &case.path("away.db")),
        put_back: Some(|case| mv(&case.path("away.db"), &case.path("x.db"))),
        after_stop: After::FileAt("away.db"),
    },
    Act {
        what: "the file is moved with its log and index",
        done: |case| case.each_moved("x.db", "away.db"),
        put_back: Some(|case| case.each_moved("away.db", "x.db")),
        after_stop: After::FileAt("away.db"),
    },
    Act {
        what: "another is moved in its place",
        done: |case| {
            mv(&case.path("x.db"), &case.path("away.db"));
            mv(&case.path("other.db"), &case.path("x.db"));
        },
        put_back: Some(|case| {
            mv(&case.path("x.db"), &case.path("other.db"));
            mv(&case.path("away.db"), &case.path("x.db"));
        }),
        after_stop: After::FileAt("away.db"),
    },
    Act {
        what: "a backup is moved in its place",
        done: |case| mv(&case.path("backup.db"), &case.path("x.db")),
        put_back: Some(|case| {
            mv(&case.path("x.db"), &case.path("backup.db"));
            std::fs::hard_link(case.path("same.db"), case.path("x.db")).unwrap();
        }),
        after_stop: After::Backup("backup.db"),
    },
    Act {
        what: "the file is removed, and has another name",
        done: |case| std::fs::remove_file(case.path("x.db")).unwrap(),
        put_back: Some(|case| std::fs::hard_link(case.path("same.db"), case.path("x.db")).unwrap()),
        after_stop: After::FileAt("same.db"),
    },
    Act {
        what: "the file is removed",
        done: |case| ["x.db", "same.db"].iter().for_each(|name| std::fs::remove_file(case.path(name)).unwrap()),
        put_back: None,
        after_stop: After::Gone,
    },
    Act {
        what: "a backup is written over it",
        done: |case| cp(&case.path("backup.db"), &case.path("x.db")),
        put_back: None,
        after_stop: After::Backup("backup.db"),
    },
    Act {
        what: "the log is removed",
        done: |case| std::fs::remove_file(case.path("x.db-wal")).unwrap(),
        put_back: None,
        after_stop: After::Whole,
    },
    Act {
        what: "the log is moved",
        done: |case| mv(&case.path("x.db-wal"), &case.path("away.db-wal")),
        put_back: Some(|case| mv(&case.path("away.db-wal"), &case.path("x.db-wal"))),
        after_stop: After::Whole,
    },
    Act {
        what: "the log's index is removed",
        done: |case| std::fs::remove_file(case.path("x.db-shm")).unwrap(),
        put_back: None,
        after_stop: After::Whole,
    },
    Act {
        what: "log and index are removed",
        done: |case| ["x.db-wal", "x.db-shm"].iter().for_each(|name| std::fs::remove_file(case.path(name)).unwrap()),
        put_back: None,
        after_stop: After::Whole,
    },
    Act {
        what: "log and index are removed, and a backup is written over the file",
        done: |case| {
            ["x.db-wal", "x.db-shm"].iter().for_each(|name| std::fs::remove_file(case.path(name)).unwrap());
            cp(&case.path("backup.db"), &case.path("x.db"));
        },
        put_back: None,
        after_stop: After::Backup("backup.db"),
    },
];

pub fn what_is_done_to_the_files_of_a_running_server_is_noticed_and_costs_nothing(report: &mut Report) {
    let mut noticed = Durations::default();
    for _ in 0..either(1, 5) {
        for act in &ACTS {
            for stops in [true, false] {
                if !stops && act.put_back.is_none() {
                    continue;
                }
                let result = std::panic::catch_unwind(|| Case::new().run(act, stops));
                noticed.add(result.unwrap_or_else(|panic| {
                    eprintln!("this fell: {}, stops {stops}", act.what);
                    std::panic::resume_unwind(panic)
                }));
            }
        }
    }
    report.figure("acts", ACTS.len());
    report.figure("noticed after", noticed);
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start();
        let (ledger, other) = (Ledger::default(), folder.path().join("other.db"));
        let host = Start::on(folder.path(), &other).served();
        host.client().create_account("bob");
        host.terminate();
        let x = folder.path().join("x.db");
        let host = Start::on(folder.path(), &x).served();
        let account = host.client().create_account("ada");
        host.client().create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        let backed_up = keep::push(&host, &ledger, &account, 5);
        host.terminate();
        cp(&x, &folder.path().join("backup.db"));
        std::fs::hard_link(&x, folder.path().join("same.db")).unwrap();
        Self { folder, ledger, account, backed_up, receiver }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn each_moved(&self, from: &str, to: &str) {
        for ending in ["", "-wal", "-shm"] {
            mv(&with_ending(&self.path(from), ending), &with_ending(&self.path(to), ending));
        }
    }

    /// Runs one change. Returns how long the server took to notice.
    fn run(self, act: &Act, stops: bool) -> Duration {
        let host = Start::on(self.folder.path(), "x.db").served();
        keep::push(&host, &self.ledger, &self.account, 5);
        (act.done)(&self);
        let done = Instant::now();
        // What is accepted until then goes to the original file and its log.
        let client = host.client();
        let took = wait_until("it is noticed", || {
            let sent = done.elapsed();
            assert!(self.ledger.send(&client, &self.account.token));
            let refused = !self.ledger.refused().is_empty();
            assert!(refused || sent < NOTICED_WITHIN, "taken after {sent:?}");
            refused.then(|| done.elapsed())
        });
        let answer = client.push_with(&self.account.token, &[], b"{\"n\": 5000000000}");
        assert_eq!(answer.problem(503)["code"], "storage_moved");
        while done.elapsed() < RESTS_FOR {
            assert_eq!(client.get("/readyz").problem(503)["code"], "storage_moved");
            std::thread::sleep(Duration::from_millis(50));
        }
        // Each problem is logged once.
        let said = |host: &Host| {
            let reasons = host
                .log()
                .lines()
                .filter_map(|line| line.split_once("nothing is stored any more: "))
                .map(|(_, reason)| reason.to_owned())
                .collect::<Vec<_>>();
            let different: HashSet<&String> = reasons.iter().collect();
            assert_eq!(different.len(), reasons.len(), "{}", host.log());
            reasons.len()
        };
        assert!((1..=2).contains(&said(&host)), "{}", host.log());
        match act.put_back {
            Some(put_back) if !stops => {
                put_back(&self);
                wait_until("it takes events again", || {
                    let before = self.ledger.count();
                    assert!(self.ledger.send(&client, &self.account.token));
                    (self.ledger.count() > before).then_some(())
                });
                wait_until("it is ready", || (client.get("/readyz").status == 200).then_some(()));
                keep::push(&host, &self.ledger, &self.account, 3);
                assert_eq!(served(&client, &self.account), numbers(&self.ledger));
                assert!(host.log().matches("the database file is back").count() == 1 && said(&host) == 1);
                host.terminate();
                self.holds("x.db", &numbers(&self.ledger));
            }
            _ => {
                host.terminate();
                self.after_stop(act);
            }
        }
        let came: Numbers =
            self.receiver.requests_to("/in").iter().map(|request| Ledger::number(&request.body)).collect();
        if act.after_stop != After::Gone && !matches!(act.after_stop, After::Backup(_)) {
            assert_eq!(came, numbers(&self.ledger));
        }
        took
    }

    fn after_stop(&self, act: &Act) {
        let on = |name: &str| Start::on(self.folder.path(), name);
        match act.after_stop {
            After::FileAt(name) => {
                let (log, own) = (self.path("x.db-wal"), with_ending(&self.path(name), "-wal"));
                if log.exists() {
                    let line = on(name).refused();
                    assert!(line.contains("move the log there"), "{line}");
                    if self.path("x.db").exists() {
                        assert!(on("x.db").refused().contains("belongs to another file"));
                    } else {
                        assert!(on("x.db").refused().contains("missing or empty"));
                    }
                    mv(&log, &own);
                }
                self.goes_on(name, &numbers(&self.ledger));
            }
            After::Gone => {
                let line = on("x.db").refused();
                assert!(line.contains("missing or empty"), "{line}");
                advice::move_aside(&line);
                on("x.db").served().terminate();
            }
            After::Backup(name) => {
                if self.path(name).exists() {
                    let same = std::fs::read(self.path(name)).unwrap() == std::fs::read(self.path("x.db")).unwrap();
                    assert!(same, "what was put there is changed");
                }
                // A reader that the server opened meanwhile leaves an empty log, which is nobody's.
                let log = self.path("x.db-wal").metadata().map_or(0, |log| log.len());
                if log > 0 {
                    let line = on("x.db").refused();
                    assert!(line.contains("belongs to another file"), "{line}");
                    advice::move_aside(&line);
                }
                self.goes_on("x.db", &self.backed_up);
            }
            After::Whole => {
                self.holds("x.db", &numbers(&self.ledger));
                self.goes_on("x.db", &numbers(&self.ledger));
            }
        }
    }

    #[track_caller]
    fn goes_on(&self, name: &str, expected: &Numbers) {
        let host = Start::on(self.folder.path(), name).served();
        assert_eq!(served(&host.client(), &self.account), *expected);
        let new = keep::push(&host, &self.ledger, &self.account, 2);
        let came = |number: &u64| {
            self.receiver.requests_to("/in").iter().any(|request| Ledger::number(&request.body) == *number)
        };
        wait_until("what is new arrives", || new.iter().all(came).then_some(()));
        wait_until("no delivery is pending", || {
            let page = host.client().get("/v1/deliveries?state=pending&limit=1").expect(200).json();
            page["items"].as_array().unwrap().is_empty().then_some(())
        });
        host.terminate();
        self.holds(name, &expected.union(&new).copied().collect());
    }

    #[track_caller]
    fn holds(&self, name: &str, expected: &Numbers) {
        let database: &Path = &self.path(name);
        stands_alone(database);
        assert_eq!(stored(database), *expected);
    }
}
