//! What was acknowledged, and what a file or a server has of that. Copies and backups as people make them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};
use serde_json::json;

use super::host::Host;
use crate::file::{self, with_ending};
use crate::harness::client::{NewAccount, text};
use crate::harness::{Client, wait_until};
use crate::ledger::Ledger;

/// Numbers of events.
pub type Numbers = BTreeSet<u64>;

/// Endings of the files that may stand beside a database.
pub const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Token of the account in files of earlier versions, and its SHA-256.
const OLD_TOKEN: &str = "a token of version 3";
const OLD_DIGEST: &str = "fd290f29c727f6aea628fe4611e6a5c6193462cec4f3240ca268ebd4b714a93c";

/// Application id of a data-pusher file: "DPsh".
const APPLICATION_ID: i64 = 0x4450_7368;

/// Sends `count` events, which must all be accepted. Returns their numbers.
#[track_caller]
pub fn push(host: &Host, ledger: &Ledger, account: &NewAccount, count: usize) -> Numbers {
    let before = numbers(ledger);
    let client = host.client();
    for _ in 0..count {
        assert!(ledger.send(&client, &account.token), "no answer: {}", host.log());
    }
    let new: Numbers = numbers(ledger).difference(&before).copied().collect();
    assert_eq!(new.len(), count, "refused: {}", host.log());
    new
}

/// Numbers of the events that were acknowledged so far.
pub fn numbers(ledger: &Ledger) -> Numbers {
    ledger.acknowledged().into_keys().collect()
}

/// Numbers of the account's events according to the server.
#[track_caller]
pub fn served(client: &Client, account: &NewAccount) -> Numbers {
    let events = client.all(&format!("/v1/accounts/{}/events?limit=200", account.id));
    let number = |id: &str| client.get(&format!("/v1/events/{id}")).expect(200).json()["payload"]["n"].as_u64();
    events.iter().map(|event| number(&text(event, "event_id")).expect("a number")).collect()
}

/// Numbers of the events in a file that no server uses. The file must be whole. A copy is read, so file and log do not
/// change.
#[track_caller]
pub fn stored(database: &Path) -> Numbers {
    let folder = tempfile::tempdir().unwrap();
    let copy = file::copy(database, folder.path());
    file::deliveries_by_event(&file::open_whole(&copy)).into_keys().collect()
}

/// Checks that a clean stop left no companion beside the file.
#[track_caller]
pub fn stands_alone(database: &Path) {
    for ending in COMPANIONS {
        assert!(!with_ending(database, ending).exists(), "{}{ending} stays", database.display());
    }
}

/// Moves or copies a file, and its log if there is one.
pub fn with_log(from: &Path, to: &Path, act: fn(&Path, &Path)) {
    act(from, to);
    let [from, to] = [from, to].map(|path| with_ending(path, "-wal"));
    if from.exists() {
        act(&from, &to);
    }
}

/// `cp`: overwrites the file that stands there.
pub fn cp(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("cp {} {}: {error}", from.display(), to.display()));
}

/// `mv`: replaces the file that stands there.
pub fn mv(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap_or_else(|error| panic!("mv {} {}: {error}", from.display(), to.display()));
}

/// `VACUUM INTO`.
pub fn vacuum_into(from: &Path, to: &Path) {
    Connection::open(from).unwrap().execute("VACUUM INTO ?1", [to.display().to_string()]).unwrap();
}

/// `.backup` of the `sqlite3` shell.
pub fn back_up(from: &Path, to: &Path) {
    let (from, to) = (Connection::open(from).unwrap(), Connection::open(to).unwrap());
    // SAFETY: both connections outlive the copy, and `main` is a database of each.
    unsafe {
        let name = c"main".as_ptr();
        let copy = ffi::sqlite3_backup_init(to.handle(), name, from.handle(), name);
        let stepped = wait_until("the pages are copied", || {
            let code = ffi::sqlite3_backup_step(copy, -1);
            (code != ffi::SQLITE_BUSY).then_some(code)
        });
        assert_eq!((stepped, ffi::sqlite3_backup_finish(copy)), (ffi::SQLITE_DONE, ffi::SQLITE_OK));
    }
}

/// `data-pusher backup`.
#[track_caller]
pub fn back_up_by_command(from: &Path, to: &Path) {
    let paths = [from, to].map(|path| path.display().to_string());
    let ended = crate::harness::server::run_binary(&["backup", "--database", &paths[0], &paths[1]]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// Whether a log holds frames since its last restart. If so, its first frame has the salts of its header
/// (<https://sqlite.org/fileformat2.html>, section 4.1).
pub fn holds_frames(log: &Path) -> bool {
    let bytes = std::fs::read(log).unwrap();
    matches!((bytes.get(16..24), bytes.get(40..48)), (Some(header), Some(frame)) if header == frame)
}

/// Makes the server write log lines: two for each time that its file is moved away and back.
#[track_caller]
pub fn chatter(client: &Client, database: &Path, times: usize) {
    let away = with_ending(database, "-moved");
    for _ in 0..times {
        mv(database, &away);
        is_ready(client, false);
        mv(&away, database);
        is_ready(client, true);
    }
}

/// Waits until `/readyz` answers as `ready` says. A transaction that began before may still answer once in the old way.
#[track_caller]
pub fn is_ready(client: &Client, ready: bool) {
    let status = if ready { 200 } else { 503 };
    wait_until(&format!("/readyz answers {status}"), || (client.get("/readyz").status == status).then_some(()));
}

/// Creates a file of version 3 with these events, as after a clean stop. Returns its account.
pub fn of_version_3(database: &Path, events: &Numbers) -> NewAccount {
    let file = Connection::open(database).unwrap();
    let hour_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    file.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    file.execute_batch(include_str!("../../schemas/3.sql")).unwrap();
    file.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 3;
         INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
         VALUES ('acc_old', 'old@example.com', 'old@example.com', 'Old', x'{OLD_DIGEST}', 'on 3', 0, 0)"
    ))
    .unwrap();
    for (at, number) in (0_i64..).zip(events) {
        file.execute(
            "INSERT INTO event (id, account_key, received_at, payload) VALUES (?1, 1, ?2, ?3)",
            (((hour_ago + at) << 21), hour_ago + at, json!({"n": number}).to_string().into_bytes()),
        )
        .unwrap();
    }
    drop(file);
    stands_alone(database);
    NewAccount { id: "acc_old".to_owned(), token: OLD_TOKEN.to_owned() }
}

/// The copy that the upgrade from version 3 left.
#[track_caller]
pub fn upgrades_copy(database: &Path) -> PathBuf {
    let beginning = format!("{}.v3-", database.file_name().unwrap().display());
    let names = std::fs::read_dir(database.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let copies: Vec<PathBuf> =
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&beginning)).collect();
    assert!(!copies.is_empty(), "the upgrade has left no copy");
    copies[0].clone()
}
