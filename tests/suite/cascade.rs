//! The schema alone: deleting an account deletes everything that belongs to it, and indexes find those rows.

use rusqlite::Connection;

fn fresh() -> Connection {
    let file = Connection::open_in_memory().unwrap();
    file.pragma_update(None, "foreign_keys", true).unwrap();
    file.execute_batch(include_str!("../../schema.sql")).unwrap();
    file
}

fn tables(file: &Connection) -> Vec<String> {
    let mut all =
        file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Tables and columns that refer to another row, and what a deletion of that row does.
fn references(file: &Connection) -> Vec<(String, String, String)> {
    let of = |table: &String| -> Vec<(String, String, String)> {
        let mut keys = file.prepare("SELECT \"from\", on_delete FROM pragma_foreign_key_list(?1)").unwrap();
        keys.query_map([table], |row| Ok((table.clone(), row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    tables(file).iter().flat_map(of).collect()
}

/// Inserts a row with the given columns. Every other column that needs a value gets one of the right type.
fn insert(file: &Connection, table: &str, given: &[(&str, i64)]) {
    let mut columns = file
        .prepare("SELECT name, type FROM pragma_table_info(?1) WHERE \"notnull\" OR pk OR name = 'account_key'")
        .unwrap();
    let values: Vec<(String, String)> = columns
        .query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .map(|(name, kind)| match given.iter().find(|(column, _)| *column == name) {
            Some((_, value)) => (name, value.to_string()),
            None if kind == "TEXT" => (name, "hex(randomblob(8))".to_owned()),
            None if kind == "BLOB" => (name, "randomblob(32)".to_owned()),
            None => (name, "1".to_owned()),
        })
        .collect();
    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
    file.execute(&format!("INSERT INTO {table} ({}) VALUES ({})", names.join(","), texts.join(",")), []).unwrap();
}

fn count(file: &Connection, table: &str) -> i64 {
    file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn deleting_an_account_takes_all_its_rows_and_no_others() {
    let file = fresh();
    for account in [1, 2] {
        insert(&file, "account", &[("key", account)]);
        insert(&file, "access_token", &[("key", account), ("account_key", account)]);
        for destination in [10 * account, 10 * account + 1] {
            insert(&file, "destination", &[("key", destination), ("account_key", account)]);
            insert(&file, "tally", &[("destination_key", destination), ("start", 0)]);
        }
        for event in [100 * account, 100 * account + 1] {
            insert(&file, "event", &[("id", event), ("account_key", account)]);
            let delivery = 1_000 * event;
            insert(&file, "delivery", &[("id", delivery), ("event_id", event), ("destination_key", 10 * account)]);
            insert(&file, "attempt", &[("delivery_id", delivery), ("number", 1)]);
        }
    }
    let children: Vec<String> = references(&file).into_iter().map(|(table, _, _)| table).collect();
    let before: Vec<i64> = children.iter().map(|table| count(&file, table)).collect();
    assert!(
        before.iter().all(|rows| *rows > 0),
        "a table that belongs to accounts has no row here: {children:?} {before:?}"
    );
    assert_eq!(file.execute("DELETE FROM account WHERE key = 1", []).unwrap(), 1);
    let after: Vec<i64> = children.iter().map(|table| count(&file, table)).collect();
    assert_eq!(after, before.iter().map(|rows| rows / 2).collect::<Vec<_>>(), "{children:?}");
    let dangling: i64 = file.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(dangling, 0);
}

#[test]
fn deleting_a_destination_takes_its_deliveries_and_no_others() {
    let file = fresh();
    for account in [1, 2] {
        insert(&file, "account", &[("key", account)]);
        for destination in [10 * account, 10 * account + 1] {
            insert(&file, "destination", &[("key", destination), ("account_key", account)]);
        }
        for event in [100 * account, 110 * account] {
            insert(&file, "event", &[("id", event), ("account_key", account)]);
            for destination in [10 * account, 10 * account + 1] {
                let delivery = event + destination;
                insert(&file, "delivery", &[("id", delivery), ("event_id", event), ("destination_key", destination)]);
                insert(&file, "attempt", &[("delivery_id", delivery), ("number", 1)]);
            }
        }
    }
    assert_eq!((count(&file, "delivery"), count(&file, "attempt")), (8, 8));
    assert_eq!(file.execute("DELETE FROM destination WHERE key = 11", []).unwrap(), 1);
    assert_eq!((count(&file, "delivery"), count(&file, "attempt"), count(&file, "event")), (6, 6, 4));
    let left = "SELECT count(*) FROM delivery WHERE destination_key = 11";
    assert_eq!(file.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn every_reference_cascades() {
    let references = references(&fresh());
    assert!(references.len() >= 5, "{references:?}");
    for (table, column, on_delete) in references {
        assert_eq!(on_delete, "CASCADE", "{table}.{column}");
    }
}

#[test]
fn every_reference_is_found_by_an_index_that_it_leads() {
    let file = fresh();
    for (table, column, _) in references(&file) {
        let mut plan = file.prepare(&format!("EXPLAIN QUERY PLAN DELETE FROM {table} WHERE {column} = 1")).unwrap();
        let steps: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        // Without an index the step would be a SCAN.
        assert!(
            steps.iter().any(|step| step.starts_with("SEARCH") && step.contains(&format!("({column}=?)"))),
            "{table}.{column}: {steps:?}"
        );
    }
}

#[test]
fn a_row_without_its_parent_is_refused() {
    let file = fresh();
    insert(&file, "account", &[("key", 1)]);
    let orphan = "INSERT INTO event (id, account_key, received_at, payload) VALUES (1, 2, 0, x'7b7d')";
    assert!(file.execute(orphan, []).is_err());
    assert_eq!(count(&file, "event"), 0);
}
