//! Accounts that are taken from one file to another by `export` and `import`, whether or not a server uses the files.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::server::{Ended, run_binary};
use crate::harness::{Receiver, Server, Setup, wait_until};

/// Without `--dev`: the server that runs must be found by its login file.
fn setup() -> Setup {
    Setup::guarded().flags(&["--allow-network", "127.0.0.1/32"])
}

fn export(database: &Path, flags: &[&str]) -> Ended {
    run_binary(&[&["export", "--database", database.to_str().unwrap()], flags].concat())
}

/// Imports a document from a file in `folder`.
fn import(database: &Path, folder: &Path, document: &str, flags: &[&str]) -> Ended {
    let path = folder.join("document.json");
    std::fs::write(&path, document).unwrap();
    let words = ["import", "--database", database.to_str().unwrap(), path.to_str().unwrap()];
    run_binary(&[&words[..], flags].concat())
}

#[track_caller]
fn done(ended: Ended) -> String {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    ended.stdout
}

/// The lines of a refusal, without what says that it is one.
#[track_caller]
fn refused(ended: &Ended) -> Vec<String> {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:#?}");
    let text = ended.stderr.trim_end().strip_prefix("error: ").unwrap_or_else(|| panic!("{ended:#?}"));
    text.lines().map(str::to_owned).collect()
}

/// A document without the slot of its file: each file has its own.
fn content(document: &str) -> String {
    let lines = document.lines().filter(|line| !line.contains("\"id_slot\""));
    lines.map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn stands_alone(database: &Path) {
    for ending in ["-wal", "-shm"] {
        assert!(!Path::new(&format!("{}{ending}", database.display())).exists(), "{ending}");
    }
}

/// An account with one destination that has every setting, in the middle of both rotations, and a paused one.
fn full_account(server: &Server, receiver: &Receiver) -> (String, String) {
    let client = server.client();
    let account = client
        .post(
            "/v1/accounts",
            &json!({"email": "Ada@Example.com", "account_name": "Ada", "website": "https://ada.example"}),
        )
        .expect(201)
        .json();
    let id = account["account_id"].as_str().unwrap().to_owned();
    let rotated = client.post(&format!("/v1/accounts/{id}/rotate-token"), &json!({"grace_seconds": 3600}));
    let token = rotated.expect(200).json()["app_secret_token"].as_str().unwrap().to_owned();
    let path = format!("/v1/accounts/{id}/destinations");
    let full = client.post(
        &path,
        &json!({
            "url": receiver.url("/full?a=b%20c"), "http_method": "PUT",
            "headers": {"X-Team": "orders", "Authorization": "Bearer canary"},
            "retry_schedule": ["5s", "10m", "1d"], "timeout_seconds": 7, "max_concurrency": 3, "rate_limit": "100/m",
            "ordering": "strict", "on_exhausted": "pause", "event_types": ["order.*", "a"],
            "filter": "data.total > 100", "body_template": "{\"text\": {{ data.name }}}",
            "header_templates": {"X-Name": "{{ data.name }}"},
        }),
    );
    let full = full.expect(201).json()["destination_id"].as_str().unwrap().to_owned();
    client.post(&format!("/v1/destinations/{full}/rotate-signing-secret"), &json!({})).expect(200);
    let plain = json!({"url": receiver.url("/plain"), "http_method": "POST", "headers": {}});
    client.post(&path, &plain).expect(201);
    let paused = json!({"url": receiver.url("/paused"), "http_method": "POST", "headers": {}});
    let paused = client.post(&path, &paused).expect(201).json()["destination_id"].as_str().unwrap().to_owned();
    client.post(&format!("/v1/destinations/{paused}/pause"), &json!({})).expect(200);
    (id, token)
}

#[test]
fn an_export_of_an_import_is_the_export_and_the_account_works_as_before() {
    let receiver = Receiver::start();
    let first = setup().start();
    let (id, token) = full_account(&first, &receiver);
    let document = done(export(first.setup().database_path(), &[]));
    let value: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&value["format"], &value["version"]), (&json!("data-pusher-export"), &json!(1)));
    let account = &value["accounts"][0];
    let destination = &account["destinations"][0];
    assert!(account["old_token_until"].is_string() && destination["old_signing_secret"].is_string(), "{value:#}");
    assert_eq!(destination["headers"]["Authorization"], "Bearer canary");
    assert_eq!(account["destinations"][2]["paused_reason"], "manual");
    assert!(!document.contains(&token), "a token is never in a file");

    // Into a new file that no server uses.
    let second = setup();
    let database = second.database_path();
    let ended = import(database, second.folder(), &document, &["--allow-network", "127.0.0.1/32"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "imported 1 account with 3 destinations"), "{ended:#?}");
    assert_eq!(ended.stderr, format!("note: created {}", database.display()));
    stands_alone(database);
    assert_eq!(database.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(content(&done(export(database, &[]))), content(&document));
    stands_alone(database);
    assert_eq!(content(&done(export(database, &["--account", &id]))), content(&document));
    assert!(refused(&export(database, &["--account", "nobody"]))[0].contains("no account"));

    let server = second.start();
    let client = server.client();
    assert_eq!(content(&done(export(database, &[]))), content(&document), "of a running server's file too");
    client.push_with(&token, &[], b"{\"total\": 1}").expect(202);
    receiver.wait_for("/plain", 1);
    let of = |server: &Server| server.client().all(&format!("/v1/accounts/{id}/destinations"));
    let (mut before, mut after) = (of(&first), of(&server));
    assert_eq!((before.len(), after.len()), (3, 3));
    // What attempts found out is not taken along.
    for destination in before.iter_mut().chain(&mut after) {
        destination["failing_since"] = Value::Null;
    }
    assert_eq!(before, after);
}

