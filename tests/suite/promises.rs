//! Promises of SECURITY.md that no other room tests.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::canaries::{operations, pages_with};
use crate::harness::client::text;
use crate::harness::{Behaviour, Receiver, Reply, Setup};

#[test]
fn the_token_of_an_account_sends_events_and_opens_nothing_else() {
    let server = Setup::guarded().start();
    let account = server.client().create_account("ada");
    let bearer = server.client().with_admin_token(Some(&account.token));
    let stranger = server.client().with_admin_token(None);
    stranger.push_with(&account.token, &[], b"{}").expect(202);
    let is_open = ["/healthz", "/readyz"];
    for (method, path, id) in operations().into_iter().filter(|(_, path, _)| !is_open.contains(&path.as_str())) {
        let path = path.replace("{account_id}", &account.id).replace(['{', '}'], "");
        for answer in [
            stranger.send(&method, &path, &[("cl-xtoken", &account.token)], None),
            stranger.send(&method, &path, &[("cl-x-token", &account.token)], None),
        ] {
            assert_eq!(answer.status, 401, "{id}: {}", answer.text());
        }
    }
    // As a wrong admin token it is slowed down, so once is enough.
    let refused = bearer.get(&format!("/v1/accounts/{}", account.id)).problem(401);
    assert!(refused["detail"].as_str().unwrap().contains("app secret token of an account"), "{refused}");
    let refused = stranger.post("/login", &json!({"token": account.token})).problem(401);
    assert!(refused["detail"].as_str().unwrap().contains("app secret token of an account"), "{refused}");
}

#[test]
fn nothing_that_somebody_sent_becomes_markup_on_a_page() {
    const ACCEPT: (&str, &str) = ("accept", "text/html");
    const MARKUP: &str = "<b>canary</b>\"'&";
    let server = Setup::dev().flags(&["--retry-schedule", ""]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    receiver.on("/in", Behaviour::Answer(Reply::status(500).body(MARKUP)));
    let created =
        client.post("/v1/accounts", &json!({"email": "a@b.example", "account_name": MARKUP})).expect(201).json();
    let account = text(&created, "account_id");
    let settings = json!({
        "url": receiver.url("/in?a='b"),
        "http_method": "POST",
        "headers": {"X-Markup": MARKUP},
        "filter": "data.a != '<b>canary</b>'",
        "body_template": "{\"a\": {{ data.a }}, \"b\": \"<b>canary</b>\"}",
        "header_templates": {"X-More": MARKUP},
    });
    let path = format!("/v1/accounts/{account}/destinations");
    let destination = text(&client.post(&path, &settings).expect(201).json(), "destination_id");
    let document = json!({"a": MARKUP, (MARKUP): MARKUP}).to_string();
    let accepted = client.push_with(&text(&created, "app_secret_token"), &[], document.as_bytes()).expect(202).json();
    let delivery = text(&accepted["deliveries"][0], "delivery_id");
    client.wait_for_state(&delivery, "exhausted");
    let mut with_markup = 0;
    let paths = pages_with("GET").into_iter().filter(|path| !path.starts_with("/assets") && path != "/live");
    let searches = ["/deliveries?q=%3Cb%3Ecanary", "/accounts?email=%3Cb%3Ecanary", "/deliveries?state=%3Cb%3Ecanary"];
    for path in paths.chain(searches.map(str::to_owned)) {
        let address = path
            .replace("{account_id}", &account)
            .replace("{destination_id}", &destination)
            .replace("{event_id}", &text(&accepted, "event_id"))
            .replace("{delivery_id}", &delivery);
        let answer = client.send("GET", &address, &[ACCEPT], None);
        let is_page = answer.header("content-type").is_some_and(|given| given.starts_with("text/html"));
        if !is_page {
            // A document as it is; nobody runs it.
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{address}");
            continue;
        }
        let page = answer.text();
        assert!(!page.contains("<b>canary"), "{address}: {page}");
        assert!(answer.header("cache-control").is_some_and(|given| given.contains("no-store")), "{address}");
        with_markup += usize::from(page.contains("&#60;b&#62;canary") || page.contains("&lt;b&gt;canary"));
    }
    assert!(with_markup >= 5, "the markup is on {with_markup} pages");
}

#[test]
fn a_file_that_others_can_read_is_warned_of() {
    let mut server = Setup::dev().start();
    server.terminate();
    assert!(!server.log.lines().iter().any(|line| line.contains("others can read this file")));
    let file = server.setup().database_path().to_owned();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    server.start_again();
    let warned = server.log.wait_for(|line| line.contains("others can read this file").then_some(()));
    assert!(warned.is_some(), "{:#?}", server.log.lines());
}
