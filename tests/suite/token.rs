//! The app secret token of an account: shown once, recognised by its digest, rotated.

use serde_json::json;

use crate::harness::client::{INCOMING, text};
use crate::harness::{Receiver, Setup, wait_until};

#[test]
fn a_token_is_shown_once_and_then_only_its_last_four_characters() {
    let server = Setup::dev().start();
    let client = server.client();
    let body = json!({"email": "ada@example.com", "account_name": "Ada"});
    let created = client.post("/v1/accounts", &body).expect(201).json();
    let token = text(&created, "app_secret_token");
    // 192 bits in an alphabet of 64 are 32 characters.
    assert!(token.len() >= 32, "{}", token.len());
    let path = format!("/v1/accounts/{}", text(&created, "account_id"));
    let hint = &token[token.len() - 4..];
    for answer in [
        client.get(&path).expect(200),
        client.get("/v1/accounts").expect(200),
        client.put(&path, &body).expect(200),
        client.patch(&path, &json!({"account_name": "A"})).expect(200),
    ] {
        assert!(!answer.text().contains(&token[..token.len() - 4]), "{}", answer.what);
        assert!(!answer.text().contains("app_secret_token\":"), "{}", answer.what);
        assert!(answer.text().contains(&format!("{hint}\"")), "{}: {}", answer.what, answer.text());
    }
}

#[test]
fn tokens_differ_and_each_sends_for_its_own_account() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let (ada, bob) = (client.create_account("ada"), client.create_account("bob"));
    assert_ne!(ada.token, bob.token);
    client.create_destination(&ada, &receiver.url("/ada"), "POST", json!({}));
    client.create_destination(&bob, &receiver.url("/bob"), "POST", json!({}));
    assert_eq!(client.push(&bob, "\"for bob\"")["account_id"], json!(bob.id));
    assert_eq!(receiver.wait_for("/bob", 1)[0].body, b"\"for bob\"");
    assert_eq!(client.push(&ada, "\"for ada\"")["account_id"], json!(ada.id));
    assert_eq!(receiver.wait_for("/ada", 1)[0].body, b"\"for ada\"");
    assert_eq!((receiver.requests_to("/ada").len(), receiver.requests_to("/bob").len()), (1, 1));
}

#[test]
fn a_token_outlives_a_restart_and_is_not_in_the_file() {
    let mut server = Setup::dev().start();
    let account = server.client().create_account("ada");
    server.terminate();
    for entry in std::fs::read_dir(server.setup().folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(account.token.len()).any(|window| window == account.token.as_bytes());
        assert!(!found, "{} holds the token", path.display());
    }
    server.start_again();
    server.client().push(&account, "{}");
}

#[test]
fn a_rotated_token_works_beside_the_old_one_for_the_grace() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let path = format!("/v1/accounts/{}/rotate-token", account.id);
    let second = text(&client.post(&path, &json!({"grace_seconds": 3600})).expect(200).json(), "app_secret_token");
    assert_ne!(second, account.token);
    client.push_with(&account.token, &[], b"{}").expect(202);
    client.push_with(&second, &[], b"{}").expect(202);
    let third = text(&client.post(&path, &json!({"grace_seconds": 0})).expect(200).json(), "app_secret_token");
    client.push_with(&third, &[], b"{}").expect(202);
    client.push_with(&second, &[], b"{}").problem(401);
    client.push_with(&account.token, &[], b"{}").problem(401);
}

#[test]
fn an_old_token_ends_with_its_grace() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let path = format!("/v1/accounts/{}/rotate-token", account.id);
    client.post(&path, &json!({"grace_seconds": 1})).expect(200);
    wait_until("the old token is refused", || {
        let answer = client.push_with(&account.token, &[], b"{}");
        (answer.status == 401).then_some(())
    });
}

#[test]
fn a_rotation_of_nobodys_token_or_with_nonsense_is_refused() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    client.post("/v1/accounts/acc_nobody/rotate-token", &json!({})).problem(404);
    let path = format!("/v1/accounts/{}/rotate-token", account.id);
    for body in [json!({"grace_seconds": -1}), json!({"grace_seconds": "1"}), json!({"grace": 1})] {
        assert_eq!(client.post(&path, &body).faults().len(), 1, "{body}");
    }
    client.push(&account, "{}");
}

