//! `data-pusher check`: every kind of damage that is planted is found, by a line of its own that says what to do.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::server::{Ended, Halted, run_binary};
use crate::harness::{Behaviour, Receiver, Server, Setup};

/// A server that has done a little of everything.
struct World {
    server: Server,
    _receiver: Receiver,
}

impl World {
    fn new() -> Self {
        let (server, receiver) = (Setup::dev().flags(&["--retry-schedule=1h"]).start(), Receiver::start());
        receiver.on("/fails", Behaviour::status(500));
        let client = server.client();
        let [ada, bob] = ["ada", "bob"].map(|name| client.create_account(name));
        let body = |path: &str, more: Value| {
            let mut body = json!({"url": receiver.url(path), "http_method": "POST", "headers": {"X-A": "b"}});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for (account, body) in [
            (&ada, body("/in", json!({}))),
            (&ada, body("/fails", json!({}))),
            (
                &ada,
                body(
                    "/shaped",
                    json!({"filter": "data.a == 1", "body_template": "{{ data }}", "header_templates": {"X-B": "{{ data.a }}"}}),
                ),
            ),
            (&bob, body("/bob", json!({"event_types": ["order.*"], "rate_limit": "1000/s", "retry_schedule": ["1s"]}))),
        ] {
            client.post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201);
        }
        for _ in 0..5 {
            client.push_with(&ada.token, &[("event-type", "order.paid")], b"{\"a\":1}").expect(202);
            client.push_with(&bob.token, &[("event-type", "order.paid")], b"[1,2]").expect(202);
        }
        client.post("/v1/tokens", &json!({"name": "ci", "role": "viewer", "account_id": ada.id})).expect(201);
        receiver.wait_for("/in", 5);
        receiver.wait_for("/fails", 5);
        receiver.wait_for("/shaped", 5);
        receiver.wait_for("/bob", 5);
        // A delivery with two attempts, and one that was cancelled.
        let failed = client.all("/v1/deliveries?state=pending");
        let [first, second] = [0, 1].map(|at| failed[at]["delivery_id"].as_str().unwrap().to_owned());
        // A retry during an attempt is that attempt.
        client.wait_for_attempts(&first, 1);
        client.send("POST", &format!("/v1/deliveries/{first}/retry"), &[], None).expect(202);
        client.wait_for_attempts(&first, 2);
        client.send("POST", &format!("/v1/deliveries/{second}/cancel"), &[], None);
        Self { server, _receiver: receiver }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.setup().folder().join(name)
    }
}

#[track_caller]
fn check(path: &Path) -> Ended {
    run_binary(&["check", "--database", &path.display().to_string()])
}

/// Checks that the file has faults, and one line of them begins with `code` and says what to do.
#[track_caller]
fn finds(path: &Path, code: &str) {
    let said = check(path);
    assert_eq!(said.code, Some(1), "{code}: {said:#?}");
    let line = said.stdout.lines().find(|line| line.starts_with(&format!("{code}: ")));
    let line = line.unwrap_or_else(|| panic!("{code}: {said:#?}"));
    let advice = [
        "restore",
        "server",
        "set ",
        "rotate",
        "harmless",
        "mv ",
        "move",
        "use a newer",
        "another program",
        "--database",
        "copy",
    ];
    assert!(advice.iter().any(|word| line.contains(word)) || line.contains("SQLite database"), "{line}");
    assert!(!said.stdout.contains("panicked") && !said.stderr.contains("panicked"), "{said:#?}");
}

#[track_caller]
fn is_whole(path: &Path) -> Ended {
    let said = check(path);
    assert!(said.code == Some(0) && said.stdout.is_empty(), "{said:#?}");
    said
}

