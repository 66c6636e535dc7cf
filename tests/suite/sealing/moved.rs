//! Values that were moved to another row or column, or changed: they do not open, and only that destination waits.

use rusqlite::Connection;
use serde_json::json;

use super::{check, new_key, with_key};
use crate::harness::client::text;
use crate::harness::{Receiver, Setup};

#[test]
fn a_sealed_value_that_was_moved_does_not_open_and_only_its_destination_waits() {
    let moves = [
        "UPDATE destination SET headers = (SELECT headers FROM destination WHERE key = 2) WHERE key = 1",
        "UPDATE destination SET secret = (SELECT secret FROM destination WHERE key = 2) WHERE key = 1",
        "UPDATE destination SET old_secret = secret, old_secret_until = 9000000000000 WHERE key = 1",
        "UPDATE destination SET header_templates = headers WHERE key = 1",
        "UPDATE destination SET headers = headers || 'AAAA' WHERE key = 1",
        "UPDATE destination SET secret = zeroblob(90) WHERE key = 1",
    ];
    let (keys, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let key = new_key(keys.path(), "key");
    for (number, statement) in moves.into_iter().enumerate() {
        let setup = with_key(&Setup::dev(), &key);
        let mut server = setup.start();
        let client = server.client();
        let account = client.create_account("ada");
        let [first, second] = ["a", "b"].map(|name| {
            let url = receiver.url(&format!("/{number}{name}"));
            client.create_destination(&account, &url, "POST", json!({"X-Key": format!("canary-{name}")}))
        });
        server.terminate();
        Connection::open(setup.database_path()).unwrap().execute_batch(statement).unwrap();
        let flag = ["--secrets-key-file", key.to_str().unwrap()];
        let said = check(setup.database_path(), &flag);
        assert!(said.code == Some(1) && said.stdout.contains(&first) && !said.stdout.contains(&second), "{said:#?}");

        server.start_again();
        let client = server.client();
        let warning = server.log.wait_for(|line| line.contains("cannot be opened").then(|| line.to_owned())).unwrap();
        assert!(warning.contains(&first), "{warning}");
        // Whoever waits for the first attempts does not wait for one that will not come, also when the event is sent
        // again.
        for _ in 0..2 {
            let headers = [("prefer", "wait=30"), ("idempotency-key", "once")];
            client.push_with(&account.token, &headers, b"{}").expect(200);
        }
        let request = receiver.wait_for(&format!("/{number}b"), 1).pop().unwrap();
        assert_eq!(request.headers.get("x-key"), Some("canary-b"));
        let path = format!("/v1/destinations/{first}");
        let shown = client.get(&path).expect(200).json();
        assert_eq!(
            (text(&shown, "state").as_str(), text(&shown, "paused_reason").as_str()),
            ("paused", "secrets_unreadable")
        );
        let needs_attention = || client.send("GET", "/attention", &[("accept", "text/html")], None).expect(200).text();
        assert!(needs_attention().contains(&first) && !needs_attention().contains(&second));
        // Neither a resume, nor a test, nor a retry sends anything; its secret is not made up, and nothing is lost by a
        // patch.
        let refused = client.post(&format!("{path}/resume"), &json!({})).expect(409).json();
        assert_eq!(text(&refused, "code"), "secrets_unreadable");
        let headers = [("accept", "text/html"), ("sec-fetch-site", "same-origin")];
        let page = |method, path: &str| client.send(method, path, &headers, None);
        let shown = page("GET", &format!("/destinations/{first}")).expect(200).text();
        assert!(!shown.contains("/resume") && shown.contains("once both are done"), "{shown}");
        let shown = page("POST", &format!("/destinations/{first}/resume")).expect(409).text();
        assert!(shown.contains("cannot be opened") && shown.contains("signing secret"), "{shown}");
        let shown = page("GET", &format!("/destinations/{second}")).expect(200).text();
        assert!(!shown.contains("once both are done"), "{shown}");
        client.post(&format!("{path}/test"), &json!({})).expect(409);
        client.get(&format!("{path}/signing-secret")).expect(409);
        client.patch(&path, &json!({"timeout_seconds": 3})).expect(409);
        assert!(receiver.requests().iter().all(|request| request.target != format!("/{number}a")));

        let body =
            json!({"url": receiver.url(&format!("/{number}a")), "http_method": "POST", "headers": {"X-Key": "new"}});
        client.put(&path, &body).expect(200);
        client.post(&format!("{path}/rotate-signing-secret"), &json!({})).expect(200);
        let request = receiver.wait_for(&format!("/{number}a"), 1).pop().unwrap();
        assert_eq!(request.headers.get("x-key"), Some("new"), "{statement}");
        assert!(!needs_attention().contains(&first));
        server.terminate();
        check(setup.database_path(), &flag).succeeded();
    }
}
