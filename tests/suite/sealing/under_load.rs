//! Sealing while senders send and deliveries wait: nothing is lost, and nobody is refused.

use std::collections::HashSet;

use serde_json::json;

use super::{new_key, with_key};
use crate::harness::server::run_binary;
use crate::harness::{Receiver, Setup};

/// Documents that are sent meanwhile.
const DOCUMENTS: usize = 600;

#[test]
fn what_is_sent_and_what_waits_while_the_file_is_sealed_all_arrives() {
    let (keys, setup, receiver) = (tempfile::tempdir().unwrap(), Setup::dev(), Receiver::start());
    let key = new_key(keys.path(), "key");
    let mut server = setup.start();
    let client = server.client();
    let account = client.create_account("ada");
    let headers = json!({"Authorization": "Bearer canary"});
    client.create_destination(&account, &receiver.url("/in"), "POST", headers.clone());
    let waiting = client.create_destination(&account, &receiver.url("/waiting"), "POST", headers);
    client.post(&format!("/v1/destinations/{waiting}/pause"), &json!({})).expect(200);
    let documents = keys.path().join("documents.ndjson");
    let lines: String = (0..DOCUMENTS).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    std::fs::write(&documents, lines).unwrap();
    let url = format!("http://{}", server.address);
    let sender = std::thread::spawn({
        let (url, token) = (url.clone(), account.token.clone());
        // Not all can be sent before the stop.
        move || run_binary(&["send", "--url", &url, "--token", &token, "--rate", "400/s", documents.to_str().unwrap()])
    });
    receiver.wait_for("/in", 50);
    server.terminate();
    let address = server.address.to_string();
    server.start_again_as(&with_key(&setup, &key).flags(&["--listen", &address]));
    // It tries again what gets no answer, and fails for whatever is refused.
    sender.join().unwrap().succeeded();
    server.client().post(&format!("/v1/destinations/{waiting}/resume"), &json!({})).expect(200);
    for path in ["/in", "/waiting"] {
        let requests = receiver.wait_for(path, DOCUMENTS);
        let ids: HashSet<_> = requests.iter().map(|request| request.headers.get("webhook-id").unwrap()).collect();
        assert_eq!(ids.len(), DOCUMENTS, "{path}");
        assert!(requests.iter().all(|request| request.headers.get("authorization") == Some("Bearer canary")));
    }
}