#[test]
fn a_running_server_imports_and_the_account_works_at_once() {
    let receiver = Receiver::start();
    let (first, second) = (setup().start(), setup().start());
    let (_, token) = full_account(&first, &receiver);
    // The server has read its own destinations already.
    let other = second.client().create_account("bob");
    second.client().create_destination(&other, &receiver.url("/bob"), "POST", json!({}));
    second.client().push(&other, "{}");
    second.client().push_with(&token, &[], b"{}").problem(401);
    let document = done(export(first.setup().database_path(), &[]));
    let database = second.setup().database_path();
    let printed = done(import(database, second.setup().folder(), &document, &["--json"]));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report, json!({"accounts": 1, "destinations": 3, "skipped": []}));
    let accepted = second.client().push_with(&token, &[("event-type", "a")], br#"{"total": 101, "name": "Ada"}"#);
    assert_eq!(accepted.expect(202).json()["deliveries"].as_array().unwrap().len(), 3);
    let full = receiver.wait_for("/full", 1);
    assert_eq!((full[0].method.as_str(), full[0].body.as_slice()), ("PUT", &br#"{"text": "Ada"}"#[..]));
    assert_eq!(full[0].headers.get("x-name"), Some("Ada"));
    let signatures = full[0].headers.get("webhook-signature").unwrap();
    assert_eq!(signatures.split(' ').count(), 2, "both secrets sign");
    let both = done(export(database, &[]));
    assert_eq!(serde_json::from_str::<Value>(&both).unwrap()["accounts"].as_array().unwrap().len(), 2);
    assert!(import(database, second.setup().folder(), &document, &["--allow-network", "::1"]).code == Some(1));
}

#[test]
fn all_or_none_is_imported_and_what_exists_is_named() {
    let (first, second) = (setup().start(), setup().start());
    let ada = first.client().create_account("ada");
    first.client().create_account("bob");
    let database = second.setup().database_path();
    let folder = second.setup().folder();
    let taken = json!({"email": "ADA@example.com", "account_name": "x"});
    let taken = second.client().post("/v1/accounts", &taken).expect(201).json();
    let document = done(export(first.setup().database_path(), &[]));
    let lines = refused(&import(database, folder, &document, &[]));
    let holder = taken["account_id"].as_str().unwrap();
    let clash = format!("nothing was imported: accounts[0].email is taken: the account {holder} has ada@example.com");
    assert_eq!(lines, [clash.as_str()]);
    assert_eq!(second.client().all("/v1/accounts").len(), 1, "not the other one either");

    let printed = done(import(database, folder, &document, &["--skip-existing"]));
    assert!(printed.starts_with(&format!("imported 1 account with 0 destinations\nskipped {}: email", ada.id)));
    assert_eq!(second.client().all("/v1/accounts").len(), 2);
    // Again: every clash has a line of its own.
    let lines = refused(&import(database, folder, &document, &[]));
    assert_eq!(lines[0], "nothing was imported: 4 errors");
    for field in ["accounts[0].email", "accounts[1].account_id", "accounts[1].email", "accounts[1].token_digest"] {
        assert_eq!(lines.iter().filter(|line| line.trim().starts_with(field)).count(), 1, "{field}: {lines:#?}");
    }
    let printed = done(import(database, folder, &document, &["--skip-existing", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["skipped"].as_array().unwrap().len(), 2);
}

#[test]
fn what_a_document_may_not_have_is_named_and_no_file_is_made() {
    let receiver = Receiver::start();
    let first = setup().start();
    full_account(&first, &receiver);
    let document: Value = serde_json::from_str(&done(export(first.setup().database_path(), &[]))).unwrap();
    let target = setup();
    let case = |change: &dyn Fn(&mut Value), found: &[&str]| {
        let mut changed = document.clone();
        change(&mut changed);
        let ended =
            import(target.database_path(), target.folder(), &changed.to_string(), &["--allow-network", "127.0.0.1"]);
        let lines = refused(&ended);
        let text = lines.join("\n");
        assert!(found.iter().all(|part| text.contains(part)), "{found:?}: {text}");
        assert!(!text.contains("canary"), "{text}");
        assert!(!target.database_path().exists());
    };
    case(&|all| all["format"] = json!("other"), &["format must be data-pusher-export"]);
    case(&|all| all["version"] = json!(3), &["version is 3, and this program reads 1 and 2"]);
    case(&|all| all["extra"] = json!(1), &["extra is not a field"]);
    case(&|all| all["accounts"] = json!({}), &["accounts must be an array"]);
    case(&|all| all["accounts"][0]["extra"] = json!(1), &["accounts[0].extra is not a field"]);
    let url = "accounts[0].destinations[1].url";
    case(&|all| all["accounts"][0]["destinations"][1]["url"] = json!("http://10.0.0.1/"), &[url, "--allow-network"]);
    case(&|all| all["accounts"][0]["destinations"][0]["filter"] = json!("data. >"), &["destinations[0].filter"]);
    case(
        &|all| {
            all["accounts"][0]["email"] = json!("nobody");
            all["accounts"][0]["token_digest"] = json!("00");
            all["accounts"][0]["old_token_until"] = Value::Null;
            all["accounts"][0]["destinations"][0]["signing_secret"] = json!("whsec_canary");
            all["accounts"][0]["destinations"][2]["paused_reason"] = json!("tired");
            all["accounts"][0]["destinations"][2]["created_at"] = json!("yesterday");
        },
        &[
            "6 errors",
            "accounts[0].email must be",
            "accounts[0].token_digest must be",
            "accounts[0].old_token_until must be given with old_token_digest",
            "accounts[0].destinations[0].signing_secret must be whsec_",
            "accounts[0].destinations[2].paused_reason must be one of manual",
            "accounts[0].destinations[2].created_at",
        ],
    );
    case(
        &|all| all["accounts"][0]["old_token_digest"] = all["accounts"][0]["token_digest"].clone(),
        &["accounts[0].old_token_digest must be another one"],
    );
    case(
        &|all| {
            let twice = all["accounts"][0]["destinations"][0]["destination_id"].clone();
            all["accounts"][0]["destinations"][1]["destination_id"] = twice;
        },
        &["accounts[0].destinations[1].destination_id is given twice"],
    );
    for (text, found) in [("{\"format\":\n1,}", "line 2"), ("", "The document is empty"), ("[]", "format must be")] {
        let ended = import(target.database_path(), target.folder(), text, &[]);
        assert!(refused(&ended)[0].contains(found), "{ended:#?}");
    }
    // Where loopback is not allowed, it is not allowed by way of a document either.
    let ended = import(target.database_path(), target.folder(), &document.to_string(), &[]);
    assert!(refused(&ended).join("\n").contains("--allow-network"), "{ended:#?}");
    assert!(!target.database_path().exists());
}

#[test]
fn an_export_is_for_its_owner_only_and_replaces_nothing() {
    let setup = setup();
    let server = setup.start();
    server.client().create_account("ada");
    let database = setup.database_path();
    let file = setup.folder().join("out.json");
    let flags = ["--output", file.to_str().unwrap()];
    assert_eq!(done(export(database, &flags)), "");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read(&file).unwrap();
    server.client().create_account("bob");
    assert!(refused(&export(database, &flags))[0].contains("--force"));
    assert_eq!(std::fs::read(&file).unwrap(), first);
    done(export(database, &[&flags[..], &["--force"]].concat()));
    assert!(std::fs::read(&file).unwrap().len() > first.len());
    // Neither a database, its log nor a device is ever replaced.
    let log = setup.folder().join("test.db-wal");
    let before = log.metadata().unwrap().ino();
    let onto_log = export(database, &["--force", "--output", log.to_str().unwrap()]);
    assert!(refused(&onto_log)[0].contains("belongs to the database"), "{onto_log:?}");
    assert_eq!(log.metadata().unwrap().ino(), before);
    let foreign = setup.folder().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let onto_foreign = export(database, &["--force", "--output", foreign.to_str().unwrap()]);
    assert!(refused(&onto_foreign)[0].contains("SQLite database"), "{onto_foreign:?}");
    let onto_device = export(database, &["--force", "--output", "/dev/null"]);
    assert!(refused(&onto_device)[0].contains("no ordinary file"), "{onto_device:?}");
    let part = setup.folder().join("x.json.part");
    std::fs::write(&part, "another's").unwrap();
    done(export(database, &["--output", setup.folder().join("x.json").to_str().unwrap()]));
    assert_eq!(std::fs::read(&part).unwrap(), b"another's");
    let onto_itself = export(database, &["--force", "--output", database.to_str().unwrap()]);
    assert!(refused(&onto_itself)[0].contains("the database itself"));
    server.client().get("/readyz").expect(200);
    assert!(refused(&export(&setup.folder().join("none.db"), &[]))[0].contains("none.db"));
    assert!(!setup.folder().join("none.db").exists());
    let other = setup.folder().join("other.db");
    std::fs::write(&other, "no database").unwrap();
    assert!(refused(&export(&other, &[]))[0].contains("not a SQLite database"));
}

#[test]
fn a_file_that_a_crash_left_is_read_with_its_log_and_starts_afterwards() {
    let setup = setup();
    let mut server = setup.start();
    server.client().create_account("ada");
    server.kill();
    let document = done(export(setup.database_path(), &[]));
    assert!(document.contains("ada@example.com"));
    server.start_again();
    assert_eq!(server.client().all("/v1/accounts").len(), 1);
    server.terminate();
    stands_alone(setup.database_path());
    assert_eq!(done(export(setup.database_path(), &[])), document);
}

#[test]
fn several_exports_at_once_are_the_same_and_leave_nothing_behind() {
    let setup = setup();
    let mut server = setup.start();
    server.client().create_account("ada");
    server.terminate();
    let database = setup.database_path();
    let all: Vec<String> = std::thread::scope(|scope| {
        let exports: Vec<_> = (0..8).map(|_| scope.spawn(|| done(export(database, &[])))).collect();
        exports.into_iter().map(|export| export.join().unwrap()).collect()
    });
    assert!(all.iter().all(|document| *document == all[0] && document.contains("ada@example.com")), "{all:#?}");
    stands_alone(database);
    server.start_again();
}

#[test]
fn only_who_reads_the_login_file_has_a_running_server_import() {
    let server = setup().start();
    let client = server.client();
    let document = br#"{"format":"data-pusher-export","version":1,"accounts":[]}"#;
    let send = |headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        client.with_admin_token(None).send("POST", "/import", &headers, Some(document))
    };
    send(&[]).problem(401);
    let bearer = format!("Bearer {}", server.admin_token().unwrap());
    send(&[("authorization", &bearer)]).problem(401);
    send(&[("authorization", "Login 0123456789")]).problem(401);
    let code = server.login_link().split('#').nth(1).unwrap().to_owned();
    let login = format!("Login {code}");
    send(&[("authorization", &login)]).expect(200);
    send(&[("authorization", &login)]).problem(401);
    client.get("/import").problem(405);
    assert!(!client.get("/openapi.json").text().contains("/import"));
}

#[test]
fn a_server_that_cannot_be_asked_is_left_alone() {
    let setup = Setup::dev();
    // What a server without --dev would have left after a crash.
    let stale = format!("{}.login", setup.database_path().display());
    std::fs::write(&stale, r#"{"address":"127.0.0.1:1","url":"http://127.0.0.1:1","key":"AAAA"}"#).unwrap();
    let server = setup.start();
    let document = r#"{"format":"data-pusher-export","version":1,"accounts":[]}"#;
    let lines = refused(&import(setup.database_path(), setup.folder(), document, &[]));
    assert!(lines[0].contains("another program uses the database") && lines[0].contains("--dev"), "{lines:?}");
    server.client().get("/readyz").expect(200);
}

#[test]
fn an_import_of_a_hundred_accounts_holds_up_no_events() {
    let (first, second) = (setup().start(), setup().start());
    for number in 0..100 {
        let account = first.client().create_account(&format!("a{number}"));
        first.client().create_destination(&account, "https://example.com/", "POST", json!({}));
    }
    let sender = second.client().create_account("sender");
    let document = done(export(first.setup().database_path(), &[]));
    let (database, folder) = (second.setup().database_path(), second.setup().folder());
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| done(import(database, folder, &document, &[])));
        while !importing.is_finished() {
            second.client().push(&sender, "{}");
        }
        assert_eq!(importing.join().unwrap(), "imported 100 accounts with 100 destinations");
    });
}

#[test]
fn tokens_of_an_instance_have_its_name_and_those_from_before_work_on() {
    let plain = setup();
    let mut server = plain.start();
    let old = server.client().create_account("ada");
    server.terminate();
    server.start_again_as(&plain.clone().flags(&["--instance", "eu2"]));
    let client = server.client();
    let new = client.create_account("bob");
    assert!(old.token.len() == 43 && new.token.len() == 47 && new.token.starts_with("cl_eu2_"));
    for token in [&old.token, &new.token] {
        client.push_with(token, &[], b"{}").expect(202);
    }
    let rotated = client.post(&format!("/v1/accounts/{}/rotate-token", old.id), &json!({})).expect(200).json();
    assert!(rotated["app_secret_token"].as_str().unwrap().starts_with("cl_eu2_"));
    client.push_with(&old.token, &[], b"{}").problem(401);
    let metrics = client.get("/metrics").expect(200).text();
    let info = "data_pusher_instance{name=\"eu2\"} 1".to_owned();
    assert!(metrics.lines().any(|line| line == info), "{metrics}");
    let listening = wait_until("it says so", || server.log.lines().into_iter().find(|line| line.contains("listening")));
    assert_eq!(serde_json::from_str::<Value>(&listening).unwrap()["instance"], "eu2");
}

/// Sends an event, and gives the end of its id that its database gives to all: the slot, ten bits.
fn slot_of_an_event(server: &Server, token: &str) -> String {
    let answer = server.client().push_with(token, &[], b"1").expect(202).json();
    let id = answer["event_id"].as_str().unwrap();
    id[id.len() - 2..].to_owned()
}

#[test]
fn while_an_account_moves_its_events_get_different_ids_from_both_databases() {
    let receiver = Receiver::start();
    let first = setup().start();
    let (_, token) = full_account(&first, &receiver);
    let document = done(export(first.setup().database_path(), &[]));
    let number = serde_json::from_str::<Value>(&document).unwrap()["id_slot"].as_i64().unwrap();
    let own = slot_of_an_event(&first, &token);
    for runs in [false, true] {
        // By chance this one has the same slot.
        let mut second = setup().start();
        let (database, folder) = (second.setup().database_path().to_owned(), second.setup().folder().to_owned());
        second.terminate();
        let same = Connection::open(&database).unwrap().execute("UPDATE id_slot SET slot = ?1", [number]).unwrap();
        assert_eq!(same, 1);
        if runs {
            second.start_again();
            done(import(&database, &folder, &document, &[]));
        } else {
            done(import(&database, &folder, &document, &["--allow-network", "127.0.0.1/32"]));
            second.start_again();
        }
        let slot = slot_of_an_event(&second, &token);
        assert_ne!(slot, own, "{runs}");
        second.terminate();
        second.start_again();
        assert_eq!(slot_of_an_event(&second, &token), slot, "it keeps its slot");
    }
}
