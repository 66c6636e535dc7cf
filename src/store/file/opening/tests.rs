use std::fs::OpenOptions;
use std::path::PathBuf;

use super::*;
use crate::store::file::companions::{owner_only, sibling_path};
use crate::store::file::identity::mark::Mark;
use crate::store::file::schema::new_cookie;

/// Opens the file at `path`, as a server does.
pub fn open_at(path: &Path) -> Result<(HeldFile, Connection)> {
    let held = hold(path)?;
    let (connection, _) = open(&held, Timestamp::EPOCH)?;
    Ok((held, connection))
}

/// Closes the file as a server does that stops.
pub fn close(held: HeldFile, connection: Connection) {
    Marker::new(&connection).unwrap().commit(&connection, &held, false).unwrap();
    keep_log(&connection, false).unwrap();
    drop(connection);
    leave_alone(&held);
}

/// Leaves the file as a kill does, with the WAL as it is.
fn kill(held: HeldFile, connection: Connection) {
    std::mem::forget(connection);
    drop(held);
}

#[test]
fn a_new_file_has_the_current_version_and_reopens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (held, connection) = open_at(&path).unwrap();
    close(held, connection);
    let (_held, connection) = open_at(&path).unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let vacuum: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).unwrap();
    assert_eq!((version, vacuum), (VERSION, 2));
}

#[test]
fn a_start_waits_for_another_program_that_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (held, connection) = open_at(&path).unwrap();
    kill(held, connection);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = std::thread::spawn(move || {
        std::thread::sleep(4 * REPEATED_LOCK_TIMEOUT);
        other.execute_batch("COMMIT").unwrap();
    });
    open_at(&path).unwrap();
    held.join().unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(open_at(&path).unwrap_err().detail().contains("another program"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    let (held, connection) = open_at(&path).unwrap();
    connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    close(held, connection);
    assert!(open_at(&path).unwrap_err().detail().contains("newer data-pusher"));
}

/// Schemas of earlier versions, as their files have them.
const EARLIER: [&str; VERSION as usize - 1] = [
    include_str!("../../../../tests/schemas/1.sql"),
    include_str!("../../../../tests/schemas/2.sql"),
    include_str!("../../../../tests/schemas/3.sql"),
    include_str!("../../../../tests/schemas/4.sql"),
    include_str!("../../../../tests/schemas/5.sql"),
    include_str!("../../../../tests/schemas/6.sql"),
];

fn earlier(path: &Path, version: usize) -> Connection {
    owner_only(OpenOptions::new().create(true).truncate(false).write(true)).open(path).unwrap();
    let file = connect(path).unwrap();
    file.execute_batch(EARLIER[version - 1]).unwrap();
    file.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    file.pragma_update(None, "user_version", version).unwrap();
    if version as i64 >= MARKED_SINCE {
        let cookie = new_cookie();
        file.pragma_update(None, "schema_version", cookie).unwrap();
        file.execute("INSERT INTO log_mark (id, mark) VALUES (1, ?1)", [Mark::first(cookie).bytes()]).unwrap();
    }
    file
}

/// The SQL of the schema, without comments and white space.
fn schema(file: &Connection) -> Vec<String> {
    let mut made = file.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name").unwrap();
    let made = made.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let bare = |line: &str| line.split("--").next().unwrap_or_default().split_whitespace().collect::<String>();
    made.map(|sql| sql.unwrap().lines().map(bare).collect()).collect()
}

#[test]
fn a_file_that_is_carried_forward_has_the_schema_of_a_new_one() {
    for version in 1..=EARLIER.len() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.db"), folder.path().join("new.db"));
        drop(earlier(&old, version));
        let ((_old, carried), (_new, fresh)) = (open_at(&old).unwrap(), open_at(&new).unwrap());
        assert_eq!(schema(&carried), schema(&fresh), "{version}");
        for pragma in ["user_version", "application_id", "auto_vacuum"] {
            let value = |file: &Connection| file.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
            assert_eq!(value(&carried).unwrap(), value(&fresh).unwrap(), "{version}: {pragma}");
        }
    }
}

#[test]
fn a_file_that_is_carried_forward_keeps_its_rows_and_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let rows = "INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at,
             updated_at) VALUES ('a', 'a@a', 'a@a', 'A', x'00', 'oken', 0, 0);
         INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at,
             updated_at) VALUES ('d', 1, 'http://h/', 'POST', '{}', x'00', 0, 0), ('e', 1, '', '', '', x'00', 0, 0);
         INSERT INTO event (id, account_key, received_at, payload) VALUES (1, 1, 0, x'7b7d'), (3, 1, 0, x'7b7d');
         INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at)
             VALUES (2, 1, 1, 0, 0, 0, 0), (4, 3, 1, 0, 0, 0, 0)";
    earlier(&path, 1).execute_batch(rows).unwrap();
    let (_held, file) = open_at(&path).unwrap();
    let text = |query: &str| file.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT group_concat(concat_ws(' ', id, event_id, destination_key)) FROM delivery"), "2 1 1,4 3 1");
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("SELECT group_concat(concat_ws(' ', key, first_id)) FROM destination"), "1 0,2 4");
    file.execute("DELETE FROM destination WHERE key = 1", []).unwrap();
    assert_eq!(text("SELECT concat(count(*)) FROM delivery"), "0");
}

#[test]
fn a_file_whose_schema_another_program_changed_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    earlier(&path, 2)
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'destination_key  INTEGER', 'destination_key INTEGER')",
        )
        .unwrap();
    assert!(open_at(&path).unwrap_err().detail().contains("another program"));
    let version: i64 = connect(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}

