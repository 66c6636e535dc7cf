//! What people do to the file, and to the files beside it, while the server runs.

use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::json;

use crate::harness::client::{NewAccount, text};
use crate::harness::{Receiver, Server, Setup, wait_until};

struct Case {
    server: Server,
    account: NewAccount,
    receiver: Receiver,
    accepted: usize,
}

impl Case {
    fn new() -> Self {
        let (server, receiver) = (Setup::dev().start(), Receiver::start());
        let client = server.client();
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        let mut case = Self { server, account, receiver, accepted: 0 };
        case.push_one();
        case
    }

    fn push_one(&mut self) {
        assert_eq!(self.push(), 202);
        self.accepted += 1;
    }

    fn push(&self) -> u16 {
        self.server.client().push_with(&self.account.token, &[], b"{}").status
    }

    /// Pushes until an event is refused, and returns the code. Events accepted before that are counted.
    fn refused(&mut self) -> String {
        wait_until("it takes no more", || {
            let answer = self.server.client().push_with(&self.account.token, &[], b"{}");
            if answer.status == 202 {
                self.accepted += 1;
                return None;
            }
            Some(text(&answer.problem(503), "code"))
        })
    }

    fn away(&self) -> PathBuf {
        self.server.setup().folder().join("away.db")
    }

    fn wait_for_log(&self, words: &str) {
        wait_until(words, || self.server.log.lines().iter().any(|line| line.contains(words)).then_some(()));
    }
}

#[test]
fn nothing_is_acknowledged_while_the_file_is_away_and_it_goes_on_once_it_is_back() {
    let mut case = Case::new();
    let database = case.server.setup().database_path().to_owned();
    std::fs::rename(&database, case.away()).unwrap();
    assert_eq!(case.refused(), "storage_moved");
    case.server.client().get("/readyz").problem(503);
    std::fs::rename(case.away(), &database).unwrap();
    wait_until("it takes events again", || (case.push() == 202).then_some(()));
    case.wait_for_log("the database file is back");
    case.receiver.wait_for("/in", 2);
    case.server.terminate();
}

#[test]
fn a_file_that_goes_is_noticed_without_anybody_asking() {
    let case = Case::new();
    std::fs::remove_file(case.server.setup().database_path()).unwrap();
    case.wait_for_log("moved, replaced or removed");
}

#[test]
fn a_stop_while_another_file_stands_there_leaves_that_alone_and_the_log_where_it_was() {
    let mut case = Case::new();
    let database = case.server.setup().database_path().to_owned();
    std::fs::rename(&database, case.away()).unwrap();
    std::fs::write(&database, "a letter").unwrap();
    case.refused();
    case.server.terminate();
    assert_eq!(std::fs::read(&database).unwrap(), b"a letter");
    // The file that was moved asks for its log, and then goes on with it.
    let setup = case.server.setup().clone().database(&case.away());
    let refused = setup.run();
    assert!(refused.code == Some(1) && refused.stderr.contains("away.db-wal"), "{refused:?}");
    std::fs::rename(case.server.companion("-wal"), case.server.setup().folder().join("away.db-wal")).unwrap();
    let server = setup.start();
    assert_eq!(server.client().all(&format!("/v1/accounts/{}/events", case.account.id)).len(), case.accepted);
}

#[test]
fn a_backup_that_is_copied_over_the_running_server_s_file_is_left_as_it_is() {
    let mut case = Case::new();
    let database = case.server.setup().database_path().to_owned();
    let backup = case.away().display().to_string();
    Connection::open(&database).unwrap().execute("VACUUM INTO ?1", [&backup]).unwrap();
    assert_eq!(case.push(), 202);
    std::fs::copy(&backup, &database).unwrap();
    case.wait_for_log("written over");
    assert_eq!(case.push(), 503);
    case.server.terminate();
    assert!(std::fs::read(&database).unwrap() == std::fs::read(&backup).unwrap());
}

#[test]
fn what_a_log_held_that_was_removed_is_in_the_file_after_the_stop() {
    for ending in ["-wal", "-shm"] {
        let mut case = Case::new();
        std::fs::remove_file(case.server.companion(ending)).unwrap();
        case.refused();
        case.server.terminate();
        case.server.start_again();
        let events = case.server.client().all(&format!("/v1/accounts/{}/events", case.account.id));
        assert_eq!(events.len(), case.accepted, "{ending}");
        assert_eq!(case.push(), 202);
    }
}

#[test]
fn a_log_that_was_removed_is_saved_at_the_stop_also_while_another_program_reads() {
    let mut case = Case::new();
    case.push_one();
    // SQLite copies a log when its last connection closes, and this one stays open.
    let reader = Connection::open(case.server.setup().database_path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    std::fs::remove_file(case.server.companion("-wal")).unwrap();
    case.wait_for_log("nothing is stored any more");
    case.server.terminate();
    drop(reader);
    case.server.start_again();
    let events = case.server.client().all(&format!("/v1/accounts/{}/events", case.account.id));
    assert_eq!(events.len(), case.accepted);
    assert_eq!(case.push(), 202);
}

#[test]
fn companions_lie_beside_the_file_that_a_link_leads_to() {
    let setup = Setup::guarded();
    let folder = setup.folder().join("data");
    std::fs::create_dir(&folder).unwrap();
    // The link leads nowhere until the first start.
    std::os::unix::fs::symlink(folder.join("real.db"), setup.database_path()).unwrap();
    let mut server = setup.start();
    for ending in ["", "-wal", ".admin-token", ".login"] {
        assert!(folder.join(format!("real.db{ending}")).exists(), "{ending}");
    }
    let token = std::fs::read_to_string(folder.join("real.db.admin-token")).unwrap();
    server.client().with_admin_token(Some(token.trim())).get("/v1/accounts").expect(200);
    server.terminate();
    // An earlier version kept the token file beside the link. The start moves it.
    std::fs::rename(folder.join("real.db.admin-token"), server.admin_token_path()).unwrap();
    server.start_again();
    assert_eq!(std::fs::read_to_string(folder.join("real.db.admin-token")).unwrap(), token);
}

#[test]
fn a_name_that_sqlite_would_take_for_something_else_is_a_plain_file() {
    for name in [":memory:", "file:x.db", "file:x.db?mode=memory", "a b%20?#'.db"] {
        let setup = Setup::dev();
        let path = setup.folder().join(name);
        let mut server = setup.clone().database(&path).start();
        let client = server.client();
        let account = client.create_account("ada");
        client.push(&account, "{}");
        server.kill();
        assert!(path.metadata().unwrap().len() > 0, "{name}");
        let server = setup.clone().database(&path).start();
        assert_eq!(server.client().all("/v1/accounts").len(), 1, "{name}");
    }
}
