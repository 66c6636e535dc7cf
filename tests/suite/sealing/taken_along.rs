//! Exports and imports of sealed files, whether or not a server runs on them.

use std::path::Path;

use serde_json::{Value, json};

use super::{new_key, with_key};
use crate::harness::server::{Ended, run_binary, run_binary_with};
use crate::harness::{Receiver, Setup};

fn export(database: &Path, key: &Path, flags: &[&str]) -> String {
    let words = ["export", "--database", database.to_str().unwrap(), "--secrets-key-file", key.to_str().unwrap()];
    let ended = run_binary(&[&words[..], flags].concat());
    ended.succeeded();
    ended.stdout
}

fn import(database: &Path, document: &Path, flags: &[&str]) -> Ended {
    let words = ["import", "--database", database.to_str().unwrap(), document.to_str().unwrap()];
    run_binary(&[&words[..], flags].concat())
}

/// How many rows say that the file is sealed.
fn sealing_rows(database: &Path) -> i64 {
    let file = rusqlite::Connection::open(database).unwrap();
    file.query_row("SELECT count(*) FROM sealing", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_sealed_export_needs_its_key_and_a_plain_one_goes_anywhere() {
    let (keys, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let [key, other] = ["key", "other"].map(|name| new_key(keys.path(), name));
    let network = ["--allow-network", "127.0.0.1/32"];
    let first = with_key(&Setup::guarded().flags(&network), &key).start();
    let client = first.client();
    let account = client.create_account("ada");
    let destination =
        client.create_destination(&account, &receiver.url("/in"), "POST", json!({"Authorization": "Bearer canary"}));
    client.post(&format!("/v1/destinations/{destination}/rotate-signing-secret"), &json!({})).expect(200);
    let secret = client.get(&format!("/v1/destinations/{destination}/signing-secret")).expect(200).json();

    let sealed = export(first.setup().database_path(), &key, &[]);
    let value: Value = serde_json::from_str(&sealed).unwrap();
    let exported = &value["accounts"][0]["destinations"][0];
    assert!(!sealed.contains("canary") && !sealed.contains("whsec_") && exported["sealed"].is_string(), "{exported}");
    assert!(exported["headers"].is_null() && exported["signing_secret"].is_null(), "{exported}");
    let plain = export(first.setup().database_path(), &key, &["--plain"]);
    assert!(plain.contains("canary") && plain.contains("whsec_"));
    let files = [("sealed", sealed), ("plain", plain)].map(|(name, text)| {
        let path = keys.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let [sealed, plain] = &files;

    // Into files on which no server runs.
    let target = |name: &str| keys.path().join(format!("{name}.db"));
    let key_flag = |key: &Path| ["--secrets-key-file".to_owned(), key.display().to_string()];
    let with = |key: Option<&Path>| -> Vec<String> {
        let flags = network.map(str::to_owned).into_iter();
        flags.chain(key.into_iter().flat_map(key_flag)).collect()
    };
    let run = |name: &str, document: &Path, key: Option<&Path>| {
        let flags = with(key);
        import(&target(name), document, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let line = run("a", sealed, None).refused();
    assert!(line.contains("accounts[0].destinations[0].sealed") && line.contains("--secrets-key-file"), "{line}");
    let line = run("b", sealed, Some(&other)).refused();
    assert!(line.contains("is sealed with the key"), "{line}");
    run("c", sealed, Some(&key)).succeeded();
    run("d", plain, Some(&other)).succeeded();
    run("e", plain, None).succeeded();
    let bytes = |name: &str| std::fs::read(target(name)).unwrap();
    let has_canary = |name: &str| bytes(name).windows(6).any(|part| part == b"canary");
    assert_eq!(["c", "d", "e"].map(has_canary), [false, false, true]);

    // Into a running server, and what comes out works as before.
    for (document, with) in [(sealed, &key), (plain, &other)] {
        let server = with_key(&Setup::guarded().flags(&network), with).start();
        import(server.setup().database_path(), document, &[]).succeeded();
        let client = server.client();
        let imported = client.get(&format!("/v1/destinations/{destination}/signing-secret")).expect(200).json();
        assert_eq!(imported, secret);
        let before = receiver.requests().len();
        client.push(&account, "{}");
        let request = receiver.wait_for("/in", before + 1).pop().unwrap();
        assert_eq!(request.headers.get("authorization"), Some("Bearer canary"));
    }
    let server = with_key(&Setup::guarded().flags(&network), &other).start();
    let line = import(server.setup().database_path(), sealed, &[]).refused();
    assert!(line.contains("the running server has the key") && line.contains("--plain"), "{line}");
    // A key for the command would be used for nothing. A variable may be the server's.
    let line = import(server.setup().database_path(), plain, &["--secrets-key-file", key.to_str().unwrap()]).refused();
    assert!(line.contains("leave out --secrets-key-file"), "{line}");
    let words = ["import", "--database", server.setup().database_path().to_str().unwrap(), plain.to_str().unwrap()];
    run_binary_with(&[("DATA_PUSHER_SECRETS_KEY_FILE", key.to_str().unwrap())], &words).succeeded();
    let server = Setup::guarded().flags(&network).start();
    let line = import(server.setup().database_path(), sealed, &[]).refused();
    assert!(line.contains("the running server has no key") && line.contains("--plain"), "{line}");
}

#[test]
fn an_import_never_seals_a_file_that_is_plain() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let key = new_key(keys.path(), "key");
    let create = |setup: &Setup, name: &str| {
        let server = setup.start();
        let account = server.client().create_account(name);
        server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": name}));
        account
    };
    let sealed = with_key(&Setup::dev(), &key);
    create(&sealed, "canary");
    let document = keys.path().join("sealed.json");
    std::fs::write(&document, export(sealed.database_path(), &key, &[])).unwrap();
    create(&setup, "ada");
    let content = || std::fs::read(setup.database_path()).unwrap();
    let flags = ["--allow-network", "127.0.0.1/32", "--secrets-key-file", key.to_str().unwrap()];
    let refused = keys.path().join("refused.json");
    std::fs::write(&refused, "{}").unwrap();
    let before = content();
    import(setup.database_path(), &refused, &flags).refused();
    assert!(content() == before, "nothing was imported");
    let imported = import(setup.database_path(), &document, &flags);
    imported.succeeded();
    assert!(imported.stderr.contains("are plain"), "{imported:#?}");
    // Now it clashes.
    let clashes = |flags: &[&str]| {
        let ended = import(setup.database_path(), &document, flags);
        assert!(ended.code == Some(1) && ended.stderr.contains("is taken"), "{ended:#?}");
    };
    clashes(&flags);
    assert_eq!(sealing_rows(setup.database_path()), 0);
    assert!(content().windows(6).any(|part| part == b"canary"));
    setup.start().terminate();
    // One that is sealed stays so.
    with_key(&setup, &key).start().terminate();
    clashes(&flags);
    let line = import(setup.database_path(), &document, &flags[..2]).refused();
    assert!(line.contains("give the key"), "{line}");
    assert_eq!(sealing_rows(setup.database_path()), 1);
}

#[test]
fn an_export_names_what_does_not_open_and_the_way_round() {
    let keys = tempfile::tempdir().unwrap();
    let key = new_key(keys.path(), "key");
    let setup = with_key(&Setup::dev(), &key);
    let mut server = setup.start();
    let client = server.client();
    let [ada, bea] = ["ada", "bea"].map(|name| client.create_account(name));
    let create = |account| client.create_destination(account, "http://127.0.0.1:9/", "POST", json!({}));
    let (broken, _) = (create(&ada), create(&bea));
    server.terminate();
    let file = rusqlite::Connection::open(setup.database_path()).unwrap();
    file.execute("UPDATE destination SET secret = zeroblob(90) WHERE destination_id = ?1", [&broken]).unwrap();
    drop(file);
    let database = setup.database_path().to_str().unwrap();
    let words = ["export", "--database", database, "--secrets-key-file", key.to_str().unwrap()];
    let line = run_binary(&words).refused();
    assert!(line.contains(&broken) && line.contains(&ada.id) && line.contains("--account"), "{line}");
    export(setup.database_path(), &key, &["--account", &bea.id]);
}
