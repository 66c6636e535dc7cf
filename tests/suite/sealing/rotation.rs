//! `data-pusher key rotate`: also when it is killed at any point, no file is left that its keys do not open.

use std::path::{Path, PathBuf};

use super::planted::{Planted, plant};
use super::{assert_delivers, check, id, new_key, with_key};
use crate::harness::server::{Ended, run_binary, run_binary_with};
use crate::harness::{Receiver, Setup};

fn words<'a>(database: &'a Path, old: &'a Path, new: &'a Path) -> [&'a str; 8] {
    let [database, old, new] = [database, old, new].map(|path| path.to_str().unwrap());
    ["key", "rotate", "--database", database, "--secrets-key-file", old, "--new-key-file", new]
}

fn rotate(database: &Path, old: &Path, new: &Path) -> Ended {
    run_binary(&words(database, old, new))
}

#[test]
fn a_rotation_that_is_killed_is_gone_on_with_by_the_same_two_keys() {
    let (keys, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let [old, new, third] = ["old", "new", "third"].map(|name| new_key(keys.path(), name));
    for (number, point) in
        ["sealing-begun", "sealing-some", "sealing-rows", "sealing-zeroed", "sealing-cleaned", "sealing-cut"]
            .into_iter()
            .enumerate()
    {
        let setup = Setup::dev();
        let database = setup.database_path();
        let mut planted = Planted::default();
        let mut server = with_key(&setup, &old).start();
        let url = receiver.url("/in");
        let (account, working) = plant(&mut planted, &server.client(), &format!("rotated{number}"), &url);
        let line = rotate(database, &old, &new).refused();
        assert!(line.contains("another data-pusher server is using it"), "{line}");
        server.terminate();
        let killed = run_binary_with(&[("DATA_PUSHER_TEST_KILL", point)], &words(database, &old, &new));
        assert_eq!(killed.code, Some(137), "{point}: {killed:#?}");
        // Neither key alone is enough, nor are two others.
        for key in [&old, &new] {
            let line = with_key(&setup, key).try_start().err().unwrap().join("\n");
            assert!(line.contains("key rotate"), "{point}: {line}");
        }
        for (from, to) in [(&third, &new), (&old, &third), (&new, &old)] {
            let line = rotate(database, from, to).refused();
            assert!(line.contains("same two keys"), "{point}: {line}");
        }
        rotate(database, &old, &new).succeeded();
        rotate(database, &old, &new).succeeded();
        planted.assert_none_found(setup.folder(), point);
        let line = with_key(&setup, &old).try_start().err().unwrap().join("\n");
        assert!(line.contains("another key"), "{point}: {line}");
        server.start_again_as(&with_key(&setup, &new));
        assert_delivers(&server.client(), &receiver, &account.token, &working, 1);
        server.terminate();
        check(database, &["--secrets-key-file", new.to_str().unwrap()]).succeeded();
    }
}

#[test]
fn what_cannot_be_rotated_is_refused_in_one_line() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [old, new, third] = ["old", "new", "third"].map(|name| new_key(keys.path(), name));
    let missing = setup.folder().join("missing.db");
    assert!(rotate(&missing, &old, &new).refused().contains("no such file") && !missing.exists());
    setup.start().terminate();
    assert!(rotate(setup.database_path(), &old, &new).refused().contains("not sealed"));
    with_key(&setup, &old).start().terminate();
    assert!(rotate(setup.database_path(), &new, &third).refused().contains("neither"));
    assert!(rotate(setup.database_path(), &old, &old).refused().contains("same key"));
    with_key(&setup, &old).start().terminate();
    // What cannot be read is not said to be plain.
    let mut bytes = std::fs::read(setup.database_path()).unwrap();
    bytes[100..4_096].fill(0xaa);
    let damaged = setup.folder().join("damaged.db");
    std::fs::write(&damaged, bytes).unwrap();
    let line = rotate(&damaged, &old, &new).refused();
    assert!(line.contains("it is damaged") && !line.contains("not sealed"), "{line}");
}

