//! `data-pusher restore`: places where no database stands, or none can be put.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::client::NewAccount;
use crate::harness::server::{Ended, Halted, command, run_binary, run_binary_with};
use crate::harness::{Server, Setup};

/// A server with one event, and a backup `old.db` of it.
struct Case {
    server: Server,
    account: NewAccount,
}

impl Case {
    fn new() -> Self {
        let server = Setup::guarded().start();
        let account = server.client().create_account("ada");
        server.client().push(&account, "0");
        let case = Self { server, account };
        run_binary(&["backup", "--database", &case.text("test.db"), &case.text("old.db")]).succeeded();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.setup().folder().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn restore(&self, to: &str, from: &str) -> Ended {
        run_binary(&["restore", "--database", &self.text(to), &self.text(from)])
    }

    /// Names of all files, in their order.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.server.setup().folder()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn events(path: &Path) -> u64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_server_that_is_started_at_the_missing_place_meanwhile_is_refused_and_its_files_stay() {
    let case = Case::new();
    let place = case.path("new.db");
    let halted = Halted::at("copied", &["restore", "--database", &case.text("new.db"), &case.text("old.db")]);
    let setup = Setup::guarded().database(&place);
    let log = setup.try_start().err().unwrap();
    assert!(log.iter().any(|line| line.contains("another data-pusher server is using it")), "{log:#?}");
    let ended = halted.go_on();
    ended.succeeded();
    assert!(!ended.stderr.contains("before"), "{ended:#?}");
    let server = setup.start();
    assert_eq!(server.client().all(&format!("/v1/accounts/{}/events", case.account.id)).len(), 1);
    server.client().get("/readyz").expect(200);
}

#[test]
fn what_ends_a_restore_to_a_missing_place_leaves_nothing_there_or_what_a_next_try_takes() {
    let case = Case::new();
    let before = case.names();
    let arguments = ["restore", "--database", &case.text("new.db"), &case.text("old.db")];
    let halted = Halted::at("copied", &arguments);
    halted.signal(libc::SIGINT);
    let line = halted.go_on().refused();
    assert!(line.contains("interrupted"), "{line}");
    assert_eq!(case.names(), before);
    for point in ["copying", "copied", "restore-folded", "restore-logs-moved"] {
        let killed = run_binary_with(&[("DATA_PUSHER_TEST_KILL", point)], &arguments);
        assert_eq!(killed.code, Some(137), "{point}: {killed:#?}");
        case.restore("new.db", "old.db").succeeded();
        assert_eq!(events(&case.path("new.db")), 1, "{point}");
        assert!(!case.names().iter().any(|name| name.contains("before-restore")), "{point}: {:?}", case.names());
        for name in case.names().iter().filter(|name| name.starts_with("new.db")) {
            std::fs::remove_file(case.path(name)).unwrap();
        }
    }
}

#[test]
fn a_log_whose_database_was_moved_away_is_named_and_can_be_brought_back() {
    for as_json in [true, false] {
        let mut case = Case::new();
        for number in 1..=20 {
            case.server.client().push(&case.account, number.to_string());
        }
        // A slip, while the server runs.
        std::fs::rename(case.path("test.db"), case.path("moved.db")).unwrap();
        let (database, from) = (case.text("test.db"), case.text("old.db"));
        let flags: &[&str] = if as_json { &["--json"] } else { &[] };
        let said = run_binary(&[&["restore", "--database", &database, &from], flags].concat());
        said.succeeded();
        let names = case.names();
        let log = names.iter().find(|name| name.contains("test.db.before-restore-") && name.ends_with("-wal")).unwrap();
        let length = case.path(log).metadata().unwrap().len();
        let remark = if as_json {
            let printed: Value = serde_json::from_str(&said.stdout).unwrap();
            assert_eq!(printed["before"], json!(null), "{printed}");
            printed["remarks"][0].as_str().unwrap().to_owned()
        } else {
            said.stderr.clone()
        };
        assert!(remark.contains(log) && remark.contains(&format!("{length} bytes")), "{remark}");
        case.server.kill();
        // The database that was moved says what it lacks, and where that may be.
        let checked = run_binary(&["check", "--database", &case.text("moved.db")]);
        assert_eq!(checked.code, Some(1), "{checked:#?}");
        assert!(checked.stdout.contains("*.before-restore-*-wal"), "{checked:#?}");
        let refused = Setup::guarded().database(&case.path("moved.db")).try_start().err().unwrap().join("\n");
        assert!(refused.contains("*.before-restore-*-wal"), "{refused}");
        std::fs::rename(case.path(log), case.path("moved.db-wal")).unwrap();
        let server = Setup::guarded().database(&case.path("moved.db")).start();
        assert_eq!(server.client().all(&format!("/v1/accounts/{}/events", case.account.id)).len(), 21);
        assert_eq!(events(&case.path("test.db")), 1);
    }
}

#[test]
fn a_folder_that_is_missing_and_the_same_file_under_another_name_are_refused() {
    let mut case = Case::new();
    case.server.terminate();
    std::fs::hard_link(case.path("old.db"), case.path("link.db")).unwrap();
    std::os::unix::fs::symlink(case.path("old.db"), case.path("soft.db")).unwrap();
    let before = case.names();
    for (to, from, about) in [
        ("new/", "old.db", "it is a folder"),
        ("new/.", "old.db", "it is a folder"),
        ("none/new.db", "old.db", "its folder"),
        ("link.db", "old.db", "the very file"),
        ("old.db", "link.db", "the very file"),
        ("soft.db", "old.db", "the very file"),
    ] {
        let line = case.restore(to, from).refused();
        assert!(line.contains(about), "{to}: {line}");
        assert_eq!(case.names(), before, "{to}");
    }
}

#[test]
fn a_file_that_is_a_mount_of_its_own_is_refused_and_no_copy_of_it_is_left() {
    let mut case = Case::new();
    case.server.terminate();
    let (database, from) = (case.text("test.db"), case.text("old.db"));
    let mount = "mount --bind \"$2\" \"$2\" || exit 77; exec \"$0\" restore --database \"$2\" \"$1\"";
    let binary = env!("CARGO_BIN_EXE_data-pusher");
    let words = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, binary, &from, &database];
    let before = case.names();
    for no_exchange in [false, true] {
        let mut mounted = command(&words.map(str::to_owned));
        if no_exchange {
            mounted.env("DATA_PUSHER_TEST_NO_EXCHANGE", "1");
        }
        let ended = mounted.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        // Not every machine lets its users mount.
        if ended.status.code() == Some(77) || said.starts_with("unshare:") {
            return;
        }
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("a mount of its own") && said.lines().count() == 1, "{said}");
        assert_eq!(case.names(), before);
        assert_eq!(events(&case.path("test.db")), 1);
    }
}

#[test]
fn what_was_restored_stays_restored_where_that_cannot_be_printed() {
    let mut case = Case::new();
    case.server.terminate();
    let words = ["restore", "--json", "--database", &case.text("new.db"), &case.text("old.db")].map(str::to_owned);
    let full = std::fs::File::create("/dev/full").unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_data-pusher")).args(words).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("standard output"), "{ended:?}");
    assert_eq!(events(&case.path("new.db")), 1);
    let help = run_binary(&["restore", "--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("or the output could not be written"), "{help}");
}
