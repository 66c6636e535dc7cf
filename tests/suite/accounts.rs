//! One account: created, read, replaced, patched, deleted.

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::{Client, Receiver, Setup, wait_until};

fn ada() -> Value {
    json!({"email": "ada@example.com", "account_name": "Ada", "website": "https://example.com/ada"})
}

#[test]
fn a_created_account_is_where_location_says() {
    let server = Setup::dev().start();
    let client = server.client();
    let answer = client.post("/v1/accounts", &ada()).expect(201);
    let created = answer.json();
    let id = text(&created, "account_id");
    assert!(id.starts_with("acc_") && id.len() <= 64, "{id}");
    assert_eq!(answer.header("location"), Some(format!("/v1/accounts/{id}").as_str()));
    let read = client.get(answer.header("location").unwrap()).expect(200).json();
    for field in ["account_id", "email", "account_name", "website", "created_at", "updated_at"] {
        assert_eq!(read[field], created[field], "{field}");
        assert!(read[field].is_string(), "{field}: {read}");
    }
    assert_eq!((&read["email"], &read["account_name"]), (&json!("ada@example.com"), &json!("Ada")));
    let created_at = text(&read, "created_at");
    assert!(created_at.ends_with('Z') && created_at.parse::<jiff::Timestamp>().is_ok(), "{created_at}");
}

#[test]
fn an_account_id_may_be_chosen_and_is_then_taken() {
    let server = Setup::dev().start();
    let client = server.client();
    let body = |email: &str| json!({"email": email, "account_name": "x", "account_id": "My-shop.1_"});
    let created = client.post("/v1/accounts", &body("a@example.com")).expect(201).json();
    assert_eq!(created["account_id"], "My-shop.1_");
    assert_eq!(client.post("/v1/accounts", &body("b@example.com")).problem(409)["code"], "account_id_taken");
    client.get("/v1/accounts/My-shop.1_").expect(200);
}

#[test]
fn an_email_is_taken_case_aside() {
    let server = Setup::dev().start();
    let client = server.client();
    client.post("/v1/accounts", &ada()).expect(201);
    let again = json!({"email": "ADA@Example.com", "account_name": "Other"});
    assert_eq!(client.post("/v1/accounts", &again).problem(409)["code"], "email_taken");
}

#[test]
fn every_fault_of_an_account_comes_at_once() {
    let server = Setup::dev().start();
    let client = server.client();
    let body = json!({"email": "ada", "account_name": "  ", "website": "ftp://example.com", "account_id": "a b"});
    let faults = client.post("/v1/accounts", &body).faults();
    assert_eq!(faults, ["account_id", "account_name", "email", "website"]);
    let body = json!({"email": 7, "account_name": ["x"], "website": true, "colour": "red"});
    assert_eq!(client.post("/v1/accounts", &body).faults(), ["account_name", "colour", "email", "website"]);
    assert_eq!(client.post("/v1/accounts", &json!({})).faults(), ["account_name", "email"]);
    assert_eq!(client.get("/v1/accounts").expect(200).json()["items"], json!([]));
}

#[test]
fn values_of_another_type_are_never_mended() {
    let server = Setup::dev().start();
    let client = server.client();
    for value in [json!(1), json!(true), json!(1.5), json!({}), json!([]), json!(["Ada"]), Value::Null] {
        let body = json!({"email": "ada@example.com", "account_name": value});
        assert_eq!(client.post("/v1/accounts", &body).faults(), ["account_name"], "{body}");
    }
    for body in [json!([]), json!("x"), json!(1), Value::Null, json!([ada()])] {
        client.post("/v1/accounts", &body).problem(422);
    }
}

#[test]
fn texts_at_the_limits_are_taken_and_beyond_them_refused() {
    let server = Setup::dev().start();
    let client = server.client();
    let with = |field: &str, value: &str| {
        let mut body = json!({"email": "x@example.com", "account_name": "x"});
        body[field] = json!(value);
        client.post("/v1/accounts", &body)
    };
    assert_eq!(with("account_name", &"ä".repeat(201)).faults(), ["account_name"]);
    assert_eq!(with("account_id", &"x".repeat(65)).faults(), ["account_id"]);
    assert_eq!(with("account_id", "").faults(), ["account_id"]);
    for website in ["", "example.com", "https://", "javascript:alert(1)", "http://a b/"] {
        assert_eq!(with("website", website).faults(), ["website"], "{website}");
    }
    let body = json!({"email": "y@example.com", "account_name": format!("  {}  ", "ä".repeat(200)), "account_id": "x".repeat(64)});
    let made = client.post("/v1/accounts", &body).expect(201).json();
    assert_eq!(made["account_name"], json!("ä".repeat(200)));
}