/// Damage that SQL can do.
const BY_SQL: &[(&str, &str)] = &[
    ("missing_parent", "DELETE FROM event WHERE id = (SELECT min(event_id) FROM delivery)"),
    ("missing_parent", "DELETE FROM account WHERE key = 1"),
    (
        "delivery_without_destination",
        "DROP TRIGGER destination_deleted_with_its_deliveries; DELETE FROM destination WHERE key = 1",
    ),
    ("missing_trigger", "DROP TRIGGER destination_deleted_with_its_deliveries"),
    ("missing_index", "DROP INDEX delivery_due"),
    ("schema", "ALTER TABLE destination RENAME COLUMN filter TO sieve"),
    ("schema", "DROP TABLE tally_recent"),
    ("delivery_of_another_account", "UPDATE delivery SET destination_key = 4 WHERE id = (SELECT min(id) FROM delivery)"),
    ("delivery_before_its_destination", "UPDATE destination SET first_id = 9000000000000000000 WHERE key = 1"),
    ("delivery_id", "UPDATE delivery SET id = id + 5000 WHERE id = (SELECT max(id) FROM delivery)"),
    ("delivery_state", "UPDATE delivery SET state = 7 WHERE id = (SELECT max(id) FROM delivery)"),
    ("delivery_numbers", "UPDATE delivery SET step = -1 WHERE id = (SELECT max(id) FROM delivery)"),
    ("delivery_error", "UPDATE delivery SET error = 'gremlins' WHERE error IS NOT NULL"),
    ("pending_time", "UPDATE delivery SET next_attempt_at = 9000000000000000 WHERE state = 0"),
    ("pending_time", "UPDATE delivery SET next_attempt_at = -1 WHERE state = 0"),
    ("success_without_answer", "UPDATE delivery SET status_code = NULL WHERE state = 1"),
    ("success_without_answer", "UPDATE delivery SET state = 1 WHERE attempt_count = 1 AND status_code = 500"),
    ("exhausted_without_error", "UPDATE delivery SET state = 2, error = NULL WHERE state = 0"),
    ("attempts_missing", "DELETE FROM attempt WHERE number = 2"),
    ("attempts_missing", "UPDATE delivery SET attempt_count = 9 WHERE state = 1"),
    ("first_attempt", "UPDATE delivery SET last_attempt_at = NULL WHERE first_duration_ms IS NOT NULL"),
    ("attempt_number", "UPDATE attempt SET number = 9 WHERE number = 2"),
    ("attempt_error", "UPDATE attempt SET error = 'gremlins'"),
    ("event_type_without_event", "INSERT INTO event_type VALUES (5, 'a')"),
    ("event_type", "UPDATE event_type SET name = ''"),
    ("request_body_without_delivery", "INSERT INTO request_body VALUES (5, 1, x'00', 0)"),
    ("request_body_number", "UPDATE request_body SET number = 8"),
    ("action_without_delivery", "INSERT INTO manual_action VALUES (5, 0, 0)"),
    ("action_kind", "UPDATE manual_action SET action = 5"),
    ("tally_start", "UPDATE tally SET start = start + 1"),
    ("tally_count", "UPDATE tally SET accepted = -1"),
    ("tally_recent", "INSERT INTO tally_recent (counts) VALUES (x'0102')"),
    ("token_of_two_accounts", "UPDATE account SET token_digest = (SELECT token_digest FROM account WHERE key = 1)"),
    ("token_digest", "UPDATE account SET token_digest = x'00' WHERE key = 1"),
    ("access_token", "UPDATE access_token SET token_digest = x'00'"),
    ("access_token", "UPDATE access_token SET role = 'king'"),
    ("access_token_of_deleted_account", "UPDATE account SET deleted_at = 1"),
    ("missing_parent", "UPDATE access_token SET account_key = 99"),
    ("email_folded", "UPDATE account SET email_folded = 'other@example.com' WHERE key = 1"),
    ("account_id", "UPDATE account SET account_id = 'a b' WHERE key = 1"),
    ("sealed_without_key", "UPDATE destination SET headers = 'sealed:AAAA' WHERE key = 1"),
    ("sequence", "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'account'"),
    ("event_time", "UPDATE event SET received_at = received_at + 99999999999"),
    ("event_id", "PRAGMA defer_foreign_keys = ON; UPDATE event SET id = -1 WHERE id = (SELECT max(id) FROM event)"),
    ("document", "UPDATE event SET payload = x'7b'"),
    ("destination", "UPDATE destination SET url = 'ftp://x/'"),
    ("destination", "UPDATE destination SET http_method = 'BREW'"),
    ("destination", "UPDATE destination SET headers = '{'"),
    ("destination", "UPDATE destination SET secret = x'00'"),
    ("destination", "UPDATE destination SET filter = 'data.'"),
    ("destination", "UPDATE destination SET body_template = '{{'"),
    ("destination", "UPDATE destination SET header_templates = '{\"X\": \"{{\"}'"),
    ("destination", "UPDATE destination SET event_types = '{}'"),
    ("destination", "UPDATE destination SET rate_limit = 'fast'"),
    ("destination", "UPDATE destination SET retry_schedule = 'soon'"),
    ("destination", "UPDATE destination SET paused_reason = 'tired', paused_at = 0"),
    ("destination", "UPDATE destination SET on_exhausted = 'cry'"),
    ("destination_time", "UPDATE destination SET paused_reason = 'manual'"),
    ("mark", "DELETE FROM log_mark"),
    ("mark", "UPDATE log_mark SET mark = x'00'"),
    ("refused_at_start", "PRAGMA user_version = 9999"),
    ("refused_at_start", "PRAGMA application_id = 5"),
    (
        "index",
        "PRAGMA writable_schema = ON; CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'event_by_account';
         DELETE FROM sqlite_schema WHERE name = 'event_by_account'; PRAGMA writable_schema = RESET;
         DELETE FROM event_type; DELETE FROM event WHERE id = (SELECT max(id) FROM event);
         PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept; PRAGMA writable_schema = RESET",
    ),
];