#[test]
fn nothing_a_destination_gets_holds_the_token() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    for method in ["GET", "POST"] {
        client.create_destination(&account, &receiver.url("/"), method, json!({}));
    }
    let headers = [("cl-x-token", account.token.as_str()), ("cookie", "session=1"), ("x-forwarded-for", "8.8.8.8")];
    client.push_with(&account.token, &headers, b"{\"a\":1}").expect(202);
    for request in receiver.wait_for("/", 2) {
        assert!(!format!("{request:?}").contains(&account.token), "{request:?}");
        for (name, _) in &request.headers.0 {
            let name = name.to_ascii_lowercase();
            assert!(!name.starts_with("cl-") && name != "cookie" && name != "x-forwarded-for", "{name} was passed on");
        }
    }
}

#[test]
fn a_token_of_no_account_is_refused_wherever_it_is() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let wrong = format!("{}x", account.token);
    for token in ["", " ", "x", wrong.as_str(), &account.token[1..], &account.token.to_uppercase(), &"x".repeat(5_000)]
    {
        let answer = client.push_with(token, &[], b"{}");
        assert_eq!(answer.problem(401)["title"], "Un Authenticate", "{token}");
        assert!(answer.header("www-authenticate").is_some());
    }
    let query = format!("{INCOMING}?cl-xtoken={}", account.token);
    client.send("POST", &query, &[("content-type", "application/json")], Some(b"{}")).problem(401);
}

#[test]
fn a_token_that_is_wrong_missing_empty_or_doubled_is_told_so() {
    let server = Setup::dev().start();
    let client = server.client();
    let (ada, bob) = (client.create_account("ada").token, client.create_account("bob").token);
    let json = ("content-type", "application/json");
    let told = |headers: &[(&str, &str)]| {
        let answer = client.send("POST", INCOMING, &[headers, &[json]].concat(), Some(b"{}"));
        let problem = answer.problem(401);
        assert_eq!((&problem["title"], &problem["code"]), (&json!("Un Authenticate"), &json!("invalid_token")));
        let detail = text(&problem, "detail");
        assert!(!answer.text().contains(&ada) && !answer.text().contains("mistyped-token"), "{detail}");
        detail
    };
    for (headers, word) in [
        (&[][..], "no token"),
        (&[("cl-xtoken", "")], "empty"),
        (&[("cl-x-token", "")], "empty"),
        (&[("cl-xtoken", "mistyped-token")], "wrong"),
        (&[("cl-x-token", "mistyped-token")], "wrong"),
        (&[("cl-xtoken", ada.as_str()), ("cl-xtoken", bob.as_str())], "differ"),
        (&[("cl-xtoken", ada.as_str()), ("cl-x-token", "")], "differ"),
    ] {
        let detail = told(headers);
        assert!(detail.contains(word), "{detail}");
    }
    let account = client.create_account("carl");
    client.delete(&format!("/v1/accounts/{}", account.id)).expect(204);
    assert!(told(&[("cl-xtoken", &account.token)]).contains("wrong"));
}

#[test]
fn an_admin_token_that_is_missing_none_or_wrong_is_told_so() {
    let server = Setup::guarded().start();
    let client = server.client().with_admin_token(None);
    let token = server.admin_token().unwrap();
    let bearer = format!("Bearer {token}");
    for (lines, word) in [
        (&[][..], "Send the admin token"),
        (&[("authorization", "Basic YWRhOmFkYQ==")], "must be one `Bearer TOKEN`"),
        (&[("authorization", token.as_str())], "must be one `Bearer TOKEN`"),
        (&[("authorization", "Bearer")], "must be one `Bearer TOKEN`"),
        (&[("authorization", bearer.as_str()), ("authorization", bearer.as_str())], "must be one `Bearer TOKEN`"),
        (&[("authorization", "Bearer mistyped-token")], "wrong"),
    ] {
        let answer = client.send("GET", "/v1/accounts", lines, None);
        let problem = answer.problem(401);
        assert_eq!(problem["code"], "unauthorized");
        assert!(text(&problem, "detail").contains(word), "{lines:?}: {problem}");
        assert!(!answer.text().contains(&token) && !answer.text().contains("mistyped-token"), "{problem}");
    }
}