#[test]
fn a_body_that_is_no_json_is_400_and_of_another_type_415() {
    let server = Setup::dev().start();
    let client = server.client();
    for body in ["", "{", "{\"email\":", "{} {}", "nul", "{'email':1}"] {
        let headers = [("content-type", "application/json")];
        client.send("POST", "/v1/accounts", &headers, Some(body.as_bytes())).problem(400);
    }
    for media_type in ["text/plain", "application/xml", "application/x-www-form-urlencoded"] {
        let body = ada().to_string();
        client.send("POST", "/v1/accounts", &[("content-type", media_type)], Some(body.as_bytes())).problem(415);
    }
    client.send("POST", "/v1/accounts", &[], Some(ada().to_string().as_bytes())).problem(415);
}

#[test]
fn put_replaces_the_whole_account() {
    let server = Setup::dev().start();
    let client = server.client();
    let created = client.post("/v1/accounts", &ada()).expect(201).json();
    let path = format!("/v1/accounts/{}", text(&created, "account_id"));
    let replaced =
        client.put(&path, &json!({"email": "ada@example.com", "account_name": "Countess"})).expect(200).json();
    assert_eq!((&replaced["account_name"], &replaced["website"]), (&json!("Countess"), &Value::Null));
    assert_eq!(replaced["created_at"], created["created_at"]);
    assert_eq!(client.get(&path).expect(200).json(), replaced);
    assert_eq!(client.put(&path, &json!({"account_name": "x"})).faults(), ["email"]);
    client.put("/v1/accounts/acc_nobody", &ada()).problem(404);
}

#[test]
fn an_email_of_another_account_cannot_be_moved_to() {
    let server = Setup::dev().start();
    let client = server.client();
    client.create_account("bob");
    let path = format!("/v1/accounts/{}", client.create_account("ada").id);
    let bobs = json!({"email": "BOB@example.com", "account_name": "x"});
    assert_eq!(client.put(&path, &bobs).problem(409)["code"], "email_taken");
    assert_eq!(client.patch(&path, &json!({"email": "bob@example.com"})).problem(409)["code"], "email_taken");
    // The account's own address in another case is no conflict.
    client.patch(&path, &json!({"email": "Ada@Example.com"})).expect(200);
    assert_eq!(client.get(&path).expect(200).json()["email"], "Ada@Example.com");
}

#[test]
fn patch_changes_what_it_names_and_null_clears() {
    let server = Setup::dev().start();
    let client = server.client();
    let created = client.post("/v1/accounts", &ada()).expect(201).json();
    let path = format!("/v1/accounts/{}", text(&created, "account_id"));
    let patched = client.patch(&path, &json!({"account_name": " Countess "})).expect(200).json();
    assert_eq!((&patched["account_name"], &patched["website"]), (&json!("Countess"), &created["website"]));
    let merge = [("content-type", "application/merge-patch+json")];
    let cleared = client.send("PATCH", &path, &merge, Some(br#"{"website": null}"#)).expect(200).json();
    assert_eq!((&cleared["website"], &cleared["email"]), (&Value::Null, &created["email"]));
    assert_eq!(client.patch(&path, &json!({})).expect(200).json()["account_name"], "Countess");
}

#[test]
fn a_patch_that_would_break_the_account_changes_nothing() {
    let server = Setup::dev().start();
    let client = server.client();
    let path = format!("/v1/accounts/{}", text(&client.post("/v1/accounts", &ada()).expect(201).json(), "account_id"));
    let before = client.get(&path).expect(200).json();
    let body = json!({"account_name": "Fine", "email": null, "website": 5, "colour": "red"});
    assert_eq!(client.patch(&path, &body).faults(), ["colour", "email", "website"]);
    client.patch(&path, &json!([])).problem(422);
    client.send("PATCH", &path, &[("content-type", "text/plain")], Some(b"{}")).problem(415);
    client.send("PATCH", &path, &[("content-type", "application/json")], Some(b"{")).problem(400);
    client.patch("/v1/accounts/acc_nobody", &json!({})).problem(404);
    assert_eq!(client.get(&path).expect(200).json(), before);
}

#[test]
fn unknown_and_malformed_ids_are_404() {
    let server = Setup::dev().start();
    let client = server.client();
    for id in ["acc_nobody", "a%20b", "%C3%A9", &"x".repeat(65), "%00", "..%2f"] {
        client.get(&format!("/v1/accounts/{id}")).problem(404);
        client.delete(&format!("/v1/accounts/{id}")).problem(404);
        client.get(&format!("/v1/accounts/{id}/destinations")).problem(404);
        client.get(&format!("/v1/accounts/{id}/events")).problem(404);
    }
}

#[test]
fn of_100_accounts_with_one_email_at_once_one_is_made() {
    let server = Setup::dev().start();
    let client = server.client();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let create = || client.post("/v1/accounts", &json!({"email": "one@example.com", "account_name": "x"})).status;
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(201), count(409)), (1, 99), "{statuses:?}");
    assert_eq!(client.all("/v1/accounts").len(), 1);
}

