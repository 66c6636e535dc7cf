//! What was acknowledged is kept, also with many writers at once. The fault campaign proves that for events and kill
//! -9.

use serde_json::json;

use crate::harness::{Receiver, Setup};

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
