//! What the server tells of itself, by events of the account of `--notify-account`.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::receiver::Received;
use crate::harness::{Behaviour, Receiver, Setup, wait_until};

/// The documents of the notices that came to `path`, once there are `count`. One that came twice, since the server was
/// killed before it noted the answer, counts once.
fn notices(receiver: &Receiver, path: &str, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} notices"), || {
        let mut seen = HashSet::new();
        let mut all = receiver.requests_to(path);
        all.retain(|one| seen.insert(one.headers.get("webhook-id").map(str::to_owned)));
        let documents: Vec<Value> = all.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
        (documents.len() >= count).then_some(documents)
    })
}

#[test]
fn a_pause_its_end_and_exhausted_deliveries_are_told_once() {
    let setup = Setup::dev().flags(&["--notify-account", "ops", "--retry-schedule", ""]);
    let mut server = setup.start();
    let (client, receiver) = (server.client(), Receiver::start());
    client
        .post("/v1/accounts", &json!({"email": "ops@example.com", "account_name": "Ops", "account_id": "ops"}))
        .expect(201);
    client
        .post("/v1/accounts/ops/destinations", &json!({
            "url": receiver.url("/ops"), "http_method": "POST", "headers": {}, "event_types": ["destination.*", "delivery.*"],
        }))
        .expect(201);
    let orders = client.create_account("orders");
    receiver.on("/in", Behaviour::status(500));
    let destination = client.create_destination(&orders, &receiver.url("/in?token=hidden"), "POST", json!({}));
    let delivery = client.push_one(&orders, "{}");
    client.wait_for_state(&delivery, "exhausted");
    let told = notices(&receiver, "/ops", 1);
    assert_eq!((&told[0]["type"], &told[0]["count"]), (&json!("delivery.exhausted"), &json!(1)));
    assert_eq!((&told[0]["destination_id"], &told[0]["account_id"]), (&json!(destination), &json!(orders.id)));
    assert_eq!(told[0]["url"], receiver.url("/in"), "without the query");
    assert!(!text(&told[0], "what_to_do").is_empty());
    assert_eq!(receiver.requests_to("/ops")[0].headers.get("webhook-event-type"), Some("delivery.exhausted"));

    let path = format!("/v1/destinations/{destination}");
    client.post(&format!("{path}/pause"), &json!({})).expect(200);
    assert_eq!(notices(&receiver, "/ops", 2)[1]["type"], "destination.paused");
    // After a restart the pause is not told again, but its end is.
    server.kill();
    server.start_again();
    let client = server.client();
    client.wait_for_destination(&destination, "paused");
    client.post(&format!("{path}/pause"), &json!({})).expect(200);
    let marker = client.create_destination(&orders, &receiver.url("/other"), "POST", json!({}));
    client.post(&format!("/v1/destinations/{marker}/pause"), &json!({})).expect(200);
    let told = notices(&receiver, "/ops", 3);
    assert_eq!((&told[2]["type"], &told[2]["destination_id"]), (&json!("destination.paused"), &json!(marker)));
    client.post(&format!("{path}/resume"), &json!({})).expect(200);
    assert_eq!(notices(&receiver, "/ops", 4)[3]["type"], "destination.resumed");
}

#[test]
fn nothing_is_told_of_the_account_s_own_destinations() {
    let server = Setup::dev().flags(&["--notify-account", "ops", "--retry-schedule", ""]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    client
        .post("/v1/accounts", &json!({"email": "ops@example.com", "account_name": "Ops", "account_id": "ops"}))
        .expect(201);
    let create = |path: &str| {
        let body = json!({"url": receiver.url(path), "http_method": "POST", "headers": {}});
        text(&client.post("/v1/accounts/ops/destinations", &body).expect(201).json(), "destination_id")
    };
    let own = create("/ops");
    create("/second");
    client.post(&format!("/v1/destinations/{own}/pause"), &json!({})).expect(200);
    client.post(&format!("/v1/destinations/{own}/resume"), &json!({})).expect(200);
    client.post(&format!("/v1/destinations/{own}/pause"), &json!({})).expect(200);
    // A pause elsewhere comes later and is told.
    let orders = client.create_account("orders");
    let other = client.create_destination(&orders, &receiver.url("/in"), "POST", json!({}));
    client.post(&format!("/v1/destinations/{other}/pause"), &json!({})).expect(200);
    let told = notices(&receiver, "/second", 1);
    assert_eq!((&told[0]["type"], &told[0]["destination_id"]), (&json!("destination.paused"), &json!(other)));
}

/// What each chat service asks of a message: the names and types of its fields, and how long a text may be.
fn check(service: &str, request: &Received) {
    let body = || serde_json::from_slice::<Value>(&request.body).expect("JSON");
    let short = |value: &Value, most: usize| {
        let text = value.as_str().expect("a text");
        assert!(!text.is_empty() && text.chars().count() <= most && text.contains("destination.paused"), "{text}");
    };
    match service {
        "slack" => short(&body()["text"], 40_000),
        "discord" => {
            short(&body()["content"], 2_000);
            assert_eq!(body()["allowed_mentions"], json!({"parse": []}), "a name may not mention everybody");
        }
        "teams" => {
            let body = body();
            let card = &body["attachments"][0];
            assert_eq!(
                (&body["type"], &card["contentType"]),
                (&json!("message"), &json!("application/vnd.microsoft.card.adaptive"))
            );
            assert_eq!(
                (&card["content"]["type"], &card["content"]["version"]),
                (&json!("AdaptiveCard"), &json!("1.4"))
            );
            short(&card["content"]["body"][0]["text"], 5_000);
        }
        "email" => {
            assert_eq!(request.headers.get("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(request.headers.get("x-subject"), Some("Data Pusher: destination.paused"));
            let text = String::from_utf8(request.body.clone()).unwrap();
            assert!(text.starts_with("Somebody paused it.\nResume it"), "{text}");
        }
        other => panic!("no check for {other}"),
    }
}

#[test]
fn the_templates_of_the_examples_make_what_each_service_asks_for() {
    let server = Setup::dev().flags(&["--notify-account", "ops"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    client
        .post("/v1/accounts", &json!({"email": "ops@example.com", "account_name": "Ops", "account_id": "ops"}))
        .expect(201);
    let services = ["slack", "discord", "teams", "email"];
    for service in services {
        let file = format!("{}/examples/notices/{service}.json", env!("CARGO_MANIFEST_DIR"));
        let mut settings: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        settings["url"] = json!(receiver.url(&format!("/{service}")));
        client.post("/v1/accounts/ops/destinations", &settings).expect(201);
    }
    let orders = client.create_account("orders");
    let destination = client.create_destination(&orders, &receiver.url("/in"), "POST", json!({}));
    client.post(&format!("/v1/destinations/{destination}/pause"), &json!({})).expect(200);
    for service in services {
        check(service, &receiver.wait_for(&format!("/{service}"), 1)[0]);
    }
}
