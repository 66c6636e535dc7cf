//! How the server starts, and every way in which a start is refused: one clear line, and no file is changed.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::old_file;
use crate::harness::server::Ended;
use crate::harness::{Receiver, Setup};

/// Checks for this exit code and exactly one line about `about`.
#[track_caller]
fn one_line(ended: &Ended, code: i32, about: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{ended:#?}");
    assert!(lines[0].to_lowercase().contains(&about.to_lowercase()), "{about:?} is not in {:?}", lines[0]);
    assert!(!lines[0].contains("panicked") && !lines[0].contains("src/"), "{:?}", lines[0]);
}

#[track_caller]
fn mode(path: &Path) -> u32 {
    let data = std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    data.permissions().mode() & 0o7777
}

#[test]
fn a_second_server_on_the_same_file_is_refused_and_the_first_unharmed() {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    for _ in 0..3 {
        one_line(&server.setup().run(), 1, "test.db");
        client.push_with(&account.token, &[("prefer", "wait=20")], b"{}").expect(200);
    }
    assert_eq!(receiver.requests_to("/in").len(), 3);
}

#[test]
fn a_second_server_by_another_name_of_the_file_is_refused_too() {
    let server = Setup::dev().start();
    let folder = server.setup().folder();
    let link = folder.join("link.db");
    std::os::unix::fs::symlink(server.setup().database_path(), &link).unwrap();
    let detour = folder.join("sub/../test.db");
    std::fs::create_dir(folder.join("sub")).unwrap();
    for path in [detour, link] {
        assert_eq!(server.setup().clone().database(&path).run().code, Some(1), "{}", path.display());
    }
    server.client().get("/readyz").expect(200);
}

#[test]
fn a_file_can_be_opened_again_right_after_a_crash() {
    let mut server = Setup::dev().start();
    for _ in 0..5 {
        server.kill();
        server.start_again();
    }
    server.client().get("/readyz").expect(200);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let setup = Setup::dev();
    for content in [b"this is a letter to my bank, not a database".repeat(200), vec![0xAA; 100]] {
        std::fs::write(setup.database_path(), &content).unwrap();
        one_line(&setup.run(), 1, "test.db");
        assert!(std::fs::read(setup.database_path()).unwrap() == content);
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let mut server = Setup::dev().start();
    server.client().create_account("ada");
    server.terminate();
    let setup = server.setup().clone();
    let mut bytes = std::fs::read(setup.database_path()).unwrap();
    // The bytes after the file's header: the pages of the schema.
    bytes[100..4096].fill(0xAA);
    std::fs::write(setup.database_path(), &bytes).unwrap();
    // The log could hold whole pages that repair the file.
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(server.companion(ending));
    }
    one_line(&setup.run(), 1, "test.db");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let setup = Setup::dev();
    let foreign = rusqlite::Connection::open(setup.database_path()).unwrap();
    foreign.execute_batch("CREATE TABLE account (name TEXT); INSERT INTO account VALUES ('not yours')").unwrap();
    drop(foreign);
    let before = std::fs::read(setup.database_path()).unwrap();
    one_line(&setup.run(), 1, "test.db");
    assert!(std::fs::read(setup.database_path()).unwrap() == before);
}

#[test]
fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let mut server = Setup::dev().start();
    server.terminate();
    let setup = server.setup().clone();
    let file = rusqlite::Connection::open(setup.database_path()).unwrap();
    file.pragma_update(None, "user_version", 9_999).unwrap();
    drop(file);
    let before = std::fs::read(setup.database_path()).unwrap();
    one_line(&setup.run(), 1, "version");
    assert!(std::fs::read(setup.database_path()).unwrap() == before);
}

