//! A key that is lost: `data-pusher key forget` gives the secrets up, and nothing else.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{check, new_key, with_key};
use crate::harness::client::text;
use crate::harness::server::{Ended, run_binary, run_binary_with};
use crate::harness::{Receiver, Setup};

/// The variable that a service has its key file from.
const VARIABLE: &str = "DATA_PUSHER_SECRETS_KEY_FILE";

fn words(database: &Path) -> [&str; 4] {
    ["key", "forget", "--database", database.to_str().unwrap()]
}

fn forget(database: &Path, flags: &[&str]) -> Ended {
    run_binary(&[&words(database), flags].concat())
}

fn flag(key: &Path) -> [&str; 2] {
    ["--secrets-key-file", key.to_str().unwrap()]
}

fn copies(setup: &Setup) -> Vec<PathBuf> {
    let files = std::fs::read_dir(setup.folder()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_string_lossy().contains(".before-forget-")).collect()
}

#[test]
fn a_lost_key_costs_the_secrets_and_nothing_else() {
    let (keys, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let key = new_key(keys.path(), "key");
    let setup = Setup::guarded().flags(&["--allow-network", "127.0.0.1/32"]);
    let database = setup.database_path();
    let mut server = with_key(&setup, &key).start();
    let client = server.client();
    let account = client.create_account("ada");
    let create = |name: &str| {
        let headers = json!({"X-Key": format!("canary-{name}")});
        client.create_destination(&account, &receiver.url(&format!("/{name}")), "POST", headers)
    };
    let [first, second, deleted] = ["first", "second", "deleted"].map(create);
    client.delete(&format!("/v1/destinations/{deleted}")).expect(204);
    for id in [&first, &second] {
        client.post(&format!("/v1/destinations/{id}/rotate-signing-secret"), &json!({})).expect(200);
        client.post(&format!("/v1/destinations/{id}/pause"), &json!({})).expect(200);
    }
    client.push(&account, "{\"n\":1}");
    let role = client.post("/v1/tokens", &json!({"name": "v", "role": "viewer"})).expect(201).json();

    assert!(forget(database, &[]).refused().contains("another data-pusher server is using it"));
    server.terminate();
    // Whoever has the key after all is told so.
    assert!(forget(database, &flag(&key)).refused().contains("right one"));
    let ended = run_binary_with(&[(VARIABLE, key.to_str().unwrap())], &words(database));
    assert!(ended.refused().contains("right one"));
    let killed = run_binary_with(&[("DATA_PUSHER_TEST_KILL", "forget-copied")], &words(database));
    assert_eq!(killed.code, Some(137), "{killed:#?}");
    assert!(setup.try_start().err().unwrap().join("\n").contains("its secrets are sealed"));

    // The service still has the variable.
    let lost = keys.path().join("lost");
    let ended = run_binary_with(&[(VARIABLE, lost.to_str().unwrap())], &words(database));
    ended.succeeded();
    assert_eq!(ended.stdout, format!("{first}\n{second}"));
    assert!(ended.stderr.contains("2 destinations must be set again"), "{ended:#?}");
    // Whoever lost what it printed runs it again.
    let again = forget(database, &[]);
    again.succeeded();
    assert_eq!(again.stdout, ended.stdout);
    assert!(again.stderr.contains("needs no key already"), "{again:#?}");
    // A check says what is to be done. A backup each night goes on.
    let said = check(database, &[]);
    assert!(said.code == Some(1) && said.stdout.contains("sealed_without_key"), "{said:#?}");
    let backup = keys.path().join("backup.db");
    run_binary(&["backup", "--database", database.to_str().unwrap(), backup.to_str().unwrap()]).succeeded();
    assert_eq!(copies(&setup).len(), 2, "one of them by the command that was killed");
    assert!(copies(&setup).iter().any(|copy| ended.stderr.contains(copy.to_str().unwrap())), "{ended:#?}");
    for copy in copies(&setup) {
        check(&copy, &flag(&key)).succeeded();
        assert!(forget(&copy, &flag(&key)).refused().contains("right one"), "it needs the key");
    }

    // Without a key: accounts, events, tokens, and what waits are there.
    server.start_again_as(&setup);
    let warning = server.log.wait_for(|line| line.contains("there is no key").then(|| line.to_owned())).unwrap();
    assert!(warning.contains(&first), "{warning}");
    let client = server.client();
    client.with_admin_token(Some(&text(&role, "token"))).get("/v1/accounts").expect(200);
    client.push(&account, "{\"n\":2}");
    let of = |id: &str| client.get(&format!("/v1/destinations/{id}")).expect(200).json();
    for id in [&first, &second] {
        assert_eq!(text(&of(id), "paused_reason"), "secrets_unreadable");
        client.post(&format!("/v1/destinations/{id}/resume"), &json!({})).expect(409);
        let pending: Vec<Value> = client.all(&format!("/v1/deliveries?destination_id={id}&state=pending"));
        assert_eq!(pending.len(), 2);
    }

    // One is set again, and gets all that waited.
    let path = format!("/v1/destinations/{first}");
    let body = json!({"url": receiver.url("/first"), "http_method": "POST", "headers": {"X-Key": "again"}});
    client.put(&path, &body).expect(200);
    client.post(&format!("{path}/rotate-signing-secret"), &json!({})).expect(200);
    assert_eq!(text(&of(&first), "paused_reason"), "manual", "its pause by hand was kept");
    client.post(&format!("{path}/resume"), &json!({})).expect(200);
    for request in receiver.wait_for("/first", 2) {
        assert_eq!(request.headers.get("x-key"), Some("again"));
        assert!(!request.headers.get("webhook-signature").unwrap().contains(' '), "one secret signs");
    }
    server.terminate();

    // The key turns up: what was not set again works as before.
    server.start_again_as(&with_key(&setup, &key));
    let client = server.client();
    client.post(&format!("/v1/destinations/{second}/resume"), &json!({})).expect(200);
    for request in receiver.wait_for("/second", 2) {
        assert_eq!(request.headers.get("x-key"), Some("canary-second"));
    }
    client.push(&account, "{\"n\":3}");
    assert_eq!(receiver.wait_for("/first", 3)[2].headers.get("x-key"), Some("again"));
    server.terminate();
    check(database, &flag(&key)).succeeded();
}

#[test]
fn after_a_lost_key_another_one_seals_and_the_copy_needs_the_lost_one() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [lost, next, third] = ["lost", "next", "third"].map(|name| new_key(keys.path(), name));
    let mut server = with_key(&setup, &lost).start();
    let account = server.client().create_account("ada");
    let destination = server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
    server.terminate();
    let database = setup.database_path();
    let ended = forget(database, &flag(&next));
    ended.succeeded();
    assert_eq!(ended.stdout, destination);
    // Without a key too, the destination is shown where attention is needed, and nobody waits for attempts that will not
    // come.
    server.start_again_as(&setup);
    let attention = server.client().send("GET", "/attention", &[("accept", "text/html")], None).expect(200).text();
    assert!(attention.contains(&destination), "{attention}");
    server.client().push_with(&account.token, &[("prefer", "wait=30")], b"{}").expect(200);
    server.terminate();
    // The copy is a sealed database, and stops neither this start nor a rotation.
    server.start_again_as(&with_key(&setup, &next));
    let shown = server.client().get(&format!("/v1/destinations/{destination}")).expect(200).json();
    assert_eq!(text(&shown, "paused_reason"), "secrets_unreadable");
    server.terminate();
    // It is found without any key, and a backup each night goes on.
    let said = check(database, &[]);
    assert!(said.code == Some(1) && said.stdout.contains("sealed_with_other_key"), "{said:#?}");
    assert!(said.stdout.contains(&destination), "{said:#?}");
    let (path, backup) = (database.to_str().unwrap(), keys.path().join("backup.db"));
    run_binary(&["backup", "--database", path, backup.to_str().unwrap()]).succeeded();
    let [copy] = copies(&setup).try_into().unwrap();
    let rotate = ["key", "rotate", "--database", path, "--new-key-file", third.to_str().unwrap()];
    let ended = run_binary(&[&rotate[..], &flag(&next)].concat());
    ended.succeeded();
    assert!(ended.stderr.contains(copy.to_str().unwrap()), "{ended:#?}");
    check(&copy, &flag(&lost)).succeeded();
}

