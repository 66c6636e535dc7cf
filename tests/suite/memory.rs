//! Memory for documents: each document is held once, however many deliveries carry it, and all together stay within
//! `--memory`.

use serde_json::json;

use crate::crowd::resident_mebibytes;
use crate::harness::{Behaviour, Gate, Receiver, Reply, Setup, wait_until};

const DESTINATIONS: usize = 120;

const MAX_BODY_BYTES: usize = 1 << 20;

fn document(number: usize) -> Vec<u8> {
    format!("{{\"n\":{number},\"fat\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES - 40)).into_bytes()
}

#[test]
fn one_document_to_many_slow_destinations_is_in_memory_once() {
    let (server, receiver, gate) = (Setup::dev().start(), Receiver::start(), Gate::default());
    receiver.on("/in", Behaviour::Hold(gate.clone(), Reply::status(200)));
    let client = server.client();
    let account = client.create_account("ada");
    for _ in 0..DESTINATIONS {
        client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    }
    client.push(&account, document(0));
    // New destinations are tried a few at a time. Attempts that hang give their permits back.
    receiver.wait_for("/in", DESTINATIONS);
    let memory = resident_mebibytes(&server);
    assert!(memory < 70, "{memory} MiB");
    gate.open();
    wait_until("all has arrived", || {
        let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        page["items"].as_array().unwrap().is_empty().then_some(())
    });
}

#[test]
fn documents_that_do_not_fit_wait_in_the_file_and_go_once_they_do() {
    let setup = Setup::dev().flags(&["--memory", "16MiB", "--timeout", "5m"]);
    let (server, receiver, gate) = (setup.start(), Receiver::start(), Gate::default());
    receiver.on("/slow", Behaviour::Hold(gate.clone(), Reply::status(200)));
    let client = server.client();
    let account = client.create_account("ada");
    for _ in 0..4 {
        client.create_destination(&account, &receiver.url("/slow"), "POST", json!({}));
    }
    let events = 24;
    for number in 0..events {
        wait_until("it is taken", || {
            let answer = client.push_with(&account.token, &[], &document(number));
            (answer.status == 202).then_some(())
        });
        // Short documents are accepted and sent meanwhile.
        client.push(&account, format!("{{\"n\":{}}}", events + number));
    }
    receiver.wait_for("/slow", 4);
    let memory = resident_mebibytes(&server);
    assert!(memory < 80, "{memory} MiB");
    gate.open();
    receiver.wait_for("/slow", 4 * 2 * events);
}
