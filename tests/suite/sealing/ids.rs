//! Keys are told apart by their ids: whatever refuses a key names the one that is needed and the one that was given.

use std::path::Path;

use serde_json::{Value, json};

use super::{check, id, new_key, with_key};
use crate::harness::server::{Ended, run_binary, run_binary_with};
use crate::harness::{Setup, old_file};

fn words<'a>(database: &'a Path, old: &'a Path, new: &'a Path) -> [&'a str; 8] {
    let [database, old, new] = [database, old, new].map(|path| path.to_str().unwrap());
    ["key", "rotate", "--database", database, "--secrets-key-file", old, "--new-key-file", new]
}

fn rotate(database: &Path, old: &Path, new: &Path) -> Ended {
    run_binary(&words(database, old, new))
}

/// What a check says to people and to programs of the keys that the file needs.
#[track_caller]
fn needs(database: &Path, keys: [Option<&String>; 2]) {
    let said = check(database, &[]);
    for key in keys.into_iter().flatten() {
        assert!(said.stdout.contains(key) || said.stderr.contains(key), "{key}: {said:#?}");
    }
    let said: Value = serde_json::from_str(&check(database, &["--json"]).stdout).unwrap();
    assert_eq!([&said["key_id"], &said["old_key_id"]], [&json!(keys[0]), &json!(keys[1])], "{said}");
}

#[test]
fn an_id_is_that_of_the_key_and_not_of_its_file() {
    let keys = tempfile::tempdir().unwrap();
    let [key, copy] = ["key", "copy"].map(|name| keys.path().join(name));
    let made = run_binary(&["key", "new", key.to_str().unwrap()]);
    assert!(made.stderr.contains(&id(&key)), "{made:#?}");
    std::fs::copy(&key, &copy).unwrap();
    assert_eq!(id(&key), id(&copy));
    assert_ne!(id(&key), id(&new_key(keys.path(), "other")));
    let none = run_binary(&["key", "id", keys.path().join("none").to_str().unwrap()]);
    assert!(none.code == Some(2) && none.stdout.is_empty() && none.stderr.contains("no such file"), "{none:#?}");
}

#[test]
fn a_check_says_which_key_a_file_needs_and_a_refusal_names_both_keys() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let database = setup.database_path();
    let [key, other] = ["key", "other"].map(|name| new_key(keys.path(), name));
    let (needed, given) = (id(&key), id(&other));
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": "canary"}));
    server.terminate();
    needs(database, [None, None]);
    with_key(&setup, &key).start().terminate();
    needs(database, [Some(&needed), None]);
    let names = |line: &str| assert!(line.contains(&needed) && line.contains(&given), "{line}");
    names(&with_key(&setup, &other).run().stderr);
    assert!(setup.run().stderr.contains(&needed));
    let [path, wrong] = [database, &other].map(|path| path.to_str().unwrap());
    names(&check(database, &["--secrets-key-file", wrong]).refused());
    names(&run_binary(&["export", "--database", path, "--secrets-key-file", wrong]).refused());
    let document = keys.path().join("export.json");
    let exported = [document.to_str().unwrap(), key.to_str().unwrap()];
    run_binary(&["export", "--database", path, "-o", exported[0], "--secrets-key-file", exported[1]]).succeeded();
    let into = keys.path().join("into.db");
    let into = ["import", "--database", into.to_str().unwrap(), exported[0], "--secrets-key-file", wrong];
    names(&run_binary(&into).refused());
    let line = rotate(database, &other, &new_key(keys.path(), "third")).refused();
    names(&line);
    assert!(line.contains(&id(&keys.path().join("third"))), "{line}");
}

#[test]
fn a_sealed_copy_that_another_key_opens_names_both() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [key, other] = ["key", "other"].map(|name| new_key(keys.path(), name));
    old_file::create(6, setup.database_path(), "http://127.0.0.1:9/canary");
    with_key(&setup, &key).start().terminate();
    let files = std::fs::read_dir(setup.folder()).unwrap().map(|entry| entry.unwrap().path());
    let copy = files.map(|path| path.display().to_string()).find(|path| path.ends_with(".sealed")).unwrap();
    let back = keys.path().join("back.db").display().to_string();
    let line = run_binary(&["key", "open", &copy, &back, "--secrets-key-file", other.to_str().unwrap()]).refused();
    assert!([&key, &other].iter().all(|key| line.contains(&id(key))), "{line}");
}

#[test]
fn a_rotation_names_both_files_and_says_where_it_had_nothing_to_do() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let database = setup.database_path();
    let [old, new] = ["old", "new"].map(|name| new_key(keys.path(), name));
    with_key(&setup, &old).start().terminate();
    let said = |old: &Path, new: &Path| {
        let said = rotate(database, old, new);
        said.succeeded();
        for key in [old, new] {
            assert!(said.stderr.contains(&format!("{} ({})", id(key), key.display())), "{said:#?}");
        }
        said.stderr
    };
    // The two files swapped: the database stays as it is, and so it is said.
    let swapped = said(&new, &old);
    assert!(
        swapped.contains("nothing to do") && swapped.contains("swap") && !swapped.contains("are sealed"),
        "{swapped}"
    );
    needs(database, [Some(&id(&old)), None]);
    let point = [("DATA_PUSHER_TEST_KILL", "sealing-begun")];
    assert_eq!(run_binary_with(&point, &words(database, &old, &new)).code, Some(137));
    needs(database, [Some(&id(&new)), Some(&id(&old))]);
    let unfinished = [setup.run().stderr, rotate(database, &new, &old).refused()];
    assert!(unfinished.iter().all(|line| line.contains(&id(&old)) && line.contains(&id(&new))), "{unfinished:#?}");
    let done = said(&old, &new);
    assert!(done.contains("are sealed with the new key"), "{done}");
    needs(database, [Some(&id(&new)), None]);
    assert!(said(&old, &new).contains("nothing to do"));
}
