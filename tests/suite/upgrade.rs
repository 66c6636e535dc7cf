//! Files of every earlier version, carried forward by the real binary, and the way back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use serde_json::json;

use crate::harness::client::text;
use crate::harness::old_file;
use crate::harness::server::run_binary;
use crate::harness::{Receiver, Setup};

/// All that a file holds: its version, its schema, and the rows of every table. The mark is left out: it ties a log to
/// one file, and each copy has its own.
fn content(path: &Path) -> BTreeMap<String, Vec<String>> {
    let file = Connection::open(path).unwrap();
    let all = |query: &str| -> Vec<String> {
        let mut rows = file.prepare(query).unwrap();
        let columns = rows.column_count();
        let rows = rows.query_map([], |row| {
            let values: Vec<SqlValue> = (0..columns).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            Ok(format!("{values:?}"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    let mut content = BTreeMap::new();
    for pragma in ["user_version", "application_id", "auto_vacuum", "page_size"] {
        content.insert(pragma.to_owned(), all(&format!("PRAGMA {pragma}")));
    }
    content.insert("schema".to_owned(), all("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"));
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'log_mark' ORDER BY name";
    let mut tables = file.prepare(tables).unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        content.insert(format!("rows of {table}"), all(&format!("SELECT * FROM {table} ORDER BY 1, 2")));
    }
    content
}

/// The copies of earlier versions beside the file.
fn copies(setup: &Setup) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(setup.folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut copies: Vec<_> = entries.filter(|path| path.display().to_string().contains("test.db.v")).collect();
    copies.sort();
    copies
}

#[test]
fn each_earlier_version_is_copied_carried_forward_and_served_and_the_copy_is_the_way_back() {
    for version in 1..=old_file::VERSIONS {
        let (setup, receiver) = (Setup::dev(), Receiver::start());
        let database = setup.database_path().display().to_string();
        old_file::create(version, setup.database_path(), &receiver.url("/in"));
        let before = content(setup.database_path());
        let run = |arguments: &[&str]| {
            let said = run_binary(arguments);
            assert_eq!(said.code, Some(0), "{version}: {said:#?}");
            said
        };
        // A check and a backup take it as it is.
        let said = run(&["check", "--database", &database]);
        assert!(said.stderr.contains(&format!("version {version}")), "{said:#?}");
        let backup = setup.folder().join("backup.db");
        run(&["backup", "--database", &database, &backup.display().to_string()]);
        assert_eq!(content(&backup), before, "{version}");
        assert_eq!(content(setup.database_path()), before, "{version}");

        let mut server = setup.start();
        let client = server.client();
        receiver.wait_for("/in", 1);
        let deliveries = client.all("/v1/deliveries");
        assert_eq!(deliveries.len(), 2, "{version}");
        client.wait_for_state(&text(&deliveries[0], "delivery_id"), "succeeded");
        let old = client.delivery(&text(&deliveries[1], "delivery_id"));
        assert_eq!(old["attempts"][0]["response_body"], "taken", "{version}");
        client.create_account("new");
        server.terminate();
        run(&["check", "--database", &database]);

        // The copy holds what stood there, and has the version in its name.
        let [copy] = copies(&setup).try_into().unwrap();
        assert!(copy.display().to_string().contains(&format!("test.db.v{version}-2")), "{copy:?}");
        assert_eq!(content(&copy), before, "{version}");

        // The way back: this is the file that the older program finds.
        run(&["restore", "--database", &database, &copy.display().to_string()]);
        assert_eq!(content(setup.database_path()), before, "{version}");
        let beside = |ending: &str| Path::new(&format!("{database}{ending}")).exists();
        assert!(!beside("-wal") && !beside("-shm"), "{version}");

        // And forward once more, with a copy of its own.
        server.start_again();
        assert_eq!(server.client().all("/v1/accounts").len(), 1, "{version}");
        assert_eq!(copies(&setup).len(), 2, "{version}");
        server.terminate();
    }
}

#[test]
fn a_file_of_a_later_version_is_refused_by_each_command_and_left_alone() {
    let mut server = Setup::dev().start();
    server.terminate();
    let setup = server.setup().clone();
    let database = setup.database_path().display().to_string();
    Connection::open(&database).unwrap().pragma_update(None, "user_version", 9_999).unwrap();
    let before = std::fs::read(&database).unwrap();
    let other = setup.folder().join("other.db").display().to_string();
    for arguments in [
        &["check", "--database", &database][..],
        &["backup", "--database", &database, &other],
        &["restore", "--database", &other, &database],
    ] {
        let said = run_binary(arguments);
        assert_eq!(said.code, Some(1), "{said:#?}");
        assert!(format!("{}{}", said.stdout, said.stderr).contains("version 9999"), "{said:#?}");
    }
    assert!(std::fs::read(&database).unwrap() == before && !Path::new(&other).exists());
    // An older program restores its own copy over the newer file, which is kept.
    let old = setup.folder().join("old.db");
    let receiver = Receiver::start();
    old_file::create(5, &old, &receiver.url("/in"));
    let said = run_binary(&["restore", "--json", "--database", &database, &old.display().to_string()]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let printed: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(printed["schema_version"], json!(5));
    assert!(std::fs::read(printed["before"].as_str().unwrap()).unwrap() == before);
    assert_eq!(content(Path::new(&database)), content(&old));
}
