//! `data-pusher backup`: the copy is whole, whatever happens meanwhile, and the server never notices.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::harness::client::NewAccount;
use crate::harness::server::{Ended, Halted, run_binary};
use crate::harness::{Receiver, Server, Setup, wait_until};

struct Case {
    server: Server,
    account: NewAccount,
    _receiver: Receiver,
}

impl Case {
    fn new() -> Self {
        let (server, receiver) = (Setup::dev().start(), Receiver::start());
        let client = server.client();
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        Self { server, account, _receiver: receiver }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.setup().folder().join(name)
    }

    fn database(&self) -> String {
        self.server.setup().database_path().display().to_string()
    }

    /// The arguments of a backup to `name` in the test's folder.
    fn arguments(&self, name: &str) -> [String; 4] {
        ["backup".to_owned(), "--database".to_owned(), self.database(), self.path(name).display().to_string()]
    }

    #[track_caller]
    fn back_up(&self, name: &str, flags: &[&str]) -> Ended {
        let arguments = self.arguments(name);
        run_binary(&arguments.iter().map(String::as_str).chain(flags.iter().copied()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn halted(&self, name: &str) -> Halted {
        Halted::at("copying", &self.arguments(name).each_ref().map(String::as_str))
    }

    /// Pushes events with these numbers. All must be accepted.
    #[track_caller]
    fn push(&self, numbers: std::ops::Range<u64>) {
        let client = self.server.client();
        for number in numbers {
            client.push(&self.account, number.to_string());
        }
    }

    /// Files in the test's folder.
    fn files(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.server.setup().folder()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// The numbers of the events in a file that nobody uses, read without changing anything.
fn numbers(path: &Path) -> BTreeSet<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let file = Connection::open_with_flags(format!("file:{}?immutable=1", path.display()), flags).unwrap();
    let mut events = file.prepare("SELECT payload FROM event").unwrap();
    let events = events.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    events.map(|payload| String::from_utf8(payload.unwrap()).unwrap().trim().parse().unwrap()).collect()
}

#[track_caller]
fn is_whole(path: &Path) {
    let checked = run_binary(&["check", "--database", &path.display().to_string()]);
    checked.succeeded();
}

#[test]
fn under_full_load_each_copy_holds_all_that_was_acknowledged_before_it() {
    let case = Case::new();
    let (acknowledged, is_over) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let copies = std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (case, acknowledged, is_over) = (&case, &acknowledged, &is_over);
            scope.spawn(move || {
                let client = case.server.client();
                for number in (thread..).step_by(4) {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    // Any other status than 202 fails the test.
                    client.push(&case.account, number.to_string());
                    acknowledged.lock().unwrap().insert(number);
                }
            });
        }
        let copies: Vec<_> = (1..=4)
            .map(|round| {
                wait_until("more is acknowledged", || (acknowledged.lock().unwrap().len() > 150 * round).then_some(()));
                let before = acknowledged.lock().unwrap().clone();
                let name = format!("copy-{round}.db");
                let ended = case.back_up(&name, &[]);
                (case.path(&name), before, ended)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        copies
    });
    for (copy, before, ended) in copies {
        ended.succeeded();
        let held = numbers(&copy);
        assert!(before.is_subset(&held), "missing: {:?}", before.difference(&held));
        is_whole(&copy);
    }
    // The last copy serves as it is.
    let copy = case.path("copy-4.db");
    let held = numbers(&copy);
    let mut server = Setup::dev().database(&copy).start();
    assert_eq!(server.client().all(&format!("/v1/accounts/{}/events", case.account.id)).len(), held.len());
    server.terminate();
}

#[test]
fn two_backups_at_once_are_both_whole_and_one_of_two_for_the_same_place_is_refused() {
    let case = Case::new();
    case.push(0..30);
    let ended = std::thread::scope(|scope| {
        let run = |name: &'static str| {
            let case = &case;
            scope.spawn(move || case.back_up(name, &[]))
        };
        ["a.db", "b.db", "same.db", "same.db"].map(run).map(|thread| thread.join().unwrap())
    });
    let (different, same) = ended.split_at(2);
    different.iter().for_each(Ended::succeeded);
    let codes: BTreeSet<_> = same.iter().map(|ended| ended.code).collect();
    assert_eq!(codes, [Some(0), Some(1)].into(), "{same:#?}");
    for name in ["a.db", "b.db", "same.db"] {
        is_whole(&case.path(name));
        assert_eq!(numbers(&case.path(name)).len(), 30);
    }
    assert!(!case.files().iter().any(|name| name.contains("partial")), "{:?}", case.files());
}

#[test]
fn a_checkpoint_in_the_middle_changes_nothing_in_the_copy_and_holds_up_nobody() {
    let case = Case::new();
    case.push(0..100);
    let halted = case.halted("copy.db");
    // In debug builds a checkpoint begins at 200 pages of the log.
    case.push(100..700);
    halted.go_on().succeeded();
    assert_eq!(numbers(&case.path("copy.db")), (0..100).collect());
    is_whole(&case.path("copy.db"));
    // Nothing keeps the log from starting again, which changes its salt.
    let salt = || std::fs::read(case.path("test.db-wal")).unwrap()[16..24].to_vec();
    let before = salt();
    wait_until("the log starts again", || {
        case.push(700..740);
        (salt() != before).then_some(())
    });
}

#[test]
fn a_server_that_stops_in_the_middle_leaves_one_file_once_the_backup_has_ended() {
    let mut case = Case::new();
    case.push(0..50);
    let halted = case.halted("copy.db");
    case.push(50..80);
    case.server.terminate();
    assert!(case.files().contains("test.db-wal"), "it is being read");
    halted.go_on().succeeded();
    assert_eq!(numbers(&case.path("copy.db")), (0..50).collect());
    let left = case.files();
    assert!(!left.contains("test.db-wal") && !left.contains("test.db-shm"), "{left:?}");
    assert_eq!(numbers(case.server.setup().database_path()), (0..80).collect());
    case.server.start_again();
    case.push(80..81);
}

#[test]
fn a_server_can_be_stopped_and_started_in_the_middle() {
    let mut case = Case::new();
    case.push(0..20);
    let halted = case.halted("copy.db");
    case.server.terminate();
    case.server.start_again();
    case.push(20..40);
    halted.go_on().succeeded();
    assert_eq!(numbers(&case.path("copy.db")), (0..20).collect());
    case.push(40..41);
    // A kill leaves the log to the next start.
    let halted = case.halted("copy-2.db");
    case.server.kill();
    halted.go_on().succeeded();
    assert_eq!(numbers(&case.path("copy-2.db")), (0..41).collect());
    case.server.start_again();
    assert_eq!(case.server.client().all(&format!("/v1/accounts/{}/events", case.account.id)).len(), 41);
}

#[test]
fn a_backup_that_is_killed_leaves_nothing_at_its_place_and_one_that_is_interrupted_leaves_nothing_at_all() {
    let case = Case::new();
    case.push(0..10);
    case.halted("copy.db").kill();
    let left: Vec<_> = case.files().into_iter().filter(|name| name.starts_with("copy.db")).collect();
    assert!(left.len() == 1 && left[0].starts_with("copy.db.partial-2"), "{left:?}");
    std::fs::remove_file(case.path(&left[0])).unwrap();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let halted = case.halted("copy.db");
        halted.signal(signal);
        let line = halted.go_on().refused();
        assert!(line.contains("interrupted"), "{line}");
        assert!(!case.files().iter().any(|name| name.starts_with("copy.db")), "{:?}", case.files());
    }
    case.push(10..11);
    case.back_up("copy.db", &[]).succeeded();
}

#[test]
fn a_stopped_server_s_file_is_copied_and_left_alone_and_a_server_can_start_meanwhile() {
    let mut case = Case::new();
    case.push(0..10);
    case.server.terminate();
    let (before, bytes) = (case.files(), std::fs::read(case.database()).unwrap());
    case.back_up("copy.db", &[]).succeeded();
    let mut after = case.files();
    after.remove("copy.db");
    assert_eq!(after, before);
    assert!(std::fs::read(case.database()).unwrap() == bytes);
    assert_eq!(numbers(&case.path("copy.db")).len(), 10);
    let halted = case.halted("copy-2.db");
    case.server.start_again();
    case.push(10..30);
    halted.go_on().succeeded();
    assert_eq!(numbers(&case.path("copy-2.db")).len(), 10);
    case.push(30..31);
}

#[test]
fn what_a_crash_left_in_the_log_is_in_the_copy_and_file_and_log_stay_as_they_are() {
    let mut case = Case::new();
    case.push(0..20);
    case.server.kill();
    let read = || ["test.db", "test.db-wal"].map(|name| std::fs::read(case.path(name)).unwrap());
    let before = read();
    case.back_up("copy.db", &[]).succeeded();
    assert!(read() == before);
    assert_eq!(numbers(&case.path("copy.db")), (0..20).collect());
    // A log that is not there is not left out in silence.
    let log = std::fs::read(case.path("test.db-wal")).unwrap();
    std::fs::remove_file(case.path("test.db-wal")).unwrap();
    let line = case.back_up("copy-2.db", &[]).refused();
    assert!(line.contains("move the log there"), "{line}");
    std::fs::write(case.path("test.db-wal"), log).unwrap();
    case.server.start_again();
}

#[test]
fn a_place_that_is_taken_is_refused_in_one_line_and_replaced_only_by_force() {
    let mut case = Case::new();
    case.push(0..3);
    let path = |name: &str| case.path(name);
    std::fs::write(path("old.db"), "old").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    std::os::unix::fs::symlink(path("test.db"), path("link.db")).unwrap();
    std::os::unix::fs::symlink(path("nowhere/x.db"), path("dangling.db")).unwrap();
    std::fs::write(path("logged.db-wal"), "a log").unwrap();
    for (name, flags, about) in [
        ("old.db", &[][..], "--force"),
        ("folder", &[], "it is a folder"),
        ("folder", &["--force"], "it is a folder"),
        ("new/", &[], "it is a folder"),
        ("test.db", &["--force"], "the database itself"),
        ("link.db", &["--force"], "the database itself"),
        ("dangling.db", &[], "dangling.db"),
        ("test.db-wal", &["--force"], "belongs to the database"),
        ("test.db-journal", &[], "belongs to the database"),
        ("no/such/copy.db", &[], "its folder"),
        ("old.db/copy.db", &[], "old.db/copy.db"),
        ("logged.db", &[], "logged.db-wal"),
        ("/dev/null", &["--force"], "no ordinary file"),
    ] {
        let line = case.back_up(name, flags).refused();
        assert!(line.contains(about), "{name}: {line}");
    }
    assert_eq!(std::fs::read(path("old.db")).unwrap(), b"old");
    case.back_up("old.db", &["--force"]).succeeded();
    assert_eq!(numbers(&path("old.db")).len(), 3);
    // Another server's file is not replaced.
    let other = Setup::dev().database(&path("old.db")).start();
    let line = case.back_up("old.db", &["--force"]).refused();
    assert!(line.contains("a data-pusher server is using it"), "{line}");
    drop(other);
    for (database, about) in [("none.db", "no such file"), ("folder", "no ordinary file")] {
        let database = path(database).display().to_string();
        let line = run_binary(&["backup", "--database", &database, &path("x.db").display().to_string()]).refused();
        assert!(line.contains(about), "{line}");
    }
    case.server.terminate();
    std::fs::write(case.database(), "").unwrap();
    let line = case.back_up("x.db", &[]).refused();
    assert!(line.contains("it is empty"), "{line}");
}

#[test]
fn a_copy_with_a_wrong_row_is_kept_and_said_and_can_be_restored() {
    let mut case = Case::new();
    case.push(0..5);
    case.server.terminate();
    let change = "UPDATE account SET email_folded = 'other'";
    Connection::open(case.database()).unwrap().execute_batch(change).unwrap();
    let ended = case.back_up("copy.db", &["--quiet"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("one is wrong, in the original too"), "{ended:#?}");
    assert_eq!(numbers(&case.path("copy.db")).len(), 5);
    let to = case.path("restored.db");
    let restored = run_binary(&["restore", "--database", to.to_str().unwrap(), case.path("copy.db").to_str().unwrap()]);
    restored.succeeded();
    assert!(restored.stderr.contains("one is wrong"), "{restored:#?}");
}

#[test]
fn a_limit_of_file_sizes_is_a_line_and_leaves_nothing() {
    let case = Case::new();
    case.push(0..200);
    let words = ["backup", "--database", &case.database(), case.path("copy.db").to_str().unwrap()].map(str::to_owned);
    let limited = format!("ulimit -f 20; exec {} \"$@\"", env!("CARGO_BIN_EXE_data-pusher"));
    let output = std::process::Command::new("sh").arg("-c").arg(limited).arg("sh").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("ulimit -f"), "{output:?}");
    assert!(!case.files().iter().any(|name| name.starts_with("copy.db")), "{:?}", case.files());
}

#[test]
fn a_file_that_was_written_over_while_its_server_runs_is_not_taken_for_the_server_s() {
    let case = Case::new();
    case.push(0..20);
    case.back_up("old.db", &[]).succeeded();
    case.push(20..40);
    std::fs::copy(case.path("old.db"), case.database()).unwrap();
    let line = case.back_up("copy.db", &[]).refused();
    assert!(line.contains("wrote over it"), "{line}");
    assert!(!case.path("copy.db").exists());
}

#[test]
fn a_copy_that_does_not_fit_is_one_line_and_nothing_is_left_of_it() {
    let case = Case::new();
    case.push(0..10);
    let before = case.files();
    let ended = std::process::Command::new("/bin/sh")
        // A limit of files takes the place of a full disk: 8 blocks of 512 bytes or 1 KiB.
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_data-pusher"))
        .args(case.arguments("copy.db"))
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && said.lines().count() == 1, "{said}");
    assert!(said.contains("cannot write the copy") && said.contains("ulimit"), "{said}");
    assert_eq!(case.files(), before);
    case.push(10..11);
}

