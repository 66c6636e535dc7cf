//! `data-pusher restore`: a kill at any moment leaves something whole, and nothing is lost of what stood there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::client::NewAccount;
use crate::harness::server::{Ended, run_binary, run_binary_with};
use crate::harness::{Server, Setup};

/// A server on `test.db`, and a backup `old.db` of it with events 0, 1 and 2. The file has 3 and 4 besides.
struct Case {
    server: Server,
    account: NewAccount,
}

const OLD: [u64; 3] = [0, 1, 2];
const ALL: [u64; 5] = [0, 1, 2, 3, 4];

impl Case {
    fn new() -> Self {
        let server = Setup::guarded().start();
        let account = server.client().create_account("ada");
        let case = Self { server, account };
        case.push(&OLD);
        let made = run_binary(&["backup", "--database", &case.database(), &case.text("old.db")]);
        assert_eq!(made.code, Some(0), "{made:#?}");
        case.push(&ALL[3..]);
        case
    }

    fn push(&self, numbers: &[u64]) {
        for number in numbers {
            self.server.client().push(&self.account, number.to_string());
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.setup().folder().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn database(&self) -> String {
        self.text("test.db")
    }

    #[track_caller]
    fn restore(&self, name: &str) -> Ended {
        run_binary(&["restore", "--database", &self.database(), &self.text(name)])
    }

    /// Files that hold what stood there before.
    fn kept(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.server.setup().folder()).unwrap();
        let mut kept: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        kept.retain(|path| path.display().to_string().contains("test.db.before-restore-2"));
        kept.sort();
        kept
    }

    /// The numbers that a server on the file serves. It is stopped then.
    #[track_caller]
    fn served(&mut self) -> Vec<u64> {
        let setup = self.server.setup().clone();
        self.server = setup.start();
        let client = self.server.client();
        let events = client.all(&format!("/v1/accounts/{}/events", self.account.id));
        assert_eq!(client.push_with(&self.account.token, &[], b"{}").status, 202);
        let mut numbers: Vec<u64> = events
            .iter()
            .map(|event| client.get(&format!("/v1/events/{}", event["event_id"].as_str().unwrap())).expect(200).json())
            .filter_map(|event| {
                event["payload"].as_str().and_then(|payload| payload.parse().ok()).or(event["payload"].as_u64())
            })
            .collect();
        numbers.sort_unstable();
        self.server.terminate();
        numbers
    }
}

/// The numbers in a file that nobody uses, with what its log holds.
fn numbers(path: &Path) -> Vec<u64> {
    let file = Connection::open(path).unwrap();
    let mut events = file.prepare("SELECT CAST(payload AS TEXT) FROM event ORDER BY id").unwrap();
    let events = events.query_map([], |row| row.get::<_, String>(0)).unwrap();
    events.filter_map(|number| number.unwrap().parse().ok()).collect()
}

#[test]
fn a_backup_is_restored_and_what_stood_there_is_kept_whole() {
    for crashed in [false, true] {
        let mut case = Case::new();
        let token = case.server.admin_token();
        if crashed {
            case.server.kill();
        } else {
            case.server.terminate();
        }
        let said = case.restore("old.db");
        said.succeeded();
        assert!(said.stderr.contains("3 events") && said.stderr.contains("before-restore-"), "{said:#?}");
        // One file, as after a clean stop.
        let [kept] = case.kept().try_into().unwrap();
        run_binary(&["check", "--database", &kept.display().to_string()]).succeeded();
        assert_eq!(case.served(), OLD);
        assert_eq!(case.server.admin_token(), token);
        assert_eq!(numbers(&kept), ALL);
        // And back again.
        case.restore(kept.file_name().unwrap().to_str().unwrap()).succeeded();
        assert_eq!(case.served(), ALL);
        assert_eq!(case.kept().len(), 2);
    }
}

#[test]
fn a_file_in_use_is_refused_and_left_alone() {
    let mut case = Case::new();
    let line = case.restore("old.db").refused();
    assert!(line.contains("another data-pusher server is using it"), "{line}");
    case.push(&[5]);
    case.server.terminate();
    // Another program reads what a crash left.
    case.server.start_again();
    case.server.kill();
    let reader = Connection::open(case.path("test.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    let line = case.restore("old.db").refused();
    assert!(line.contains("another program is using it"), "{line}");
    drop(reader);
    assert!(case.kept().is_empty());
    assert_eq!(case.served(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_kill_at_any_point_leaves_the_old_state_or_the_new_one_and_the_next_try_succeeds() {
    let points = [
        ("copying", "", &ALL[..]),
        ("copied", "", &ALL),
        ("restore-folded", "", &ALL),
        ("restore-logs-moved", "", &ALL),
        ("restore-exchanged", "", &OLD),
        ("restore-kept", "1", &ALL),
    ];
    for crashed in [false, true] {
        for (point, no_exchange, expected) in points {
            let mut case = Case::new();
            if crashed {
                case.server.kill();
            } else {
                case.server.terminate();
            }
            let mut variables = vec![("DATA_PUSHER_TEST_KILL", point)];
            if !no_exchange.is_empty() {
                variables.push(("DATA_PUSHER_TEST_NO_EXCHANGE", no_exchange));
            }
            let (database, from) = (case.database(), case.text("old.db"));
            let killed = run_binary_with(&variables, &["restore", "--database", &database, &from]);
            assert_eq!(killed.code, Some(137), "{point}: {killed:#?}");
            assert_eq!(case.served(), expected, "{point}, crashed {crashed}");
            let again = case.restore("old.db");
            again.succeeded();
            assert_eq!(case.served(), OLD, "{point}, crashed {crashed}");
            // What stood there before the kill is still there, under one name or another.
            let entries = std::fs::read_dir(case.server.setup().folder()).unwrap();
            let names: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            let beside = |path: &&PathBuf| {
                let name = path.display().to_string();
                name.contains("test.db.")
                    && !name.ends_with("-token")
                    && !name.ends_with("-wal")
                    && !name.ends_with("-shm")
            };
            let keeps = |path: &PathBuf| {
                let checked = run_binary(&["check", "--database", &path.display().to_string()]);
                checked.code == Some(0) && numbers(path) == ALL
            };
            assert!(names.iter().filter(beside).any(keeps), "{point}, crashed {crashed}: {names:?}");
        }
    }
}

#[test]
fn a_file_that_root_restores_belongs_to_the_user_of_the_old_one() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let mut case = Case::new();
    case.server.terminate();
    // Only root can give a file away; other users keep theirs.
    let given = std::os::unix::fs::chown(case.path("test.db"), Some(12_345), None).is_ok();
    case.restore("old.db").succeeded();
    let meta = case.path("test.db").metadata().unwrap();
    assert_eq!(meta.uid() == 12_345, given);
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
}

#[test]
fn where_two_files_cannot_change_places_the_old_one_is_copied() {
    let mut case = Case::new();
    case.server.terminate();
    let (database, from) = (case.database(), case.text("old.db"));
    let variables = [("DATA_PUSHER_TEST_NO_EXCHANGE", "1")];
    run_binary_with(&variables, &["restore", "--database", &database, &from]).succeeded();
    assert_eq!(case.served(), OLD);
    let [kept] = case.kept().try_into().unwrap();
    assert_eq!(numbers(&kept), ALL);
}

#[test]
fn what_is_not_ours_damaged_or_newer_is_refused_and_nothing_changes() {
    let mut case = Case::new();
    case.server.terminate();
    let (path, before) = (|name: &str| case.path(name), std::fs::read(case.path("test.db")).unwrap());
    std::fs::write(path("letter.db"), "a letter to my bank").unwrap();
    std::fs::write(path("empty.db"), "").unwrap();
    Connection::open(path("foreign.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    for name in ["newer.db", "damaged.db", "cut.db"] {
        std::fs::copy(path("old.db"), path(name)).unwrap();
    }
    Connection::open(path("newer.db")).unwrap().pragma_update(None, "user_version", 9_999).unwrap();
    let mut bytes = std::fs::read(path("old.db")).unwrap();
    let length = bytes.len();
    bytes.truncate(length - 4_096);
    std::fs::write(path("cut.db"), &bytes).unwrap();
    // The root of a table.
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'delivery'";
    let root: usize = Connection::open(path("old.db")).unwrap().query_row(root, [], |row| row.get(0)).unwrap();
    let mut bytes = std::fs::read(path("old.db")).unwrap();
    bytes[(root - 1) * 4_096..(root - 1) * 4_096 + 64].fill(0xaa);
    std::fs::write(path("damaged.db"), bytes).unwrap();
    let others: BTreeSet<_> =
        std::fs::read_dir(case.server.setup().folder()).unwrap().map(|e| e.unwrap().path()).collect();
    for (name, about) in [
        ("letter.db", "not a SQLite database"),
        ("empty.db", "it is empty"),
        ("foreign.db", "another program"),
        ("newer.db", "version 9999"),
        ("damaged.db", "damaged.db"),
        ("cut.db", "cut.db"),
        ("none.db", "no such file"),
        ("test.db", "the very file"),
        (".", "no ordinary file"),
    ] {
        let line = case.restore(name).refused();
        assert!(line.contains(about), "{name}: {line}");
    }
    assert!(std::fs::read(path("test.db")).unwrap() == before);
    let after: BTreeSet<_> =
        std::fs::read_dir(case.server.setup().folder()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(after, others);
    let usage = run_binary(&["restore", "--database", &case.database()]);
    assert_eq!(usage.code, Some(2), "{usage:#?}");
}

#[test]
fn a_log_that_was_left_never_touches_the_restored_file() {
    // The file was removed after a crash, and its log left.
    let mut case = Case::new();
    case.server.kill();
    std::fs::remove_file(case.path("test.db")).unwrap();
    case.restore("old.db").succeeded();
    let [kept] = case.kept().try_into().unwrap();
    assert!(kept.display().to_string().ends_with("-wal"), "{kept:?}");
    assert_eq!(case.served(), OLD);

    // The file is damaged beyond what a start can read, and its log is kept with it.
    let mut case = Case::new();
    case.server.kill();
    std::fs::write(case.path("test.db"), "not a database any more").unwrap();
    case.restore("old.db").succeeded();
    let kept = case.kept();
    assert!(kept.len() == 2 && std::fs::read(&kept[0]).unwrap() == b"not a database any more", "{kept:?}");
    assert_eq!(kept[1].display().to_string(), format!("{}-wal", kept[0].display()));
    assert_eq!(case.served(), OLD);
}

#[test]
fn a_copy_that_was_made_after_a_crash_is_restored_with_its_log_or_refused_without() {
    let mut case = Case::new();
    case.server.kill();
    std::fs::copy(case.path("test.db"), case.path("copy.db")).unwrap();
    let line = case.restore("copy.db").refused();
    assert!(line.contains("move the log there"), "{line}");
    std::fs::copy(case.path("test.db-wal"), case.path("copy.db-wal")).unwrap();
    std::fs::remove_file(case.path("test.db")).unwrap();
    std::fs::remove_file(case.path("test.db-wal")).unwrap();
    case.restore("copy.db").succeeded();
    assert_eq!(case.served(), ALL);
    // The log of another file is not included.
    std::fs::copy(case.path("old.db"), case.path("mixed.db")).unwrap();
    std::fs::copy(case.path("copy.db-wal"), case.path("mixed.db-wal")).unwrap();
    let line = case.restore("mixed.db").refused();
    assert!(line.contains("belongs to another file"), "{line}");
}

#[test]
fn a_restore_says_for_programs_what_it_did() {
    let mut case = Case::new();
    case.server.terminate();
    std::fs::write(case.path("test.db.restoring-20200101T000000.000Z"), "").unwrap();
    let (database, from) = (case.database(), case.text("old.db"));
    let said = run_binary(&["restore", "--json", "--database", &database, &from]);
    said.succeeded();
    let printed: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&printed["path"], &printed["events"]), (&json!(database), &json!(3)));
    assert_eq!(printed["before"], case.kept()[0].display().to_string());
    let remark = printed["remarks"][0].as_str().unwrap();
    assert!(remark.contains("restoring-20200101") && said.stderr.is_empty(), "{said:#?}");
}
