//! Files of keys: how they are made, and which are refused, before anything is touched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{check, new_key, with_key};
use crate::harness::Setup;
use crate::harness::server::{run_binary, run_binary_with};

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Content and time of all files.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // The index of the log is made anew whenever somebody reads.
    let files = entries.filter(|path| !path.to_string_lossy().ends_with("-shm"));
    let mut files: Vec<_> =
        files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default())).collect();
    files.sort();
    files
}

#[test]
fn a_new_key_is_for_its_owner_alone_and_never_written_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_key(folder.path(), "key");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() == 45 && text.ends_with("=\n"), "{text:?}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let line = run_binary(&["key", "new", path.to_str().unwrap()]).refused();
    assert!(line.contains("exists already"), "{line}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let other = std::fs::read_to_string(new_key(folder.path(), "other")).unwrap();
    assert_ne!(other, text);
    let line = run_binary(&["key", "new", folder.path().join("no/such").to_str().unwrap()]).refused();
    assert!(line.contains("cannot write the key"), "{line}");
}

#[test]
fn a_wrong_key_file_is_one_line_and_nothing_is_touched() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let mut server = setup.start();
    server.client().create_account("ada");
    server.kill();
    let before = content(setup.folder());
    let key = std::fs::read_to_string(new_key(keys.path(), "key")).unwrap();
    let file = |name: &str| keys.path().join(name);
    write(&file("world"), &key, 0o644);
    write(&file("group"), &key, 0o660);
    write(&file("writable"), &key, 0o602);
    write(&file("empty"), "", 0o600);
    write(&file("short"), &key[..40], 0o600);
    write(&file("hex"), &"0123456789abcdef".repeat(4), 0o600);
    write(&file("text"), "canary canary canary", 0o600);
    write(&file("long"), &"A".repeat(5_000), 0o600);
    std::fs::write(file("binary"), [0xff; 32]).unwrap();
    write(&file("binary"), "", 0o600);
    std::fs::write(file("binary"), [0xff; 32]).unwrap();
    std::fs::create_dir(file("folder")).unwrap();
    std::os::unix::fs::symlink(file("nowhere"), file("dangling")).unwrap();
    write(&file("commented"), &format!("# a key\n{key}"), 0o600);
    assert!(Command::new("mkfifo").arg(file("pipe")).status().unwrap().success());
    let cases = [
        ("world", "chmod 600"),
        ("group", "chmod 600"),
        ("writable", "chmod 600"),
        ("empty", "empty"),
        ("short", "30 bytes"),
        ("hex", "48 bytes"),
        ("text", "base64"),
        ("long", "too long"),
        ("binary", "base64"),
        ("folder", "folder"),
        ("commented", "as data-pusher key new writes it"),
        ("pipe", "write the key to a file of mode 600"),
        ("nowhere", "no such file"),
        ("dangling", "if the database is sealed already, find its key"),
    ];
    for (name, why) in cases {
        let said = with_key(&setup, &file(name)).run();
        assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{name}: {said:#?}");
        assert!(said.stderr.contains(why) && !said.stderr.contains("canary"), "{name}: {said:#?}");
        assert!(!said.stderr.contains(&key[..8]), "{name}: {said:#?}");
        assert!(content(setup.folder()) == before, "{name}");
    }
    // The variable is named where it was given.
    let world = file("world");
    let said = setup.clone().variable("DATA_PUSHER_SECRETS_KEY_FILE", world.to_str().unwrap()).run();
    assert!(said.code == Some(2) && said.stderr.contains("DATA_PUSHER_SECRETS_KEY_FILE"), "{said:#?}");
}

