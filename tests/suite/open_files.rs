//! A server with few open files, and a crowd of clients that uses them up. The server goes on accepting, and no
//! delivery loses an attempt.

use std::net::TcpStream;
use std::time::Instant;

use serde_json::json;

use crate::crowd::HALF;
use crate::harness::wire::open;
use crate::harness::{Behaviour, Receiver, Setup, wait_until};

/// 128 open files. Half of these are for clients, and the attempts that hang need more than the other half.
const LIMITED_FILES: [&str; 3] = ["sh", "-c", "ulimit -n 128 && exec \"$0\" \"$@\""];

/// Number of destinations that hang, each with an attempt in progress.
const HANGING: usize = 60;

/// Text of the server's log line when files run out.
const ACCEPT_ERROR: &str = "cannot be accepted";

#[test]
fn when_files_run_out_accepting_goes_on_and_no_schedule_is_used_up() {
    // With an empty schedule, one failure that counts would exhaust a delivery.
    let flags = ["--request-timeout", "3s", "--timeout", "5m", "--retry-schedule", "", "--workers", "100"];
    let server = Setup::dev().flags(&flags).through(&LIMITED_FILES).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let (hanging, healthy) = (client.create_account("hanging"), client.create_account("healthy"));
    for number in 0..HANGING {
        let path = format!("/hang/{number}");
        receiver.on(&path, Behaviour::Hang);
        client.create_destination(&hanging, &receiver.url(&path), "POST", json!({}));
    }
    client.push(&hanging, "{}");
    wait_until("all of them hang", || (receiver.requests().len() == HANGING).then_some(()));
    client.create_destination(&healthy, &receiver.url("/in"), "POST", json!({}));

    let began = Instant::now();
    let accept_errors = || server.log.lines().iter().filter(|line| line.contains(ACCEPT_ERROR)).count();
    let (mut crowd, mut pushed) = (Vec::<TcpStream>::new(), Vec::new());
    wait_until("files have run out, and much was taken meanwhile", || {
        crowd.push(open(server.address, HALF));
        if crowd.len() % 10 == 0 {
            pushed.push(client.push_one(&healthy, "{}"));
        }
        (accept_errors() > 0 && pushed.len() >= 30).then_some(())
    });
    let error_count = accept_errors();
    let lines = server.log.lines();
    let tens = usize::try_from(began.elapsed().as_secs() / 10).unwrap();
    assert!(error_count <= 1 + tens, "{error_count} complaints in {:?}: {lines:#?}", began.elapsed());

    drop(crowd);
    for delivery in &pushed {
        let delivery = client.wait_for_state(delivery, "succeeded");
        // An attempt that could not be made is logged as cut.
        let attempts = delivery["attempts"].as_array().unwrap();
        assert!(attempts.iter().all(|a| a["error"].is_null() || a["error"] == "cut"), "{delivery}");
    }
    // Afterwards deliveries succeed as before.
    let delivery = client.push_one(&healthy, "{}");
    client.wait_for_state(&delivery, "succeeded");
    assert!(lines.len() < 100 + 10 * tens, "the log is flooded: {} lines", lines.len());
}