#[test]
fn a_copy_that_is_a_sealed_database_stays_under_the_old_key_and_is_named() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [old, new] = ["old", "new"].map(|name| new_key(keys.path(), name));
    let database = setup.database_path();
    with_key(&setup, &old).start().terminate();
    let backup = keys.path().join("backup.db");
    let path = database.to_str().unwrap();
    run_binary(&["backup", "--database", path, backup.to_str().unwrap()]).succeeded();
    run_binary(&["restore", "--database", path, backup.to_str().unwrap()]).succeeded();
    let is_before = |path: &Path| path.to_string_lossy().contains(".before-restore-");
    let files = || std::fs::read_dir(setup.folder()).unwrap().map(|entry| entry.unwrap().path());
    let before = files().find(|path| is_before(path)).unwrap();
    // The first says so, and each later one too.
    for _ in 0..2 {
        let said = rotate(database, &old, &new);
        said.succeeded();
        let warning = said.stderr.lines().find(|line| line.starts_with("warning: ")).unwrap_or_default();
        assert!(warning.contains(before.to_str().unwrap()) && warning.contains("keep that key"), "{said:#?}");
        assert!(warning.contains(&id(&old)), "{said:#?}");
    }
    let check = |key: &Path| check(&before, &["--secrets-key-file", key.to_str().unwrap()]);
    check(&old).succeeded();
    assert!(check(&new).refused().contains("another key"));
    with_key(&setup, &new).start().terminate();
    assert!(before.exists(), "{:?}", files().collect::<Vec<_>>());
    std::fs::remove_file(&before).unwrap();
    let said = rotate(database, &old, &new);
    said.succeeded();
    assert!(!said.stderr.contains("warning"), "{said:#?}");
}

#[test]
fn what_a_killed_rotation_left_of_a_copy_does_not_stop_the_next_one() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [old, new] = ["old", "new"].map(|name| new_key(keys.path(), name));
    let database = setup.database_path();
    let sibling = |ending: &str| PathBuf::from(format!("{}{ending}", database.display()));
    setup.start().terminate();
    std::fs::copy(database, sibling(".v6-20260101T000000.000Z")).unwrap();
    with_key(&setup, &old).start().terminate();
    let (sealed, alone) = (".v6-20260101T000000.000Z.sealed", ".v6-20260102T000000.000Z.sealed.part");
    // One beside its copy, and one alone.
    let parts = [sibling(&format!("{sealed}.part")), sibling(alone)];
    for part in &parts {
        std::fs::write(part, "half").unwrap();
    }
    rotate(database, &old, &new).succeeded();
    assert!(parts.iter().all(|part| !part.exists()));
    let [copy, back] = [sibling(sealed), keys.path().join("back.db")];
    let [from, to, key] = [&copy, &back, &new].map(|path| path.to_str().unwrap());
    run_binary(&["key", "open", from, to, "--secrets-key-file", key]).succeeded();
    check(&back, &[]).succeeded();
}

#[test]
fn a_copy_that_cannot_be_replaced_ends_the_rotation_before_the_first_value() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [old, new] = ["old", "new"].map(|name| new_key(keys.path(), name));
    let database = setup.database_path();
    let sibling = |ending: &str| PathBuf::from(format!("{}{ending}", database.display()));
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", serde_json::json!({"X-Key": "canary"}));
    server.terminate();
    let (copy, sealed) = (sibling(".v6-20260101T000000.000Z"), sibling(".v6-20260101T000000.000Z.sealed"));
    std::fs::copy(database, &copy).unwrap();
    with_key(&setup, &old).start().terminate();
    let in_the_way = sibling(".v6-20260101T000000.000Z.sealed.part");
    std::fs::create_dir(&in_the_way).unwrap();
    let line = rotate(database, &old, &new).refused();
    assert!(line.contains(sealed.to_str().unwrap()) && line.contains("move it away"), "{line}");
    std::fs::remove_dir(&in_the_way).unwrap();
    // One that nothing opens any more.
    let whole = std::fs::read(&sealed).unwrap();
    std::fs::write(&sealed, &whole[..whole.len() - 1]).unwrap();
    let line = rotate(database, &old, &new).refused();
    assert!(line.contains("delete it, or move it away"), "{line}");
    with_key(&setup, &old).start().terminate();
    std::fs::remove_file(&sealed).unwrap();
    rotate(database, &old, &new).succeeded();
    with_key(&setup, &new).start().terminate();
}
