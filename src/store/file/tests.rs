use super::*;

#[test]
fn a_new_file_has_the_current_version_and_reopens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(open(&path).unwrap());
    let connection = open(&path).unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let vacuum: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).unwrap();
    assert_eq!((version, vacuum), (VERSION, 2));
}

#[test]
fn a_start_waits_for_another_program_that_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    // A kill leaves the log as it is.
    std::mem::forget(open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = std::thread::spawn(move || {
        std::thread::sleep(4 * STILL_LOCKED);
        other.execute_batch("COMMIT").unwrap();
    });
    open(&path).unwrap();
    held.join().unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(open(&path).unwrap_err().detail().contains("another program"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    open(&path).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
    assert!(open(&path).unwrap_err().detail().contains("newer data-pusher"));
}

/// Schemas of earlier versions, as their files have them.
const EARLIER: [&str; VERSION as usize - 1] =
    [include_str!("../../../tests/schemas/1.sql"), include_str!("../../../tests/schemas/2.sql")];

fn earlier(path: &Path, version: usize) -> Connection {
    private(OpenOptions::new().create(true).truncate(false).write(true)).open(path).unwrap();
    let file = connect(path).unwrap();
    file.execute_batch(EARLIER[version - 1]).unwrap();
    file.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    file.pragma_update(None, "user_version", version).unwrap();
    file
}

/// What makes the schema, without comments and white space.
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
        let (carried, fresh) = (open(&old).unwrap(), open(&new).unwrap());
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
    let file = open(&path).unwrap();
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
    assert!(open(&path).unwrap_err().detail().contains("another program"));
    let version: i64 = connect(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}

#[test]
fn an_older_file_is_copied_aside_before_it_is_carried_forward() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(earlier(&path, 1));
    // What was left of a try that ended halfway is no copy.
    std::fs::write(companion(&path, ".v1.part"), "half").unwrap();
    drop(open(&path).unwrap());
    let copy = companion(&path, ".v1");
    let file = Connection::open(&copy).unwrap();
    assert_eq!(file.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    let in_memory = Connection::open_in_memory().unwrap();
    in_memory.execute_batch(EARLIER[0]).unwrap();
    assert_eq!(schema(&file), schema(&in_memory));
    assert!(!companion(&path, ".v1.part").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
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
    assert_eq!(keys.len(), 5);
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