#[test]
fn deleting_an_account_takes_all_that_belongs_to_it() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let kept = client.create_account("bob");
    let destination = client.create_destination(&account, &receiver.url("/a"), "POST", json!({}));
    client.create_destination(&kept, &receiver.url("/b"), "POST", json!({}));
    let accepted = client.push(&account, "{}");
    let delivery = text(&accepted["deliveries"][0], "delivery_id");
    client.wait_for_state(&delivery, "succeeded");
    let kept_delivery = client.push_one(&kept, "{}");
    client.wait_for_state(&kept_delivery, "succeeded");

    let path = format!("/v1/accounts/{}", account.id);
    assert!(client.delete(&path).expect(204).body.is_empty());

    client.delete(&path).problem(404);
    for gone in [
        path.clone(),
        format!("{path}/destinations"),
        format!("{path}/events"),
        format!("/v1/destinations/{destination}"),
        format!("/v1/events/{}", text(&accepted, "event_id")),
        format!("/v1/deliveries/{delivery}"),
    ] {
        client.get(&gone).problem(404);
    }
    client.push_with(&account.token, &[], b"{}").problem(401);
    assert_eq!(ids(&client, "/v1/accounts", "account_id"), [kept.id]);
    assert_eq!(ids(&client, "/v1/deliveries", "delivery_id"), [kept_delivery]);
}

#[test]
fn a_deleted_accounts_email_and_id_are_free_at_once() {
    let server = Setup::dev().start();
    let client = server.client();
    let body = json!({"email": "ada@example.com", "account_name": "Ada", "account_id": "ada"});
    for _ in 0..3 {
        client.post("/v1/accounts", &body).expect(201);
        client.delete("/v1/accounts/ada").expect(204);
    }
    let again = client.post("/v1/accounts", &body).expect(201).json();
    assert_eq!(client.all("/v1/accounts/ada/events"), Vec::<Value>::new());
    client.push_with(&text(&again, "app_secret_token"), &[], b"{}").expect(202);
}

#[test]
fn the_rows_of_a_deleted_account_leave_the_file() {
    let mut server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    for _ in 0..20 {
        client.push(&account, "{}");
    }
    receiver.wait_for("/", 20);
    client.delete(&format!("/v1/accounts/{}", account.id)).expect(204);
    client.get(&format!("/v1/destinations/{destination}")).problem(404);
    wait_until("a stopped server's file has no rows of it", || {
        server.terminate();
        let file = rusqlite::Connection::open(server.setup().database_path()).unwrap();
        let rows: i64 = ["account", "destination", "event", "delivery", "attempt"]
            .iter()
            .map(|table| {
                file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
            })
            .sum();
        drop(file);
        server.start_again();
        (rows == 0).then_some(())
    });
}

fn ids(client: &Client, list: &str, field: &str) -> Vec<String> {
    client.all(list).iter().map(|item| text(item, field)).collect()
}
