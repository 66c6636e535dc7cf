//! Plain copies beside the database: sealed as a whole, with a way back, and never lost.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::planted::Planted;
use super::{check, new_key, with_key};
use crate::harness::server::run_binary;
use crate::harness::{Setup, old_file};

fn names(setup: &Setup, part: &str) -> Vec<String> {
    let names = std::fs::read_dir(setup.folder()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(part)).collect()
}

#[test]
fn a_copy_is_there_plain_or_sealed_whenever_the_work_is_killed() {
    let keys = tempfile::tempdir().unwrap();
    let key = new_key(keys.path(), "key");
    for (number, point) in ["copy-sealed", "copy-moved"].into_iter().enumerate() {
        let setup = Setup::dev();
        old_file::create(6, setup.database_path(), "http://127.0.0.1:9/canary");
        let killed = with_key(&setup, &key).variable("DATA_PUSHER_TEST_KILL", point).run();
        assert_eq!(killed.code, Some(137), "{point}: {killed:#?}");
        let plain = names(&setup, ".v6-").into_iter().filter(|name| !name.contains(".sealed")).count();
        assert_eq!(plain, 1, "{point}");
        with_key(&setup, &key).start().terminate();
        let [copy] = names(&setup, ".v6-").try_into().unwrap();
        assert!(copy.ends_with(".sealed"), "{copy}");
        let back = keys.path().join(format!("back{number}.db"));
        let copy = setup.folder().join(copy);
        let open = |key: &Path| {
            let words = ["key", "open", copy.to_str().unwrap(), back.to_str().unwrap(), "--secrets-key-file"];
            run_binary(&[&words[..], &[key.to_str().unwrap()]].concat())
        };
        let other = new_key(keys.path(), &format!("other{number}"));
        assert!(open(&other).refused().contains("another key") && !back.exists());
        assert!(check(&copy, &[]).refused().contains("key open"));
        let served = with_key(&Setup::dev().database(&copy), &key).run();
        assert!(served.code == Some(1) && served.stderr.contains("data-pusher key open"), "{served:#?}");
        let nowhere = keys.path().join("no/such/out.db").display().to_string();
        let [from, with] = [&copy, &key].map(|path| path.to_str().unwrap());
        let line = run_binary(&["key", "open", from, &nowhere, "--secrets-key-file", with]).refused();
        assert!(line.contains(&nowhere) && !line.contains(from), "{line}");
        open(&key).succeeded();
        assert!(open(&key).refused().contains("there is a file already"));
        check(&back, &[]).succeeded();
        // A rotation takes the copy along.
        let next = new_key(keys.path(), &format!("next{number}"));
        let [database, old, new] = [setup.database_path(), &key, &next].map(|path| path.to_str().unwrap());
        run_binary(&["key", "rotate", "--database", database, "--secrets-key-file", old, "--new-key-file", new])
            .succeeded();
        std::fs::remove_file(&back).unwrap();
        assert!(open(&key).refused().contains("another key"));
        open(&next).succeeded();
        check(&back, &[]).succeeded();
    }
}

#[test]
fn what_stood_there_before_a_restore_is_sealed_and_a_sealed_backup_stays_as_it_is() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let key = new_key(keys.path(), "key");
    let mut planted = Planted::default();
    let [sealed, plain] = ["sealed.db", "plain.db"].map(|name| keys.path().join(name));
    let database = setup.database_path().to_str().unwrap().to_owned();
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    let secret = planted.text("header", 5_000);
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": secret}));
    run_binary(&["backup", "--database", &database, plain.to_str().unwrap()]).succeeded();
    server.terminate();
    server.start_again_as(&with_key(&setup, &key));
    run_binary(&["backup", "--database", &database, sealed.to_str().unwrap()]).succeeded();
    server.terminate();
    planted.assert_none_found(setup.folder(), "sealed");
    // Back to the plain one: what stood there is sealed already.
    run_binary(&["restore", "--database", &database, plain.to_str().unwrap()]).succeeded();
    planted.assert_found(setup.folder());
    server.start_again();
    planted.assert_none_found(setup.folder(), "restored from a plain backup");
    server.terminate();
    let [before] = names(&setup, ".before-restore-").try_into().unwrap();
    assert!(!before.ends_with(".sealed"), "{before}");
    // A plain file that stood there before is sealed as a whole.
    let mut server = setup.clone().database(&setup.folder().join("second.db")).start();
    let account = server.client().create_account("ada");
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": secret}));
    server.terminate();
    let second = server.setup().database_path().to_str().unwrap().to_owned();
    run_binary(&["restore", "--database", &second, sealed.to_str().unwrap()]).succeeded();
    planted.assert_found(setup.folder());
    server.start_again_as(&with_key(&server.setup().clone(), &key));
    planted.assert_none_found(setup.folder(), "restored from a sealed backup");
    let [before] = names(&setup, "second.db.before-restore-").try_into().unwrap();
    assert!(before.ends_with(".sealed"), "{before}");
}

#[test]
fn with_a_plain_copy_that_cannot_be_sealed_no_server_starts_until_there_is_room_or_it_is_moved_away() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let key = new_key(keys.path(), "key");
    let mut planted = Planted::default();
    let database = setup.database_path();
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    let secret = planted.text("header", 5_000);
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": secret}));
    server.terminate();
    let copy = sibling(database, ".v6-20260101T000000.000Z");
    let (sealed, in_the_way) = (sibling(&copy, ".sealed"), sibling(&copy, ".sealed.part"));
    let name = copy.file_name().unwrap().to_str().unwrap();
    std::fs::copy(database, &copy).unwrap();
    // A folder of this name stops the writing, as a full disk does.
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = || {
        let line = with_key(&setup, &key).try_start().err().unwrap().join("\n");
        assert!(line.contains(name) && line.contains("; move it away"), "{line}");
        assert!(copy.exists() && !sealed.exists());
    };
    // At the first start sealing is not complete before the copy is sealed.
    refused();
    refused();
    let said = check(database, &[]);
    assert!(said.code == Some(1) && said.stdout.contains("is not complete"), "{said:#?}");
    assert!(said.stderr.contains(name), "{said:#?}");
    // Away, and back later.
    let away = keys.path().join("away");
    std::fs::rename(&copy, &away).unwrap();
    with_key(&setup, &key).start().terminate();
    check(database, &[]).succeeded();
    std::fs::copy(&away, &copy).unwrap();
    let said = check(database, &[]);
    assert!(said.code == Some(0) && said.stderr.contains(&format!("{name} beside it is not sealed")), "{said:#?}");
    refused();
    std::fs::remove_dir(&in_the_way).unwrap();
    with_key(&setup, &key).start().terminate();
    planted.assert_none_found(setup.folder(), "sealed");
    assert!(!copy.exists() && sealed.exists());
    assert!(!check(database, &[]).stderr.contains(name));
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}
