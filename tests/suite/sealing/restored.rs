//! A restored backup may need another key than the file that stood there: the command says so.

use std::path::{Path, PathBuf};

use super::{new_key, with_key};
use crate::harness::Setup;
use crate::harness::server::run_binary;

/// The id that `key new` has printed.
fn id(key: &Path) -> String {
    let line = run_binary(&["key", "new", key.to_str().unwrap()]).stderr;
    line.split_whitespace().skip_while(|word| *word != "key").nth(1).unwrap().to_owned()
}

#[test]
fn a_restore_says_which_key_the_file_needs_now() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [old, new] = ["old", "new"].map(|name| keys.path().join(name));
    let (old_id, new_id) = (id(&old), id(&new));
    let database = setup.database_path().to_str().unwrap();
    let back_up = |name: &str| -> PathBuf {
        let copy = keys.path().join(name);
        // It says of one that is not complete that it is not whole.
        run_binary(&["backup", "--database", database, copy.to_str().unwrap()]);
        copy
    };
    let restore = |to: &str, copy: &Path| {
        let ended = run_binary(&["restore", "--database", to, copy.to_str().unwrap()]);
        ended.succeeded();
        ended
            .stderr
            .lines()
            .filter(|line| line.contains("secrets are") || line.contains("rotation"))
            .collect::<String>()
    };
    setup.start().terminate();
    let plain = back_up("plain.db");
    assert_eq!(restore(database, &plain), "", "nothing changes");
    with_key(&setup, &old).start().terminate();
    let sealed = back_up("sealed.db");
    assert_eq!(restore(database, &sealed), "", "nothing changes");
    let [from, to] = [&old, &new].map(|key| key.to_str().unwrap());
    let rotate = ["key", "rotate", "--database", database, "--secrets-key-file", from, "--new-key-file", to];
    run_binary(&rotate).succeeded();

    let said = restore(database, &sealed);
    assert!(said.contains(&old_id) && said.contains(&new_id) && said.contains("key rotate"), "{said}");
    let refused = with_key(&setup, &new).try_start().err().unwrap().join("\n");
    assert!(refused.contains("another key"), "{refused}");
    // What the line says works.
    run_binary(&rotate).succeeded();
    with_key(&setup, &new).start().terminate();
    let said = restore(database, &plain);
    assert!(said.contains("plain") && said.contains("seals them"), "{said}");
    let said = restore(database, &sealed);
    assert!(said.contains(&old_id) && !said.contains(&new_id), "a plain file stood there: {said}");
    let elsewhere = setup.folder().join("elsewhere.db");
    let said = restore(elsewhere.to_str().unwrap(), &sealed);
    assert!(said.contains(&old_id), "{said}");
    with_key(&setup, &old).start().terminate();

    // One that was made while a rotation was not complete.
    let ended = crate::harness::server::run_binary_with(&[("DATA_PUSHER_TEST_KILL", "sealing-begun")], &rotate);
    assert_eq!(ended.code, Some(137), "{ended:#?}");
    let half = back_up("half.db");
    let said = restore(elsewhere.to_str().unwrap(), &half);
    assert!(said.contains(&format!("from {old_id} to {new_id}")), "{said}");
    run_binary(&rotate).succeeded();
}

#[test]
fn the_note_on_the_key_is_in_the_json_too() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let key = new_key(keys.path(), "key");
    with_key(&setup, &key).start().terminate();
    let [database, to] = [setup.database_path().to_owned(), setup.folder().join("to.db")];
    let ended = run_binary(&["restore", "--json", "--database", to.to_str().unwrap(), database.to_str().unwrap()]);
    ended.succeeded();
    let printed: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(printed["remarks"][0].as_str().unwrap().contains("--secrets-key-file"), "{printed}");
}
