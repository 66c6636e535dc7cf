//! Secrets sealed in the file: `--secrets-key-file` and `data-pusher key`.

mod copies;
mod ids;
mod key_files;
mod killed;
mod lost;
mod moved;
mod nothing_plain;
mod others;
mod planted;
mod restored;
mod rotation;
mod taken_along;
mod under_load;

use std::path::{Path, PathBuf};

use crate::harness::server::run_binary;
use crate::harness::{Client, Receiver, Setup};
use planted::Destination;

/// Makes a key in a folder of its own beside nothing that is searched.
fn new_key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    run_binary(&["key", "new", path.to_str().unwrap()]).succeeded();
    path
}

/// What `key id` says of a file.
fn id(key: &Path) -> String {
    let said = run_binary(&["key", "id", key.to_str().unwrap()]);
    said.succeeded();
    assert!(said.stderr.is_empty() && said.stdout.lines().count() == 1, "{said:#?}");
    said.stdout.trim().to_owned()
}

/// The same server with this key.
fn with_key(setup: &Setup, key: &Path) -> Setup {
    setup.clone().flags(&["--secrets-key-file", key.to_str().unwrap()])
}

fn check(database: &Path, flags: &[&str]) -> crate::harness::server::Ended {
    run_binary(&[&["check", "--database", database.to_str().unwrap()], flags].concat())
}

/// An event reaches all of these destinations, each with its own headers and a signature of its own secret.
#[track_caller]
fn assert_delivers(client: &Client, receiver: &Receiver, token: &str, to: &[Destination], number: usize) {
    client.push_with(token, &[], format!("{{\"n\":{number}}}").as_bytes()).expect(202);
    for destination in to {
        let path = format!("/in{}", destination.path);
        let requests = receiver.wait_for(&path, number);
        let request = &requests[number - 1];
        assert_eq!(request.headers.get("authorization"), Some(destination.header.as_str()), "{path}");
        assert!(request.headers.get("x-made-key").is_some_and(|key| key.ends_with(&number.to_string())), "{path}");
        let secret = client.get(&format!("/v1/destinations/{}/signing-secret", destination.id)).expect(200).json();
        let signed = crate::signatures::signature(secret["signing_secret"].as_str().unwrap(), request, &request.body);
        let given = request.headers.get("webhook-signature").unwrap();
        assert!(given.split(' ').any(|one| one == signed), "{path}: {given}");
    }
}