#[test]
fn a_file_of_an_earlier_version_is_copied_aside_and_goes_on_with_all_its_attempts() {
    let (setup, receiver) = (Setup::dev(), Receiver::start());
    old_file::create(1, setup.database_path(), &receiver.url("/in"));
    let server = setup.start();
    let client = server.client();
    let deliveries = client.all("/v1/deliveries");
    assert_eq!(deliveries.len(), 2);
    let [young, old] = [0, 1].map(|at| text(&deliveries[at], "delivery_id"));
    let kept =
        json!({"status_code": 201, "duration_ms": 7, "response_body": "taken", "at": "1970-01-01T00:00:01.000Z"});
    let has = |attempt: &Value| kept.as_object().unwrap().iter().all(|(name, value)| attempt[name] == *value);
    let read = client.delivery(&old);
    assert!(read["attempts"].as_array().unwrap().len() == 1 && has(&read["attempts"][0]), "{read}");
    // The pending delivery is sent. A delivery that is sent again keeps its old attempts.
    let sent = client.wait_for_state(&young, "succeeded");
    let statuses = |delivery: &Value| {
        let attempts = delivery["attempts"].as_array().unwrap().clone();
        attempts.iter().map(|attempt| attempt["status_code"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&sent), [500, 200]);
    client.send("POST", &format!("/v1/deliveries/{old}/retry"), &[], None).expect(202);
    let again = client.wait_for_attempts(&old, 2);
    assert!(statuses(&again) == [201, 200] && has(&again["attempts"][0]), "{again}");

    let copy = std::fs::read_dir(server.setup().folder()).unwrap().map(|entry| entry.unwrap().path());
    let copies: Vec<_> = copy.filter(|path| path.to_string_lossy().contains("test.db.v1-2")).collect();
    let [copy] = copies.try_into().unwrap();
    assert_eq!(mode(&copy), 0o600);
    let copy = rusqlite::Connection::open(copy).unwrap();
    let count = "SELECT (SELECT count(*) FROM attempt) || ' of version ' || user_version FROM pragma_user_version";
    assert_eq!(copy.query_row(count, [], |row| row.get::<_, String>(0)).unwrap(), "2 of version 1");
}

#[test]
fn a_folder_that_cannot_hold_the_file_is_one_line() {
    let setup = Setup::dev();
    let file = setup.folder().join("a-file");
    std::fs::write(&file, "x").unwrap();
    one_line(&setup.clone().database(&file.join("test.db")).run(), 1, "test.db");
    one_line(&setup.clone().database(setup.folder()).run(), 1, &setup.folder().display().to_string());
}

#[test]
fn a_port_that_is_taken_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    one_line(&Setup::dev().flags(&["--listen", &address]).run(), 1, &address);
}

#[test]
fn the_first_start_makes_an_admin_token_that_later_starts_keep() {
    let mut server = Setup::guarded().start();
    let token = server.admin_token().expect("a token in its file");
    assert!(token.len() >= 32, "{} characters", token.len());
    assert_eq!(mode(&server.admin_token_path()), 0o600);
    server.client().get("/v1/accounts").expect(200);
    server.client().with_admin_token(None).get("/v1/accounts").problem(401);
    server.terminate();
    server.start_again();
    assert_eq!(server.admin_token().as_deref(), Some(token.as_str()));
    server.client().get("/v1/accounts").expect(200);
}

#[test]
fn a_token_that_is_given_opens_and_no_file_is_made() {
    let token = "0123456789abcdef-given";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    for setup in [
        Setup::guarded().flags(&["--admin-token", token]),
        Setup::guarded().variable("DATA_PUSHER_ADMIN_TOKEN", token),
        Setup::guarded().variable("DATA_PUSHER_ADMIN_TOKEN_FILE", &file.display().to_string()),
    ] {
        let server = setup.start();
        assert_eq!(server.admin_token(), None);
        let client = server.client();
        client.with_admin_token(Some(token)).get("/v1/accounts").expect(200);
        client.with_admin_token(Some("0123456789abcdef")).get("/v1/accounts").problem(401);
        client.with_admin_token(None).get("/v1/accounts").problem(401);
    }
}

#[test]
fn an_empty_token_file_admits_nobody() {
    let setup = Setup::guarded();
    let file = setup.database_path().with_extension("db.admin-token");
    std::fs::write(&file, "").unwrap();
    // To refuse the start is right too.
    if let Ok(server) = setup.try_start() {
        for token in [None, Some("")] {
            server.client().with_admin_token(token).get("/v1/accounts").problem(401);
        }
    }
}

#[test]
fn dev_makes_no_token_and_ignores_one() {
    let server = Setup::dev().start();
    assert!(!server.admin_token_path().exists());
    server.client().get("/v1/accounts").expect(200);
    server.client().with_admin_token(Some("whatever")).get("/v1/accounts").expect(200);
}

#[test]
fn the_database_and_its_companions_are_for_the_owner_only() {
    // With the umask that restricts nothing.
    let setup = Setup::guarded().through(&["/bin/sh", "-c", "umask 000; exec \"$@\"", "sh"]);
    let mut server = setup.start();
    let client = server.client();
    client.push(&client.create_account("ada"), "{}");
    for _ in 0..2 {
        let mut seen = Vec::new();
        for entry in std::fs::read_dir(server.setup().folder()).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            seen.push(path);
        }
        for ending in ["", "-wal", "-shm", ".admin-token"] {
            assert!(seen.contains(&server.companion(ending)), "no {ending} in {seen:?}");
        }
        server.kill();
        server.start_again();
    }
}

#[test]
fn an_operation_endpoint_tells_how_it_is() {
    let server = Setup::guarded().start();
    let client = server.client();
    client.get("/healthz").expect(200);
    client.get("/readyz").expect(200);
    let metrics = client.get("/metrics").expect(200);
    assert!(
        metrics.header("content-type").is_some_and(|value| value.starts_with("text/plain")),
        "{:?}",
        metrics.headers
    );
    assert!(metrics.text().lines().any(|line| line.starts_with("# TYPE data_pusher_")), "{}", metrics.text());
}
