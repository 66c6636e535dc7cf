//! A server that may open few files, and a crowd that uses them up: it goes on accepting, and no delivery pays for it.

use std::net::TcpStream;
use std::time::Instant;

use serde_json::json;

use crate::crowd::HALF;
use crate::harness::wire::open;
use crate::harness::{Behaviour, Receiver, Setup, wait_until};

/// Half of these are for clients, and hanging attempts use up more than the other half.
const FEW_FILES: [&str; 3] = ["sh", "-c", "ulimit -n 128 && exec \"$0\" \"$@\""];

/// Destinations that hang, each with an attempt under way.
const HANGING: usize = 60;

/// The server's word for it.
const COMPLAINT: &str = "cannot be accepted";

#[test]
fn when_files_run_out_accepting_goes_on_and_no_schedule_is_used_up() {
    // A single failure that counts would exhaust a delivery.
    let flags = ["--request-timeout", "3s", "--timeout", "5m", "--retry-schedule", "", "--workers", "100"];
    let server = Setup::dev().flags(&flags).through(&FEW_FILES).start();
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
    let complaints = || server.log.lines().iter().filter(|line| line.contains(COMPLAINT)).count();
    let (mut crowd, mut pushed) = (Vec::<TcpStream>::new(), Vec::new());
    wait_until("files have run out, and much was taken meanwhile", || {
        crowd.push(open(server.address, HALF));
        if crowd.len() % 10 == 0 {
            pushed.push(client.push_one(&healthy, "{}"));
        }
        (complaints() > 0 && pushed.len() >= 30).then_some(())
    });
    let complained = complaints();
    let lines = server.log.lines();
    let tens = usize::try_from(began.elapsed().as_secs() / 10).unwrap();
    assert!(complained <= 1 + tens, "{complained} complaints in {:?}: {lines:#?}", began.elapsed());

    drop(crowd);
    for delivery in &pushed {
        let delivery = client.wait_for_state(delivery, "succeeded");
        // What could not be tried is logged as such.
        let attempts = delivery["attempts"].as_array().unwrap();
        assert!(attempts.iter().all(|a| a["error"].is_null() || a["error"] == "cut"), "{delivery}");
    }
    // As ever, from a moment on.
    let delivery = client.push_one(&healthy, "{}");
    client.wait_for_state(&delivery, "succeeded");
    assert!(lines.len() < 100 + 10 * tens, "the log is flooded: {} lines", lines.len());
}
