//! `data-pusher key rotate`: also when it is killed at any point, no file is left that its keys do not open.

use std::path::Path;

use super::planted::{Planted, plant};
use super::{assert_delivers, check, new_key, with_key};
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
}
