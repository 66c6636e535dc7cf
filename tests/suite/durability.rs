//! kill -9 under load, again and again: what was acknowledged reaches every destination.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::harness::{Behaviour, Gate, Receiver, Reply, Setup, wait_until};

/// Rounds of the kill; `KILL_ROUNDS` asks for more, as the long checks do.
fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").map_or(10, |rounds| rounds.parse().expect("KILL_ROUNDS is a number"))
}

const CLIENTS: usize = 6;
/// Acknowledged in each round before the kill; 10 rounds make at least 1,000.
const EACH_ROUND: usize = 120;

#[test]
fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    let receiver = Receiver::start();
    // "/late" answers nothing until the end, so that every kill also meets attempts in flight and a backlog.
    let gate = Gate::default();
    receiver.on("/late", Behaviour::Hold(gate.clone(), Reply::status(200)));
    let schedule = ["100ms"; 30].join(",");
    let mut server = Setup::dev().flags(&["--retry-schedule", &schedule, "--timeout", "2s"]).start();
    let account = server.client().create_account("ada");
    for path in ["/now", "/late"] {
        server.client().create_destination(&account, &receiver.url(path), "POST", json!({}));
    }

    let (next, acknowledged, broken) = (AtomicU64::new(0), Mutex::new(HashSet::new()), AtomicU64::new(0));
    let rounds = rounds();
    for round in 1..=rounds {
        let client = server.client();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        match client.try_push(&account.token, &[], format!("{{\"n\": {number}}}").as_bytes()) {
                            Ok(answer) => {
                                assert_eq!(answer.status, 202, "{}", answer.text());
                                acknowledged.lock().unwrap().insert(number);
                            }
                            Err(_) => {
                                broken.fetch_add(1, Ordering::Relaxed);
                                return;
                            }
                        }
                    }
                });
            }
            wait_until("enough was acknowledged", || {
                (acknowledged.lock().unwrap().len() >= round * EACH_ROUND).then_some(())
            });
            // The clients go on sending until they notice.
            server.kill();
        });
        server.start_again();
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() >= 1_000, "{}", acknowledged.len());
    assert_eq!(broken.into_inner(), (rounds * CLIENTS) as u64, "each client was interrupted in each round");

    gate.open();
    for path in ["/now", "/late"] {
        let mut arrived: HashSet<u64> = HashSet::new();
        let mut seen = 0;
        wait_until(&format!("everything acknowledged has arrived at {path}"), || {
            let requests = receiver.requests_to(path);
            for request in &requests[seen..] {
                let event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
                arrived.insert(event["n"].as_u64().unwrap());
            }
            seen = requests.len();
            acknowledged.is_subset(&arrived).then_some(())
        });
    }
    // What arrived without being acknowledged was stored just before a kill; there is no more than one a client.
    let client = server.client();
    wait_until("no delivery is pending", || {
        client.get("/v1/deliveries?state=pending").expect(200).json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
    let stored = client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len();
    assert!((acknowledged.len()..=acknowledged.len() + rounds * CLIENTS).contains(&stored), "{stored} events");

    server.terminate();
    let file = rusqlite::Connection::open(server.setup().database_path()).unwrap();
    let result: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let dangling: i64 = file.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!((result.as_str(), dangling), ("ok", 0));
}

#[test]
fn an_acknowledged_change_of_an_account_survives_kill_9() {
    let mut server = Setup::dev().start();
    for round in 0..5 {
        let client = server.client();
        let account = client.create_account(&format!("user{round}"));
        let destination = client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
        let gone = client.create_account(&format!("gone{round}"));
        client.delete(&format!("/v1/accounts/{}", gone.id)).expect(204);
        client.post(&format!("/v1/destinations/{destination}/pause"), &json!({})).expect(200);
        server.kill();
        server.start_again();
        let client = server.client();
        client.get(&format!("/v1/accounts/{}", account.id)).expect(200);
        assert_eq!(client.get(&format!("/v1/destinations/{destination}")).expect(200).json()["state"], "paused");
        client.get(&format!("/v1/accounts/{}", gone.id)).problem(404);
        client.push(&account, "{}");
    }
}

#[test]
fn nobody_is_told_that_the_database_is_locked() {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    let client = server.client();
    let accounts: Vec<_> = (0..4).map(|number| client.create_account(&format!("user{number}"))).collect();
    for account in &accounts {
        client.create_destination(account, &receiver.url("/in"), "POST", json!({}));
    }
    std::thread::scope(|scope| {
        for (number, account) in accounts.iter().enumerate() {
            let client = &client;
            scope.spawn(move || {
                for turn in 0..40 {
                    client.push(account, "{}");
                    client
                        .patch(&format!("/v1/accounts/{}", account.id), &json!({"account_name": format!("{turn}")}))
                        .expect(200);
                    client.get("/v1/deliveries?limit=200").expect(200);
                    client.get(&format!("/v1/accounts/{}/events", account.id)).expect(200);
                    let other = client.create_account(&format!("other{number}-{turn}"));
                    client.delete(&format!("/v1/accounts/{}", other.id)).expect(204);
                }
            });
        }
    });
    receiver.wait_for("/in", 160);
    assert!(server.log.lines().iter().all(|line| !line.contains("locked")), "{:#?}", server.log.lines());
}
