//! `import`: what it leaves behind, what it says, and whom it trusts. What it takes along is in `transfer`.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::old_file;
use crate::harness::server::{Ended, command, run_binary};
use crate::harness::{Receiver, Setup};

/// Exports of as many accounts, each in a document of its own.
fn documents(count: usize) -> Vec<String> {
    let server = Setup::guarded().start();
    (0..count)
        .map(|number| {
            let account = server.client().create_account(&format!("a{number}"));
            let database = server.setup().database_path().to_str().unwrap();
            let ended = run_binary(&["export", "--database", database, "--account", &account.id]);
            ended.succeeded();
            ended.stdout
        })
        .collect()
}

fn import(database: &Path, document: &str, flags: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("document.json");
    std::fs::write(&path, document).unwrap();
    let words = ["import", "--database", database.to_str().unwrap(), path.to_str().unwrap()];
    run_binary(&[&words[..], flags].concat())
}

/// The document with its account twice.
fn twice(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    let account = document["accounts"][0].clone();
    document["accounts"].as_array_mut().unwrap().push(account);
    document.to_string()
}

/// Each file in the folder with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

fn accounts(database: &Path) -> usize {
    let file = Connection::open(database).unwrap();
    file.query_row("SELECT count(*) FROM account", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_of_an_earlier_version_is_refused_and_stays_as_it_is() {
    let document = documents(1).remove(0);
    for version in 1..=old_file::VERSIONS {
        let setup = Setup::guarded();
        old_file::create(version, setup.database_path(), "http://127.0.0.1:1/");
        let before = files(setup.folder());
        for document in [&document, &twice(&document)] {
            let line = import(setup.database_path(), document, &[]).refused();
            let says = format!("its schema has version {version}");
            assert!(line.contains(&says) && line.contains("start the server on it once"), "{line}");
            assert!(files(setup.folder()) == before, "{version}");
        }
    }
}

#[test]
fn a_file_that_is_created_is_named_and_one_that_gets_nothing_is_removed() {
    let document = documents(1).remove(0);
    let setup = Setup::guarded();
    let database = setup.database_path();
    let line = import(database, &twice(&document), &[]).stderr;
    assert!(line.contains("nothing was imported"), "{line}");
    assert_eq!(files(setup.folder()), []);
    // A disk that is full: no file may be longer than this many blocks.
    let path = setup.folder().join("document");
    std::fs::write(&path, &document).unwrap();
    for blocks in ["1", "16", "64", "128"] {
        let script = "ulimit -f $0 && exec \"$@\"";
        let binary = env!("CARGO_BIN_EXE_data-pusher");
        let words = ["sh", "-c", script, blocks, binary, "import", "--database"].map(str::to_owned);
        let ended = command(&words).arg(database).arg(&path).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{blocks}: {ended:?}");
        assert_eq!(files(setup.folder()).len(), 1, "{blocks}: {ended:?}");
    }
    std::fs::remove_file(&path).unwrap();
    for flags in [&["--json"][..], &["--json", "--skip-existing"]] {
        let ended = import(database, &document, flags);
        ended.succeeded();
        let created = format!("note: created {}", database.display());
        assert_eq!(ended.stderr == created, flags.len() == 1, "{ended:#?}");
    }
    // A failure removes no file that stood there before.
    assert_eq!(import(database, &document, &[]).code, Some(1));
    assert_eq!(accounts(database), 1);
}

#[test]
fn a_log_without_its_database_stays() {
    let document = documents(1).remove(0);
    let mut server = Setup::guarded().start();
    server.client().create_account("ada");
    server.kill();
    let setup = server.setup();
    std::fs::remove_file(setup.database_path()).unwrap();
    let log = server.companion("-wal");
    let before = std::fs::read(&log).unwrap();
    let line = import(setup.database_path(), &document, &[]).refused();
    assert!(line.contains("its log"), "{line}");
    assert!(std::fs::read(&log).unwrap() == before && !setup.database_path().exists());
}

#[test]
fn what_was_imported_stays_where_that_cannot_be_printed() {
    let document = documents(1).remove(0);
    let setup = Setup::guarded();
    let path = setup.folder().join("document");
    std::fs::write(&path, &document).unwrap();
    let words = [env!("CARGO_BIN_EXE_data-pusher"), "import", "--database"].map(str::to_owned);
    let mut command = command(&words);
    command.arg(setup.database_path()).arg(&path).stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped());
    let ended = command.output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the accounts were imported; cannot write to standard output"), "{said}");
    assert_eq!(accounts(setup.database_path()), 1);
    let help = run_binary(&["import", "--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("or the output could not be written"), "{help}");
}

#[test]
fn what_a_document_says_never_controls_the_terminal() {
    let mut document: Value = serde_json::from_str(&documents(1)[0]).unwrap();
    document["accounts"][0]["\u{1b}]0;pwned\u{7}\n\u{9b}"] = json!(1);
    document["\u{1b}[2J"] = json!(1);
    let server = Setup::guarded().start();
    for database in [Setup::guarded().database_path(), server.setup().database_path()] {
        let ended = import(database, &document.to_string(), &[]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("\\u{1b}]0;pwned\\u{7}\\n\\u{9b}"), "{ended:#?}");
        let controls = |c: char| c.is_control() && c != '\n';
        assert!(!ended.stderr.contains(controls), "{ended:#?}");
    }
}

#[test]
fn a_login_file_that_a_crash_left_leads_no_secret_to_who_listens_there_now() {
    let document = documents(1).remove(0);
    let mut server = Setup::guarded().start();
    server.client().create_account("ada");
    server.kill();
    let (database, login) = (server.setup().database_path(), server.companion(".login"));
    // Whoever listens at that address now answers whatever comes.
    let listener = Receiver::start();
    let mut note: Value = serde_json::from_slice(&std::fs::read(&login).unwrap()).unwrap();
    note["address"] = json!(listener.url("").strip_prefix("http://").unwrap());
    std::fs::write(&login, note.to_string()).unwrap();
    let other = File::open(database).unwrap();
    other.lock().unwrap();
    let line = import(database, &document, &[]).refused();
    assert!(line.contains("does not prove to be its server"), "{line}");
    let came = listener.wait_for("/import", 1);
    assert!(came.len() == 1 && came[0].body.is_empty(), "{came:?}");
    drop(other);
    // Who has the lock knows that no server runs.
    import(database, &document, &[]).succeeded();
    assert!(!login.exists());
    assert_eq!(listener.wait_for("/import", 1).len(), 1);
}

#[test]
fn several_imports_at_once_all_succeed_and_none_takes_the_other_for_a_server() {
    let documents = documents(4);
    let setup = Setup::guarded();
    let database = setup.database_path();
    let refusals = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for document in &documents {
            scope.spawn(|| import(database, document, &["--allow-network", "127.0.0.1"]).succeeded());
            scope.spawn(|| {
                let ended = import(database, &twice(document), &[]);
                refusals.lock().unwrap().push(ended);
            });
        }
    });
    assert_eq!(accounts(database), 4);
    for ended in refusals.into_inner().unwrap() {
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.stderr.contains("nothing was imported"), "{ended:#?}");
    }
    run_binary(&["check", "--database", database.to_str().unwrap()]).succeeded();
}

#[test]
fn a_document_with_very_many_faults_is_refused_in_lines_that_a_server_can_answer() {
    let server = Setup::guarded().start();
    let document = |count: usize| {
        let accounts = vec![json!({}); count];
        json!({"format": "data-pusher-export", "version": 1, "accounts": accounts}).to_string()
    };
    for database in [Setup::guarded().database_path(), server.setup().database_path()] {
        let few = import(database, &document(1), &[]).stderr;
        let each = few.lines().count() - 1;
        assert!(few.contains(&format!("nothing was imported: {each} errors")), "{few}");
        let many = import(database, &document(100_000), &[]);
        assert_eq!(many.code, Some(1));
        assert!(many.stderr.contains("nothing was imported: the first 1000 errors\n"), "{}", many.stderr);
        let last = many.stderr.trim_end().lines().last().unwrap();
        let left_out = 100_000 * each - 999;
        assert!(last.ends_with(&format!("There are {left_out} more faults than these.")), "{last}");
    }
    assert!(server.client().all("/v1/accounts").is_empty());
}