#[test]
fn of_a_rotation_that_was_killed_the_other_key_goes_on_alone() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [old, new] = ["old", "new"].map(|name| new_key(keys.path(), name));
    let mut server = with_key(&setup, &old).start();
    let account = server.client().create_account("ada");
    let destination =
        server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", json!({"X-Key": "c"}));
    server.terminate();
    let database = setup.database_path();
    let rotate = ["key", "rotate", "--database", database.to_str().unwrap(), "--new-key-file", new.to_str().unwrap()];
    let killed = run_binary_with(&[("DATA_PUSHER_TEST_KILL", "sealing-rows")], &[&rotate[..], &flag(&old)].concat());
    assert_eq!(killed.code, Some(137), "{killed:#?}");
    let ended = forget(database, &flag(&new));
    ended.succeeded();
    assert!(ended.stdout.is_empty() && ended.stderr.contains("no destination must be set again"), "{ended:#?}");
    assert!(ended.stderr.contains("start the server with it"), "{ended:#?}");
    server.start_again_as(&with_key(&setup, &new));
    let shown = server.client().get(&format!("/v1/destinations/{destination}")).expect(200).json();
    assert_eq!(shown["headers"]["X-Key"], "c");
}

#[test]
fn what_needs_no_key_has_none_to_forget() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let key = new_key(keys.path(), "key");
    let missing = setup.folder().join("missing.db");
    // A key in the place of its file is not lost.
    let text = std::fs::read_to_string(&key).unwrap();
    let ended = run_binary_with(&[(VARIABLE, text.trim())], &words(&missing));
    let line = ended.refused();
    assert!(line.contains("holds a key itself") && !line.contains(text.trim()), "{line}");
    assert!(forget(&missing, &[]).refused().contains("no such file") && !missing.exists());
    setup.start().terminate();
    for flags in [&[][..], &flag(&key)] {
        assert!(forget(setup.database_path(), flags).refused().contains("needs no key"));
    }
    let wrong = keys.path().join("wrong");
    std::fs::write(&wrong, "canary").unwrap();
    let line = run_binary_with(&[(VARIABLE, wrong.to_str().unwrap())], &words(setup.database_path())).refused();
    assert!(line.contains(VARIABLE) && line.contains("unset") && !line.contains("canary"), "{line}");
    assert!(copies(&setup).is_empty());
    setup.start().terminate();
}

#[test]
fn root_gives_up_no_key_of_a_file_of_another_user() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let mut server = with_key(&setup, &new_key(keys.path(), "key")).start();
    server.terminate();
    let database = setup.database_path();
    // Only root can give a file away.
    if std::os::unix::fs::chown(database, Some(65_533), None).is_err() {
        return;
    }
    let line = forget(database, &[]).refused();
    assert!(line.contains("run this as that user") && copies(&setup).is_empty(), "{line}");
}