#[test]
fn a_key_is_taken_with_any_line_end_by_a_link_and_as_a_credential() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let key = std::fs::read_to_string(new_key(keys.path(), "key")).unwrap();
    let file = |name: &str| keys.path().join(name);
    with_key(&setup, &file("key")).start().terminate();
    write(&file("bare"), key.trim(), 0o600);
    write(&file("crlf"), &format!("{}\r\n", key.trim()), 0o400);
    std::os::unix::fs::symlink(file("key"), file("link")).unwrap();
    for name in ["bare", "crlf", "link"] {
        with_key(&setup, &file(name)).start().terminate();
    }
    // What an access list allows the service shows as rights of the group.
    write(&file("credential"), &key, 0o440);
    // A file of root for a group of root would be allowed anyway. Only root can, and need, give it away.
    let _ = std::os::unix::fs::chown(file("credential"), Some(65_534), Some(65_534));
    let credential = with_key(&setup, &file("credential"));
    assert_eq!(credential.run().code, Some(2));
    let folder = keys.path().to_str().unwrap();
    credential.clone().variable("CREDENTIALS_DIRECTORY", folder).start().terminate();
    // An empty folder, a relative one, another one, and one in which there is only a link.
    let others = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(file("credential"), others.path().join("linked")).unwrap();
    let (other, linked) = (others.path().to_str().unwrap(), others.path().join("linked"));
    for (flag, named) in
        [("credential", ""), ("credential", "."), ("./credential", "."), (linked.to_str().unwrap(), other)]
    {
        let database = setup.database_path().to_str().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_data-pusher"));
        program.current_dir(keys.path()).env("CREDENTIALS_DIRECTORY", named);
        let ended = program.args(["check", "--database", database, "--secrets-key-file", flag]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && said.contains("chmod 600"), "{flag} {named}: {ended:?}");
    }
    assert_eq!(credential.variable("CREDENTIALS_DIRECTORY", other).run().code, Some(2));
}

#[test]
fn a_sealed_file_without_its_key_or_with_another_is_refused_and_untouched() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::dev());
    let [key, other] = ["key", "other"].map(|name| new_key(keys.path(), name));
    let mut server = with_key(&setup, &key).start();
    let account = server.client().create_account("ada");
    server.client().create_destination(&account, "http://127.0.0.1:9/", "POST", serde_json::json!({"X-Key": "canary"}));
    for how in ["killed", "stopped"] {
        if how == "killed" {
            server.kill()
        } else {
            server.terminate()
        }
        let before = content(setup.folder());
        for (refused, why) in
            [(setup.clone(), "give the key with --secrets-key-file"), (with_key(&setup, &other), "another key")]
        {
            let said = refused.run();
            assert_eq!((said.code, said.stderr.lines().count()), (Some(1), 1), "{how}: {said:#?}");
            assert!(said.stderr.contains(why), "{how}: {said:#?}");
            assert!(content(setup.folder()) == before, "{how}: {why}");
        }
        server.start_again();
    }
    server.terminate();
    let database = setup.database_path().to_str().unwrap();
    let line = run_binary(&["export", "--database", database]).refused();
    assert!(line.contains("--secrets-key-file"), "{line}");
    let line = run_binary_with(
        &[("DATA_PUSHER_SECRETS_KEY_FILE", other.to_str().unwrap())],
        &["export", "--database", database],
    )
    .refused();
    assert!(line.contains("another key"), "{line}");
    let said = check(setup.database_path(), &["--secrets-key-file", other.to_str().unwrap()]).refused();
    assert!(said.contains("another key"), "{said}");
    check(setup.database_path(), &[]).succeeded();
    check(setup.database_path(), &["--secrets-key-file", key.to_str().unwrap()]).succeeded();
}

#[test]
fn a_start_that_cannot_succeed_seals_nothing() {
    let (keys, setup) = (tempfile::tempdir().unwrap(), Setup::guarded());
    let key = new_key(keys.path(), "key");
    let mut server = setup.start();
    server.client().create_account("ada");
    server.terminate();
    let token = server.admin_token_path();
    let whole = std::fs::read(&token).unwrap();
    std::fs::write(&token, "\n").unwrap();
    let before = content(setup.folder());
    let line = with_key(&setup, &key).try_start().err().unwrap().join("\n");
    assert!(line.contains("it is empty"), "{line}");
    assert!(content(setup.folder()) == before, "the file is as it was");
    std::fs::write(&token, whole).unwrap();
    setup.start().terminate();
}
