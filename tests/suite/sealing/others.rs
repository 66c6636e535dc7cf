//! Other programs that use the log while the file is to be sealed: a reader, and a replicator.

use rusqlite::Connection;
use serde_json::json;

use super::planted::Planted;
use super::{new_key, with_key};
use crate::harness::Setup;

/// A plain file with a planted secret in its log, as a kill leaves it.
fn plain(planted: &mut Planted) -> Setup {
    let setup = Setup::dev();
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    let secret = planted.text("header", 6_000);
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": secret}));
    server.kill();
    setup
}

#[test]
fn while_another_program_reads_the_log_the_start_is_refused_and_the_next_one_goes_on() {
    let keys = tempfile::tempdir().unwrap();
    let key = new_key(keys.path(), "key");
    let mut planted = Planted::default();
    let setup = plain(&mut planted);
    let reader = Connection::open(setup.database_path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM destination").unwrap();
    let line = with_key(&setup, &key).try_start().err().unwrap().join("\n");
    assert!(line.contains("another program reads its log"), "{line}");
    drop(reader);
    let mut server = with_key(&setup, &key).start();
    planted.assert_none_found(setup.folder(), "running");
    server.terminate();
    planted.assert_none_found(setup.folder(), "stopped");
}

#[test]
fn a_plain_file_whose_log_a_replicator_owns_is_not_sealed_and_a_sealed_one_is_served() {
    let keys = tempfile::tempdir().unwrap();
    let key = new_key(keys.path(), "key");
    let mut planted = Planted::default();
    let setup = plain(&mut planted);
    let external = setup.clone().flags(&["--checkpoints", "external"]);
    let line = with_key(&external, &key).try_start().err().unwrap().join("\n");
    assert!(line.contains("stop the replicator"), "{line}");
    external.start().terminate();
    with_key(&setup, &key).start().terminate();
    planted.assert_none_found(setup.folder(), "sealed");
    let mut server = with_key(&external, &key).start();
    let account = server.client().create_account("bob");
    let secret = planted.text("later header", 6_000);
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": secret}));
    server.terminate();
    planted.assert_none_found(setup.folder(), "with a replicator");
    // A new file has nothing plain to begin with.
    let new = Setup::dev().flags(&["--checkpoints", "external"]);
    with_key(&new, &key).start().terminate();
}
