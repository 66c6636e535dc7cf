//! How the server ends: by signals, with attempts in progress. And how it goes on after the next start.

use std::net::TcpStream;

use serde_json::json;

use crate::harness::client::{NewAccount, text};
use crate::harness::{Behaviour, Client, Gate, Receiver, Reply, Server, Setup, wait_until};

struct Case {
    server: Server,
    client: Client,
    receiver: Receiver,
    account: NewAccount,
}

impl Case {
    fn new(flags: &[&str]) -> Self {
        let server = Setup::dev().flags(flags).start();
        let (client, receiver) = (server.client(), Receiver::start());
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        Self { server, client, receiver, account }
    }
}

#[test]
fn an_attempt_in_flight_ends_and_is_counted_before_the_end() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let (mut case, gate) = (Case::new(&[]), Gate::default());
        case.receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
        let delivery = case.client.push_one(&case.account, "{}");
        case.receiver.wait_for("/in", 1);
        case.server.signal(signal);
        // The server has got the signal once it accepts nothing more.
        wait_until("it takes nothing more", || {
            let refused =
                case.client.try_push(&case.account.token, &[], b"{}").map_or(true, |answer| answer.status != 202);
            refused.then_some(())
        });
        assert!(case.server.runs(), "it waits for the attempt");
        gate.open();
        assert_eq!(case.server.wait(), Some(0), "{:#?}", case.server.log.lines());
        case.server.start_again();
        let delivery = case.server.client().delivery(&delivery);
        assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("succeeded"), &json!(1)));
    }
}

#[test]
fn what_hangs_is_waited_for_no_longer_than_the_grace() {
    let mut case = Case::new(&["--shutdown-grace", "300ms", "--timeout", "5m"]);
    case.receiver.on("/in", Behaviour::Hang);
    let delivery = case.client.push_one(&case.account, "{}");
    case.receiver.wait_for("/in", 1);
    case.server.terminate();
    case.receiver.on("/in", Behaviour::status(200));
    case.server.start_again();
    case.server.client().wait_for_state(&delivery, "succeeded");
}

#[test]
fn a_client_that_idles_on_its_connection_does_not_hold_up_the_end() {
    let mut case = Case::new(&["--shutdown-grace", "500ms"]);
    let _idle = TcpStream::connect(case.server.address).unwrap();
    let half = TcpStream::connect(case.server.address).unwrap();
    std::io::Write::write_all(&mut &half, b"POST /server/incoming_data HTTP/1.1\r\nhost: x\r\n").unwrap();
    case.client.push(&case.account, "{}");
    case.server.terminate();
}

#[test]
fn after_a_clean_end_everything_is_in_the_one_file() {
    let mut case = Case::new(&[]);
    case.client.push(&case.account, "{}");
    case.receiver.wait_for("/in", 1);
    case.server.terminate();
    let moved = case.server.setup().folder().join("moved.db");
    std::fs::copy(case.server.setup().database_path(), &moved).unwrap();
    let copy = Setup::dev().database(&moved).start();
    assert_eq!(text(&copy.client().all("/v1/accounts")[0], "account_id"), case.account.id);
}

#[test]
fn pending_deliveries_go_on_after_a_crash() {
    let mut case = Case::new(&[]);
    case.receiver.on("/in", Behaviour::Hang);
    let deliveries: Vec<String> =
        (0..20).map(|number| case.client.push_one(&case.account, number.to_string())).collect();
    case.receiver.wait_for("/in", 1);
    case.server.kill();
    case.receiver.on("/in", Behaviour::status(200));
    case.server.start_again();
    for delivery in deliveries {
        case.server.client().wait_for_state(&delivery, "succeeded");
    }
}

#[test]
fn a_retry_that_came_due_while_it_was_down_goes_after_the_start() {
    let mut case = Case::new(&["--retry-schedule", "100ms"]);
    case.receiver.script("/in", vec![Behaviour::status(500), Behaviour::status(200)]);
    let delivery = case.client.push_one(&case.account, "{}");
    case.client.wait_for_attempts(&delivery, 1);
    case.server.kill();
    case.server.start_again();
    let delivery = case.server.client().wait_for_state(&delivery, "succeeded");
    assert!(delivery["attempt_count"].as_u64().is_some_and(|count| count >= 2), "{delivery}");
}

#[test]
fn no_secret_is_in_the_log() {
    let receiver = Receiver::start();
    let setup = Setup::guarded()
        .flags(&["--allow-network", "127.0.0.0/8", "--retry-schedule", "50ms"])
        .variable("RUST_LOG", "trace");
    let mut server = setup.start();
    let client = server.client();
    let account = client.create_account("ada");
    let headers = json!({"Authorization": "Bearer hunter2-hunter2", "X-Api-Key": "opensesame"});
    let target = receiver.url("/in?signature=querysecret");
    let destination = client.create_destination(&account, &target, "POST", headers);
    let secret = text(
        &client.get(&format!("/v1/destinations/{destination}/signing-secret")).expect(200).json(),
        "signing_secret",
    );
    let rotated = text(
        &client
            .post(&format!("/v1/accounts/{}/rotate-token", account.id), &json!({"grace_seconds": 60}))
            .expect(200)
            .json(),
        "app_secret_token",
    );
    receiver.script("/in", vec![Behaviour::status(500), Behaviour::Reset, Behaviour::status(200)]);
    for body in ["{\"payload\":\"payloadsecret\"}", "{\"payload\":\"payloadsecret\""] {
        client.push_with(&account.token, &[("idempotency-key", "k")], body.as_bytes());
    }
    client.push_with("wrong-token-that-somebody-sent", &[], b"{}").expect(401);
    client.with_admin_token(Some("wrong-admin-token-sent")).get("/v1/accounts").expect(401);
    receiver.wait_for("/in", 2);
    let admin = server.admin_token().unwrap();
    server.terminate();
    let log = server.log.lines().join("\n");
    for (what, secret) in [
        ("admin token", admin.as_str()),
        ("token", &account.token),
        ("rotated token", &rotated),
        ("signing secret", &secret[6..]),
        ("a destination's authorization", "hunter2"),
        ("a destination's key", "opensesame"),
        ("the query of a target", "querysecret"),
        ("a payload", "payloadsecret"),
        ("a wrong token", "wrong-token-that"),
        ("a wrong admin token", "wrong-admin-token"),
    ] {
        assert!(!log.contains(secret), "the log holds {what}");
    }
    assert!(log.lines().count() > 1);
}

#[test]
fn every_line_of_a_json_log_is_a_record() {
    let mut case = Case::new(&[]);
    case.client.push(&case.account, "{}");
    case.receiver.wait_for("/in", 1);
    case.server.terminate();
    for line in case.server.log.lines() {
        let record: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(record[field].is_string(), "{field}: {line}");
        }
    }
}