#[test]
fn each_kind_of_damage_is_found_by_its_own_line() {
    let mut world = World::new();
    world.server.terminate();
    let (file, copy) = (world.path("test.db"), world.path("copy.db"));
    is_whole(&file);
    for (code, sql) in BY_SQL {
        std::fs::copy(&file, &copy).unwrap();
        let damaged = Connection::open(&copy).unwrap();
        damaged.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        damaged.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(damaged);
        finds(&copy, code);
    }
    // Damage below SQL.
    let whole = std::fs::read(&file).unwrap();
    let with = |damage: &dyn Fn(&mut Vec<u8>), code: &str| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(&copy, bytes).unwrap();
        finds(&copy, code);
    };
    let root = |name: &str| -> usize {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: usize = Connection::open(&file).unwrap().query_row(sql, [name], |row| row.get(0)).unwrap();
        (page - 1) * 4_096
    };
    let (delivery, by_event) = (root("delivery"), root("delivery_by_event"));
    with(&|bytes| bytes[delivery..delivery + 40].fill(0xaa), "damaged");
    with(&|bytes| bytes[by_event + 8..by_event + 40].fill(0xaa), "damaged");
    with(&|bytes| bytes.truncate(whole.len() - 5_000), "truncated");
    with(&|bytes| bytes.extend([0; 4_096]), "too_long");
    with(&|bytes| bytes.clear(), "refused_at_start");
    with(&|bytes| bytes.fill(b'x'), "refused_at_start");
    with(&|bytes| bytes[100..4_096].fill(0xaa), "unreadable");
    with(&|bytes| bytes[16..18].copy_from_slice(&[0, 7]), "unreadable");
    // One byte of a document.
    let at = whole.windows(7).position(|window| window == b"{\"a\":1}").unwrap();
    with(&|bytes| bytes[at] = b'(', "document");
    std::fs::remove_file(&copy).unwrap();
    Connection::open(&copy).unwrap().execute_batch("CREATE TABLE account (name TEXT)").unwrap();
    finds(&copy, "refused_at_start");
}

