//! Nothing plain is left: planted secrets are searched for in the bytes of every file.

use rusqlite::Connection;

use super::planted::{Planted, plant};
use super::{assert_delivers, check, new_key, with_key};
use crate::harness::server::run_binary;
use crate::harness::{Receiver, Setup, old_file};

#[test]
fn no_planted_secret_is_in_any_file_from_the_first_start_with_a_key_on() {
    let (keys, setup, receiver) = (tempfile::tempdir().unwrap(), Setup::dev(), Receiver::start());
    let (folder, database) = (setup.folder(), setup.database_path().to_str().unwrap().to_owned());
    let [key, next] = ["key", "next"].map(|name| new_key(keys.path(), name));
    let url = receiver.url("/in");
    let mut planted = Planted::default();

    let mut server = setup.start();
    let (account, mut working) = plant(&mut planted, &server.client(), "plain", &url);
    assert_delivers(&server.client(), &receiver, &account.token, &working, 1);
    // What lies in the log is not in the file yet, and a kill leaves it there.
    planted.assert_found(folder);
    server.kill();
    planted.assert_found(folder);

    server.start_again_as(&with_key(&setup, &key));
    planted.assert_none_found(folder, "running with a key");
    assert_delivers(&server.client(), &receiver, &account.token, &working, 2);

    let (later, also) = plant(&mut planted, &server.client(), "sealed", &url);
    assert!(planted.count() >= 200, "{}", planted.count());
    assert_delivers(&server.client(), &receiver, &later.token, &also, 1);
    planted.assert_none_found(folder, "after changes");

    let key_flag = ["--secrets-key-file", key.to_str().unwrap()];
    let [backup, export, plain] = ["backup.db", "export.json", "plain.json"].map(|name| folder.join(name));
    run_binary(&["backup", "--database", &database, backup.to_str().unwrap()]).succeeded();
    let words = ["export", "--database", &database, "--output", export.to_str().unwrap()];
    run_binary(&[&words[..], &key_flag].concat()).succeeded();
    planted.assert_none_found(folder, "backup and export");
    let words = ["export", "--plain", "--database", &database, "--output", plain.to_str().unwrap()];
    run_binary(&[&words[..], &key_flag].concat()).succeeded();
    let found = planted.found(folder);
    assert!(found.len() > 60 && found.values().all(|path| *path == plain), "the search finds what is plain: {found:?}");
    std::fs::remove_file(plain).unwrap();

    server.kill();
    planted.assert_none_found(folder, "after a kill");
    server.start_again();
    planted.assert_none_found(folder, "started again");
    assert_delivers(&server.client(), &receiver, &account.token, &working, 3);
    server.terminate();
    planted.assert_none_found(folder, "stopped");
    check(setup.database_path(), &key_flag).succeeded();
    check(setup.database_path(), &[]).succeeded();

    let rotate = ["key", "rotate", "--database", &database, "--new-key-file", next.to_str().unwrap()];
    run_binary(&[&rotate[..], &key_flag].concat()).succeeded();
    planted.assert_none_found(folder, "rotated");
    std::fs::remove_file(&key).unwrap();
    server.start_again_as(&with_key(&setup, &next));
    planted.assert_none_found(folder, "with the new key");
    assert_delivers(&server.client(), &receiver, &account.token, &working, 4);
    working.clear();
    check(setup.database_path(), &["--secrets-key-file", next.to_str().unwrap()]).succeeded();
}

/// Fills a file of version 6 with destinations, changes some and deletes others, so that their secrets are in parts that
/// nothing uses. Returns how many secrets are still in rows.
fn fill(planted: &mut Planted, file: &Connection, url: &str) -> usize {
    file.execute_batch("PRAGMA secure_delete = OFF").unwrap();
    for number in 0..120_usize {
        let header = planted.text(&format!("header {number}"), [30, 700, 3_000, 9_000, 31_000][number % 5]);
        let secret: Vec<u8> = (0..32).map(|_| fastrand::u8(..)).collect();
        planted.bytes(&format!("secret {number}"), &secret);
        file.execute(
            "INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at,
             updated_at) VALUES (?1, 1, ?2, 'POST', ?3, ?4, 0, 0)",
            (format!("dst_{number}"), format!("{url}/{number}"), format!("{{\"Authorization\":\"{header}\"}}"), secret),
        )
        .unwrap();
        if number % 3 == 2 {
            file.execute("DELETE FROM destination WHERE destination_id = ?1", [format!("dst_{}", number - 1)]).unwrap();
        }
        if number % 4 == 3 {
            let query = "UPDATE destination SET headers = '{}' WHERE destination_id = ?1";
            file.execute(query, [format!("dst_{}", number - 3)]).unwrap();
        }
        // Pages that are free now are used again, in part.
        let event = "INSERT INTO event (id, account_key, received_at, payload)
            VALUES ((?1 << 21) + 100 + ?2, 1, ?1, CAST(?3 AS BLOB))";
        let now = jiff::Timestamp::now().as_millisecond();
        file.execute(event, (now, number, format!("\"{}\"", "x".repeat(number * 40)))).unwrap();
    }
    let held = "SELECT count(*) + sum(headers <> '{}') FROM destination WHERE destination_id <> 'dst_old'";
    file.query_row(held, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_an_earlier_version_left_in_unused_parts_of_the_file_is_gone_too() {
    sealed_from_version_6(&[]);
}

#[test]
fn a_file_whose_pages_are_not_all_known_is_rewritten_instead() {
    sealed_from_version_6(&[("DATA_PUSHER_TEST_NO_ZEROING", "1")]);
}

fn sealed_from_version_6(variables: &[(&str, &str)]) {
    let (keys, setup, receiver) = (tempfile::tempdir().unwrap(), Setup::dev(), Receiver::start());
    let key = new_key(keys.path(), "key");
    old_file::create(6, setup.database_path(), &receiver.url("/old"));
    let mut planted = Planted::default();
    let file = Connection::open(setup.database_path()).unwrap();
    let held = fill(&mut planted, &file, &receiver.url("/in"));
    drop(file);
    let found = planted.found(setup.folder());
    // Of what was deleted or changed, much is still there.
    assert!(found.len() > held + 30, "{} found, {held} in rows, of {}", found.len(), planted.count());
    let setup = variables.iter().fold(with_key(&setup, &key), |setup, (name, value)| setup.variable(name, value));
    let mut server = setup.start();
    planted.assert_none_found(setup.folder(), "running");
    check(setup.database_path(), &["--secrets-key-file", key.to_str().unwrap()]).succeeded();
    let copies = |server: &crate::harness::Server| {
        let names = std::fs::read_dir(server.setup().folder()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".v6-")).collect::<Vec<_>>()
    };
    let [copy] = copies(&server).try_into().unwrap();
    assert!(copy.ends_with(".sealed"), "{copy}");
    server.kill();
    planted.assert_none_found(setup.folder(), "killed");
    server.start_again();
    server.terminate();
    planted.assert_none_found(setup.folder(), "stopped");
    // The way back.
    let back = keys.path().join("back.db");
    let copy = setup.folder().join(copy);
    let words = ["key", "open", copy.to_str().unwrap(), back.to_str().unwrap(), "--secrets-key-file"];
    run_binary(&[&words[..], &[key.to_str().unwrap()]].concat()).succeeded();
    check(&back, &[]).succeeded();
    let version: i64 = Connection::open(&back).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 6);
}