/// The copies beside the file at `path`.
fn copies(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let mut copies: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    copies.retain(|entry| entry.to_string_lossy().contains("a.db.v"));
    copies.sort();
    copies
}

#[test]
fn an_older_file_is_copied_aside_before_it_is_carried_forward() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(earlier(&path, 1));
    // What an earlier try left halfway is not a copy.
    std::fs::write(sibling_path(&path, ".v1.part"), "half").unwrap();
    let (held, file) = open_at(&path).unwrap();
    close(held, file);
    let [copy] = copies(&path).try_into().unwrap();
    assert_eq!(copy, sibling_path(&path, ".v1-19700101T000000.000Z"));
    let file = Connection::open(&copy).unwrap();
    assert_eq!(file.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    let in_memory = Connection::open_in_memory().unwrap();
    in_memory.execute_batch(EARLIER[0]).unwrap();
    assert_eq!(schema(&file), schema(&in_memory));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn each_upgrade_has_a_copy_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    for upgrades in 1..=3 {
        let file = earlier(&path, 3);
        file.execute_batch(&format!("PRAGMA schema_version = {upgrades}")).unwrap();
        drop(file);
        let (held, file) = open_at(&path).unwrap();
        close(held, file);
        assert_eq!(copies(&path).len(), upgrades);
        // The way back to the earlier version: the copy is put in the file's place.
        std::fs::remove_file(&path).unwrap();
    }
    let (held, file) = open_at(&copies(&path)[0]).unwrap();
    assert_eq!(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    close(held, file);
}

/// What a server leaves that is killed right after it has carried a file with a mark forward.
fn killed_after_migration(path: &Path) -> i64 {
    drop(earlier(path, 4));
    let held = hold(path).unwrap();
    let mut connection = connect(path).unwrap();
    migrate_marked(&held, &mut connection, 4, Timestamp::EPOCH).unwrap();
    kill(held, connection);
    i64::from(hold(path).unwrap().header().unwrap().unwrap().version)
}

#[test]
fn a_file_with_a_mark_is_carried_forward_though_the_server_is_killed_before_its_log_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    assert_eq!(killed_after_migration(&path), 4, "the migration is in the log alone");
    let (held, file) = open_at(&path).unwrap();
    let version = |file: &Connection| file.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((version(&file), copies(&path).len()), (VERSION, 1));
    close(held, file);
    let (_held, file) = open_at(&path).unwrap();
    assert_eq!(version(&file), VERSION);
}

#[test]
fn a_file_with_a_mark_that_cannot_be_carried_forward_needs_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    earlier(&path, 4).execute_batch("ALTER TABLE tally RENAME TO gone").unwrap();
    for _ in 0..2 {
        assert!(open_at(&path).unwrap_err().detail().contains("no such table: tally"));
        assert!(!sibling_path(&path, "-wal").exists());
    }
    connect(&path).unwrap().execute_batch("ALTER TABLE gone RENAME TO tally").unwrap();
    open_at(&path).unwrap();
}

#[test]
fn recent_counts_of_an_older_file_get_zeros_for_what_was_not_counted() {
    for (version, numbers, carried) in [
        (4, 12, [1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0]),
        (5, 14, [1, 2, 3, 4, 5, 6, 7, 0, 8, 9, 10, 11, 12, 13, 14, 0]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let counts: Vec<u8> = (1..=numbers).flat_map(u64::to_le_bytes).collect();
        earlier(&path, version).execute("INSERT INTO tally_recent (counts) VALUES (?1)", [counts]).unwrap();
        let (_held, file) = open_at(&path).unwrap();
        let counts: Vec<u8> = file.query_row("SELECT counts FROM tally_recent", [], |row| row.get(0)).unwrap();
        let counts: Vec<u64> = counts.chunks(8).map(|number| u64::from_le_bytes(number.try_into().unwrap())).collect();
        assert_eq!(counts, carried, "{version}");
    }
}

#[test]
fn emails_of_an_older_file_are_folded_anew_unless_two_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let rows = "INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at,
        updated_at) VALUES ('a', 'ADA@example.com', 'other', 'A', x'00', 'oken', 0, 0),
        ('b', 'bob@example.com', 'bob@example.com', 'B', x'01', 'oken', 0, 0), ('c', 'Bob@example.com', 'c', 'C', x'02', 'o', 0, 0)";
    earlier(&path, 3).execute_batch(rows).unwrap();
    let (_held, file) = open_at(&path).unwrap();
    let folded = "SELECT group_concat(email_folded) FROM account";
    let folded: String = file.query_row(folded, [], |row| row.get(0)).unwrap();
    assert_eq!(folded, "ada@example.com,bob@example.com,c");
}

#[test]
fn every_cascading_child_key_has_an_index() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    let sql = "SELECT m.name, f.\"from\", f.on_delete FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'";
    let mut statement = connection.prepare(sql).unwrap();
    let keys: Vec<(String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(keys.len(), 6);
    for (table, column, action) in keys {
        assert_eq!(action, "CASCADE", "{table}.{column}");
        let led: i64 = connection
            .query_row(
                "SELECT count(*) FROM pragma_index_list(?1) l, pragma_index_info(l.name) i
                 WHERE l.partial = 0 AND i.seqno = 0 AND i.name = ?2",
                [&table, &column],
                |row| row.get(0),
            )
            .unwrap();
        assert!(led > 0, "{table}.{column} has no index");
    }
}