#[test]
fn the_copy_is_for_its_owner_only_and_what_is_said_fits_people_programs_and_cron() {
    let case = Case::new();
    case.push(0..7);
    let said = case.back_up("people.db", &[]);
    said.succeeded();
    assert!(said.stdout.is_empty() && said.stderr.lines().count() == 1, "{said:#?}");
    assert!(said.stderr.contains("people.db") && said.stderr.contains("7 events"), "{said:#?}");
    let said = case.back_up("cron.db", &["--quiet"]);
    said.succeeded();
    assert!(said.stdout.is_empty() && said.stderr.is_empty(), "{said:#?}");
    let said = case.back_up("program.db", &["--json"]);
    said.succeeded();
    let printed: Value = serde_json::from_str(&said.stdout).unwrap();
    let path = case.path("program.db");
    assert_eq!(printed["path"], path.display().to_string());
    assert_eq!(printed["bytes"], path.metadata().unwrap().len());
    assert_eq!((&printed["events"], &printed["deliveries"], &printed["accounts"]), (&json!(7), &json!(7), &json!(1)));
    assert!(printed["duration_ms"].is_u64() && said.stderr.is_empty(), "{said:#?}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

/// The values of a unit's lines `NAME=`.
fn lines_of<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn the_packaged_backup_copies_the_database_that_the_service_uses() {
    let service = include_str!("../../packaging/systemd/data-pusher.service");
    let unit = include_str!("../../packaging/systemd/data-pusher-backup.service");
    let database = |unit| {
        let variables: Vec<&str> = lines_of(unit, "Environment");
        variables.into_iter().find(|line| line.starts_with("DATA_PUSHER_DATABASE=")).unwrap().to_owned()
    };
    assert_eq!(database(unit), database(service));
    assert_eq!(lines_of(unit, "EnvironmentFile"), lines_of(service, "EnvironmentFile"));
    // What systemd runs, with the variable as an operator has set it.
    let server = Setup::guarded().start();
    server.client().create_account("ada");
    let script = lines_of(unit, "ExecStart")[0].strip_prefix("/bin/sh -c '").unwrap().strip_suffix('\'').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().to_str().unwrap();
    let script = script.replace("%%", "%").replace("/var/lib/data-pusher-backups", folder_name);
    let programs = Path::new(env!("CARGO_BIN_EXE_data-pusher")).parent().unwrap();
    for _ in 0..2 {
        let made = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .env("LC_ALL", "C")
            .env("DATA_PUSHER_DATABASE", server.setup().database_path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let copies: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    let accounts = Connection::open(copy).unwrap();
    let accounts: i64 = accounts.query_row("SELECT count(*) FROM account", [], |row| row.get(0)).unwrap();
    assert_eq!(accounts, 1);
}
