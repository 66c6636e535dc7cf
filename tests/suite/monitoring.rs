//! What an operator watches: metrics, readiness, and the levels of the log.

use serde_json::json;

use crate::harness::client::text;
use crate::harness::{Behaviour, Client, Receiver, Server, Setup, wait_until};

/// The value of one line of `/metrics`, by the text before it.
fn metric(client: &Client, name: &str) -> f64 {
    let page = client.get("/metrics").expect(200).text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

fn wait_for_metric(client: &Client, name: &str, value: f64) {
    wait_until(&format!("{name} is {value}"), || (metric(client, name) == value).then_some(()));
}

#[test]
fn events_and_attempts_are_counted_by_what_came_of_them() {
    let (server, receiver) = (Setup::dev().flags(&["--retry-schedule", "1h"]).start(), Receiver::start());
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/good"), "POST", json!({}));
    receiver.on("/bad", Behaviour::status(500));
    client.create_destination(&account, &receiver.url("/bad"), "POST", json!({}));
    for name in ["data_pusher_events_accepted_total", "data_pusher_events_refused_total{reason=\"malformed_json\"}"] {
        assert_eq!(metric(&client, name), 0.0, "{name}");
    }
    let key = &[("Idempotency-Key", "a")];
    client.push_with(&account.token, key, b"{}").expect(202);
    client.push_with(&account.token, key, b"{}").expect(202);
    client.push_with(&account.token, &[], b"{").problem(400);
    client.push_with("wrong", &[], b"{}").problem(401);
    for (name, value) in [
        ("data_pusher_events_accepted_total", 1.0),
        ("data_pusher_events_duplicate_total", 1.0),
        ("data_pusher_events_refused_total{reason=\"malformed_json\"}", 1.0),
        ("data_pusher_events_refused_total{reason=\"invalid_token\"}", 1.0),
        ("data_pusher_events_refused_total{reason=\"other\"}", 0.0),
        ("data_pusher_ingest_duration_seconds_count", 2.0),
        ("data_pusher_attempts_total{outcome=\"success\"}", 1.0),
        ("data_pusher_attempts_total{outcome=\"status\"}", 1.0),
        ("data_pusher_attempt_duration_seconds_count", 2.0),
        ("data_pusher_destinations{standing=\"good\"}", 1.0),
        ("data_pusher_destinations{standing=\"failing\"}", 1.0),
        ("data_pusher_deliveries_pending", 1.0),
        ("data_pusher_deliveries_exhausted_total", 0.0),
    ] {
        wait_for_metric(&client, name, value);
    }
    wait_until("the pending delivery has an age", || {
        (metric(&client, "data_pusher_oldest_pending_age_seconds") > 0.0).then_some(())
    });
    let delivery = text(&client.all("/v1/deliveries?state=pending")[0], "delivery_id");
    client.post(&format!("/v1/deliveries/{delivery}/cancel"), &json!({})).expect(202);
    wait_for_metric(&client, "data_pusher_oldest_pending_age_seconds", 0.0);
    for name in ["data_pusher_file_bytes", "data_pusher_log_bytes", "data_pusher_disk_free_bytes"] {
        assert!(metric(&client, name) > 0.0, "{name}");
    }
    let commits = metric(&client, "data_pusher_commit_duration_seconds_count");
    assert!(metric(&client, "data_pusher_commit_writes_sum") >= commits && commits > 0.0);
}

#[test]
fn a_delivery_that_is_given_up_is_counted() {
    let (server, receiver) = (Setup::dev().flags(&["--retry-schedule="]).start(), Receiver::start());
    let client = server.client();
    let account = client.create_account("ada");
    receiver.on("/bad", Behaviour::status(500));
    client.create_destination(&account, &receiver.url("/bad"), "POST", json!({}));
    client.push(&account, "{}");
    wait_for_metric(&client, "data_pusher_deliveries_exhausted_total", 1.0);
}

#[test]
fn a_token_whose_grace_is_over_is_counted_and_its_sender_is_told_why() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let path = format!("/v1/accounts/{}/rotate-token", account.id);
    client.post(&path, &json!({"grace_seconds": 1})).expect(200);
    let refused = wait_until("the grace is over", || {
        let answer = client.push_with(&account.token, &[], b"{}");
        (answer.status == 401).then(|| answer.problem(401))
    });
    assert!(text(&refused, "detail").contains("rotated, and its time of grace is over"), "{refused}");
    assert_eq!(refused["code"], "invalid_token");
    assert_eq!(metric(&client, "data_pusher_expired_tokens_total"), 1.0);
}

#[test]
fn a_wrong_admin_token_is_counted() {
    let server = Setup::guarded().start();
    let client = server.client();
    client.with_admin_token(Some("not-the-admin-token")).get("/v1/accounts").problem(401);
    assert_eq!(metric(&client, "data_pusher_wrong_logins_total"), 1.0);
}

#[test]
fn readiness_lists_what_is_wrong_and_metrics_say_it_too() {
    let server = Setup::dev().start();
    let client = server.client();
    let problem = "data_pusher_storage_problem{reason=\"storage_moved\"}";
    assert_eq!((client.get("/readyz").status, metric(&client, problem)), (200, 0.0));
    let (database, away) = (server.setup().database_path(), server.setup().folder().join("away.db"));
    std::fs::rename(database, &away).unwrap();
    // Nobody has to ask for it to be noticed.
    wait_for_metric(&client, problem, 1.0);
    let refused = client.get("/readyz").problem(503);
    assert_eq!(refused["code"], "storage_moved");
    let reasons = refused["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{refused}");
    assert_eq!((&reasons[0]["code"], &reasons[0]["detail"]), (&refused["code"], &refused["detail"]));
    assert!(text(&reasons[0], "detail").contains("moved, replaced or removed"), "{refused}");
    std::fs::rename(&away, database).unwrap();
    wait_for_metric(&client, problem, 0.0);
    wait_until("it is ready again", || (client.get("/readyz").status == 200).then_some(()));
}

/// Messages of the log lines at debug level.
fn debug_lines(server: &Server) -> usize {
    server.log.lines().iter().filter(|line| line.contains("\"level\":\"DEBUG\"")).count()
}

/// Sends `signal`, and waits until the log says for the `times`th time that its levels changed. Returns these levels.
fn change_levels(server: &Server, signal: i32, times: usize) -> String {
    server.signal(signal);
    wait_until("the log says its levels", || {
        let lines = server.log.lines();
        let mut changed = lines.iter().filter(|line| line.contains("levels of the log changed"));
        let line = changed.nth(times - 1)?;
        Some(text(&serde_json::from_str(line).unwrap(), "levels"))
    })
}

#[test]
fn a_signal_makes_the_log_say_more_and_another_as_much_as_before() {
    for (variable, usual) in [("", "warn,data_pusher=info"), ("data_pusher=info", "data_pusher=info")] {
        let mut server = Setup::dev().variable("RUST_LOG", variable).start();
        let client = server.client();
        let account = client.create_account("ada");
        assert_eq!(debug_lines(&server), 0);
        assert_eq!(change_levels(&server, libc::SIGUSR1, 1), format!("{usual},data_pusher=debug"));
        client.push(&account, "{}");
        wait_until("the log says more", || (debug_lines(&server) > 0).then_some(()));
        assert_eq!(change_levels(&server, libc::SIGUSR1, 2), usual);
        let before = debug_lines(&server);
        client.push(&account, "{}");
        // All that was logged before this line is in the log by now.
        assert_eq!(change_levels(&server, libc::SIGUSR2, 3), usual);
        assert_eq!(debug_lines(&server), before);
        server.terminate();
    }
}
