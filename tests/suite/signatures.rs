//! Standard Webhooks: the signatures of deliveries, checked without any code of the product.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::harness::client::text;
use crate::harness::receiver::Received;
use crate::harness::{Behaviour, Client, Receiver, Setup};

pub fn signature(secret: &str, request: &Received, content: &[u8]) -> String {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("whsec_")).expect("padded standard base64");
    assert_eq!(key.len(), 32);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let header = |name| request.headers.get(name).expect("a webhook header");
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(content);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

fn secret(client: &Client, destination: &str) -> String {
    text(&client.get(&format!("/v1/destinations/{destination}/signing-secret")).expect(200).json(), "signing_secret")
}

#[test]
fn every_delivery_is_signed_over_its_body() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    for body in ["{\"a\": 1.0}", "\"\u{1f600}\"", " [] "] {
        let before = receiver.requests().len();
        let accepted = client.push(&account, body);
        let request = receiver.wait_for("/", before + 1).pop().unwrap();
        assert_eq!(request.headers.get("webhook-id"), accepted["event_id"].as_str());
        let expected = signature(&secret(&client, &destination), &request, body.as_bytes());
        assert_eq!(request.headers.get("webhook-signature"), Some(expected.as_str()));
        let seconds: i64 = request.headers.get("webhook-timestamp").unwrap().parse().unwrap();
        assert!((jiff::Timestamp::now().as_second() - seconds).abs() < 60, "{seconds}");
    }
}

#[test]
fn a_get_is_signed_over_everything_after_the_question_mark() {
    let server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/in?k=v"), "GET", json!({}));
    let secret = secret(&client, &destination);
    for (nth, (document, query)) in [("{\"a\":\"x y?\"}", "k=v&a=x%20y%3F"), ("{}", "k=v")].into_iter().enumerate() {
        client.push(&account, document);
        let request = receiver.wait_for("/in", nth + 1).pop().unwrap();
        assert_eq!(request.query(), query);
        assert_eq!(
            request.headers.get("webhook-signature"),
            Some(signature(&secret, &request, query.as_bytes()).as_str())
        );
    }
}

#[test]
fn every_destination_has_a_secret_of_its_own_that_only_one_endpoint_shows() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let ids = [1, 2].map(|_| client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({})));
    let secrets = ids.clone().map(|id| secret(&client, &id));
    assert_ne!(secrets[0], secrets[1]);
    for path in [format!("/v1/destinations/{}", ids[0]), format!("/v1/accounts/{}/destinations", account.id)] {
        let shown = client.get(&path).expect(200).text();
        assert!(!shown.contains("whsec_") && !shown.contains(&secrets[0][6..]), "{shown}");
    }
}

#[test]
fn a_retry_keeps_its_id_and_is_signed_anew() {
    let server = Setup::dev().flags(&["--retry-schedule", "50ms,50ms"]).start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    receiver.on("/", Behaviour::status(500));
    let accepted = client.push(&account, "{}");
    let secret = secret(&client, &destination);
    for request in receiver.wait_for("/", 3) {
        assert_eq!(request.headers.get("webhook-id"), accepted["event_id"].as_str());
        assert_eq!(request.headers.get("webhook-signature"), Some(signature(&secret, &request, b"{}").as_str()));
    }
}

#[test]
fn while_a_rotation_overlaps_both_secrets_sign() {
    let mut server = Setup::dev().start();
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, &receiver.url("/"), "POST", json!({}));
    let old = secret(&client, &destination);
    let path = format!("/v1/destinations/{destination}/rotate-signing-secret");
    let new = text(&client.post(&path, &json!({})).expect(200).json(), "signing_secret");
    assert_ne!(old, new);
    assert_eq!(secret(&client, &destination), new);
    // The second round is after a restart: the overlap lasts 24 h, not only until the process ends.
    for nth in 1..=2 {
        server.client().push(&account, "{}");
        let request = receiver.wait_for("/", nth).pop().unwrap();
        let both = format!("{} {}", signature(&new, &request, b"{}"), signature(&old, &request, b"{}"));
        assert_eq!(request.headers.get("webhook-signature"), Some(both.as_str()));
        server.terminate();
        server.start_again();
    }
}