#[test]
fn a_log_that_is_missing_or_another_file_s_is_found_and_the_file_itself_is_checked_all_the_same() {
    let mut world = World::new();
    world.server.kill();
    let (file, copy) = (world.path("test.db"), world.path("copy.db"));
    // With its own log it is whole, and stays as it is.
    let before = std::fs::read(&file).unwrap();
    is_whole(&file);
    assert!(std::fs::read(&file).unwrap() == before && world.path("test.db-wal").exists());
    std::fs::copy(&file, &copy).unwrap();
    finds(&copy, "refused_at_start");
    assert!(check(&copy).stdout.contains("move the log there"));
    let mut other = World::new();
    other.server.kill();
    let log = std::fs::read(other.path("test.db-wal")).unwrap();
    std::fs::write(world.path("copy.db-wal"), &log).unwrap();
    let said = check(&copy);
    assert!(said.stdout.contains("belongs to another file"), "{said:#?}");
    assert!(std::fs::read(world.path("copy.db-wal")).unwrap() == log && std::fs::read(&copy).unwrap() == before);
    // Only the file, without what the log holds.
    let file = std::fs::OpenOptions::new().write(true).open(&copy).unwrap();
    file.write_all_at(&[0xaa; 4_096], 8_192).unwrap();
    assert!(check(&copy).stdout.lines().count() > said.stdout.lines().count());
}

#[test]
fn a_running_server_s_file_is_checked_and_nobody_notices() {
    let mut world = World::new();
    let client = world.server.client();
    let account = client.create_account("carol");
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for _ in 0..300 {
                client.push(&account, "{}");
            }
        });
        for _ in 0..3 {
            is_whole(&world.path("test.db"));
        }
        pushing.join().unwrap();
    });
    world.server.terminate();
    assert!(!world.path("test.db-wal").exists());
}

#[test]
fn tables_of_a_replicator_are_allowed_and_other_foreign_ones_are_only_said() {
    let mut world = World::new();
    world.server.terminate();
    // The connection is closed each time, as another program that ended.
    let change = |sql: &str| Connection::open(world.path("test.db")).unwrap().execute_batch(sql).unwrap();
    change(
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)",
    );
    let said = is_whole(&world.path("test.db"));
    assert!(!said.stderr.contains("litestream"), "{said:#?}");
    change("CREATE TABLE notes (text)");
    let said = is_whole(&world.path("test.db"));
    assert!(said.stderr.contains("notes"), "{said:#?}");
}

#[test]
fn what_programs_read_is_one_line_of_json() {
    let mut world = World::new();
    world.server.terminate();
    let path = world.path("test.db").display().to_string();
    let run = || {
        let said = run_binary(&["check", "--json", "--database", &path]);
        assert!(said.stdout.lines().count() == 1 && said.stderr.is_empty(), "{said:#?}");
        (said.code, serde_json::from_str::<Value>(&said.stdout).unwrap())
    };
    let (code, whole) = run();
    assert_eq!((code, &whole["whole"], &whole["events"]), (Some(0), &json!(true), &json!(10)));
    Connection::open(&path).unwrap().execute_batch("UPDATE delivery SET state = 7").unwrap();
    let (code, broken) = run();
    assert_eq!((code, &broken["whole"]), (Some(1), &json!(false)));
    assert!(broken["faults"].as_array().unwrap().iter().any(|fault| fault["code"] == "delivery_state"), "{broken}");
    let none = run_binary(&["check", "--database", &world.path("none.db").display().to_string()]);
    assert!(none.code == Some(1) && none.stderr.contains("no such file"), "{none:#?}");
    assert_eq!(run_binary(&["check", "--nonsense"]).code, Some(2));
}

#[test]
fn a_server_can_start_while_its_file_is_checked() {
    let mut world = World::new();
    world.server.terminate();
    let path = world.path("test.db").display().to_string();
    let halted = Halted::at("checking", &["check", "--database", &path]);
    world.server.start_again();
    world.server.client().create_account("carol");
    let said = halted.go_on();
    assert_eq!(said.code, Some(0), "{said:#?}");
    world.server.terminate();
    assert!(!world.path("test.db-wal").exists());
}
