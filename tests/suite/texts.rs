//! Ids, names and e-mail addresses as people and clients read them. What looks the same is the same, and nothing
//! invisible is accepted.

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::{Answer, Setup};

fn body(email: &str, name: &str) -> Value {
    json!({"email": email, "account_name": name})
}

#[test]
fn what_clients_take_out_of_a_path_is_no_id_for_an_account() {
    let server = Setup::dev().start();
    let client = server.client();
    for id in [".", ".."] {
        let mut account = body("ada@example.com", "Ada");
        account["account_id"] = json!(id);
        assert_eq!(client.post("/v1/accounts", &account).faults(), ["account_id"], "{id}");
    }
    for (number, id) in ["...", "a.", ".a", "-"].iter().enumerate() {
        let mut account = body(&format!("{number}@example.com"), "Ada");
        account["account_id"] = json!(id);
        let created = client.post("/v1/accounts", &account).expect(201);
        client.get(created.header("location").unwrap()).expect(200);
    }
}

#[test]
fn an_account_that_has_such_an_id_from_before_can_still_be_asked_for() {
    let mut server = Setup::dev().start();
    let account = server.client().create_account("ada");
    server.terminate();
    let file = rusqlite::Connection::open(server.setup().database_path()).unwrap();
    assert_eq!(file.execute("UPDATE account SET account_id = '..'", []), Ok(1));
    drop(file);
    server.start_again();
    let client = server.client();
    let path = "/v1/accounts/%2e%2e";
    assert_eq!(client.get(path).expect(200).json()["account_id"], "..");
    client.patch(path, &json!({"account_name": "Countess"})).expect(200);
    let new = json!({"url": "http://127.0.0.1:9/", "http_method": "POST", "headers": {}});
    let destination = client.post(&format!("{path}/destinations"), &new).expect(201);
    assert_eq!(client.get(destination.header("location").unwrap()).expect(200).json()["account_id"], "..");
    client.push_with(&account.token, &[], b"{}").expect(202);
    assert_eq!(client.all(&format!("{path}/events")).len(), 1);
    assert_eq!(client.all("/v1/deliveries?account_id=..").len(), 1);
    client.delete(path).expect(204);
    client.get(path).problem(404);
}

#[test]
fn an_email_is_the_same_whatever_its_case_in_any_script() {
    let server = Setup::dev().start();
    let client = server.client();
    for (number, [first, second]) in [
        ["straße@example.com", "STRASSE@example.com"],
        ["σόφος@example.com", "ΣΌΦΟΣ@EXAMPLE.COM"],
        ["ünal@exämple.org", "ÜNAL@EXÄMPLE.ORG"],
    ]
    .into_iter()
    .enumerate()
    {
        let made = client.post("/v1/accounts", &body(first, "Ada")).expect(201).json();
        assert_eq!(made["email"], json!(first), "it is shown as it was given");
        assert_eq!(client.post("/v1/accounts", &body(second, "Bob")).problem(409)["code"], "email_taken", "{second}");
        for asked in [first, second] {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("email", asked).finish();
            let found = client.all(&format!("/v1/accounts?{query}"));
            assert_eq!(found.iter().map(|account| text(account, "email")).collect::<Vec<_>>(), [first], "{number}");
        }
    }
    // The Turkish dotless i is a letter of its own.
    client.post("/v1/accounts", &body("ilk@example.com", "Ada")).expect(201);
    client.post("/v1/accounts", &body("ılk@example.com", "Ada")).expect(201);
}

#[track_caller]
fn hides(answer: &Answer, field: &str, code: &str) {
    assert_eq!(answer.faults(), [field], "{}", answer.text());
    let message = text(&answer.json()["errors"][0], "message");
    assert!(message.contains(code) && message.contains("invisible"), "{message}");
}

#[test]
fn what_nobody_sees_is_refused_in_names_and_addresses() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("bob");
    let path = format!("/v1/accounts/{}", account.id);
    let destinations = format!("{path}/destinations");
    for (c, code) in [('\u{200b}', "U+200B"), ('\u{202e}', "U+202E"), ('\u{ad}', "U+00AD"), ('\u{e0041}', "U+E0041")] {
        let email = format!("a{c}da@example.com");
        hides(&client.post("/v1/accounts", &body(&email, "Ada")), "email", code);
        hides(&client.post("/v1/accounts", &body("ada@example.com", &format!("A{c}da"))), "account_name", code);
        hides(&client.patch(&path, &json!({"account_name": format!("Ada{c}")})), "account_name", code);
        hides(&client.patch(&path, &json!({"website": format!("https://exa{c}mple.com/")})), "website", code);
        let url = format!("http://exa{c}mple.com/");
        let destination = json!({"url": url, "http_method": "POST", "headers": {}});
        hides(&client.post(&destinations, &destination), "url", code);
    }
    let joined = json!({"url": "http://exa\u{200d}mple.com/", "http_method": "POST", "headers": {}});
    hides(&client.post(&destinations, &joined), "url", "U+200D");
    assert_eq!((client.all("/v1/accounts").len(), client.all(&destinations).len()), (1, 0));
}

#[test]
fn a_name_may_be_persian_or_hindi_or_have_emoji() {
    let server = Setup::dev().start();
    let client = server.client();
    let path = format!("/v1/accounts/{}", client.create_account("ada").id);
    for name in ["می\u{200c}خواهم", "क्\u{200d}ष", "👩\u{200d}👩\u{200d}👧 & co", "I ❤\u{fe0f}", "🏳\u{fe0f}\u{200d}🌈"]
    {
        let changed = client.patch(&path, &json!({"account_name": name})).expect(200).json();
        assert_eq!(changed["account_name"], json!(name));
    }
    for name in ["\u{200c}Ada", "Ada\u{200d}", "A\u{200d}\u{200d}da", "A \u{200d}da", "\u{fe0f}Ada"] {
        hides(&client.patch(&path, &json!({"account_name": name})), "account_name", "U+");
    }
}

#[test]
fn what_was_kept_before_is_still_shown() {
    let mut server = Setup::dev().start();
    let path = format!("/v1/accounts/{}", server.client().create_account("ada").id);
    server.terminate();
    let file = rusqlite::Connection::open(server.setup().database_path()).unwrap();
    let hidden =
        "UPDATE account SET name = 'A' || char(8238) || 'da', website = 'https://a' || char(173) || 'b.example'";
    assert_eq!(file.execute(hidden, []), Ok(1));
    drop(file);
    server.start_again();
    let client = server.client();
    assert_eq!(client.get(&path).expect(200).json()["account_name"], "A\u{202e}da");
    let changed = client.patch(&path, &json!({"email": "ada@example.org"})).expect(200).json();
    assert_eq!(changed["website"], "https://a\u{ad}b.example");
    assert_eq!(client.all("/v1/accounts").len(), 1);
}
