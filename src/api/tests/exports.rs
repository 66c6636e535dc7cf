//! Documents of accounts, which `import` reads: what was written is read back, and what was changed is refused with its
//! place, and without its secrets.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::api::model::export;
use crate::api::model::sealed_export::Reader;
use crate::domain::export::Export;
use crate::domain::network::NetworkPolicy;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::domain::tests::odd;
use crate::error::{Kind, MAX_FIELD_ERRORS};

const SECRET: &str = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=";
const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A document with one account and one destination, both with everything that they can have.
fn document() -> Value {
    json!({
        "format": "data-pusher-export",
        "version": 1,
        "id_slot": 7,
        "accounts": [{
            "account_id": "acc_1",
            "email": "ada@example.com",
            "account_name": "Ada",
            "website": "https://example.com/",
            "token_digest": DIGEST,
            "token_hint": "abcd",
            "old_token_digest": DIGEST.replace("ba", "ab"),
            "old_token_until": "2026-01-01T00:00:00.000Z",
            "created_at": "2026-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z",
            "destinations": [{
                "destination_id": "dst_1",
                "url": "https://example.com/in?key=canary",
                "http_method": "POST",
                "headers": {"X-Token": "canary"},
                "event_types": ["order.*"],
                "filter": "data.a == 1",
                "body_template": null,
                "header_templates": null,
                "rate_limit": "10/s",
                "ordering": "none",
                "on_exhausted": "continue",
                "retry_schedule": ["5s"],
                "timeout_seconds": 15,
                "max_concurrency": 4,
                "signing_secret": SECRET,
                "old_signing_secret": null,
                "old_signing_secret_until": null,
                "paused_reason": null,
                "paused_at": null,
                "created_at": "2026-01-01T00:00:00.000Z",
                "updated_at": "2026-01-01T00:00:00.000Z"
            }]
        }]
    })
}

fn exported(bytes: &[u8], keys: &SecretsKeys) -> crate::error::Result<Export> {
    export::read(bytes, &NetworkPolicy::default(), keys, Reader::Command)
}

fn read(text: &str) -> crate::error::Result<usize> {
    exported(text.as_bytes(), &SecretsKeys::default()).map(|export| export.accounts.len())
}

/// Every place of a document, as a JSON pointer.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| places(value, format!("{at}/{n}"), found));
        }
        _ => {}
    }
    found.push(at);
}

#[test]
fn what_is_written_is_read_back_and_written_the_same() {
    let (none, key) = (SecretsKeys::default(), SecretsKey::generate());
    let once = export::write(exported(document().to_string().as_bytes(), &none).unwrap(), None).unwrap();
    let twice = export::write(exported(once.as_bytes(), &none).unwrap(), None).unwrap();
    assert_eq!(once, twice);
    let sealed = export::write(exported(once.as_bytes(), &none).unwrap(), Some(&key)).unwrap();
    assert!(!sealed.contains(&SECRET[6..]) && !sealed.contains("\"canary\""), "{sealed}");
    let opened = exported(sealed.as_bytes(), &SecretsKeys::new(Some(key))).unwrap();
    assert_eq!(export::write(opened, None).unwrap(), once);
    assert!(exported(sealed.as_bytes(), &none).is_err());
    assert_eq!(
        serde_json::from_str::<Value>(&once).unwrap()["accounts"][0]["destinations"][0]["signing_secret"],
        SECRET
    );
}

#[test]
fn whatever_stands_at_any_place_is_taken_or_refused_by_its_place_and_without_a_secret() {
    let mut all = Vec::new();
    places(&document(), String::new(), &mut all);
    let others = [json!(null), json!(true), json!(-1), json!(1.5), json!(1e300), json!([]), json!({}), json!([[]])];
    let odd_texts = odd::texts().into_iter().filter(|text| text.len() < 3_000).map(Value::from);
    let value = proptest::sample::select(others.into_iter().chain(odd_texts).collect::<Vec<_>>());
    odd::run(&(proptest::sample::select(all), value), |(place, value)| {
        let mut document = document();
        *document.pointer_mut(&place).expect("it is a place") = value;
        if let Err(error) = read(&document.to_string()) {
            prop_assert_eq!(error.kind(), Kind::Invalid);
            let said = format!("{error:?}");
            prop_assert!(
                !said.contains(&SECRET[6..]) && !said.contains(DIGEST) && !said.contains("canary"),
                "{}",
                said
            );
        }
        Ok(())
    });
}

#[test]
fn whatever_bytes_come_nothing_panics() {
    let whole = document().to_string();
    let cut = &whole[..whole.len() / 2];
    odd::hold_bytes(&[whole.as_bytes(), cut.as_bytes()], |bytes| {
        let read = exported(bytes, &SecretsKeys::default());
        let said = read.err().map_or_else(String::new, |error| format!("{error:?}"));
        prop_assert!(!said.contains(&SECRET[6..]), "{}", said);
        Ok(())
    });
}

#[test]
fn a_field_given_twice_and_a_document_full_of_faults_are_refused() {
    let whole = document().to_string();
    assert_eq!(read(&whole).unwrap(), 1);
    for (once, twice) in [
        ("\"email\":", "\"email\":\"bob@example.com\",\"email\":"),
        ("\"signing_secret\":", "\"signing_secret\":\"a\",\"signing_secret\":"),
        ("\"accounts\":", "\"accounts\":[],\"accounts\":"),
    ] {
        assert!(read(&whole.replacen(once, twice, 1)).is_err(), "{once}");
    }
    let empty =
        format!("{{\"format\":\"data-pusher-export\",\"version\":1,\"accounts\":[{}]}}", vec!["{}"; 200_000].join(","));
    assert_eq!(read(&empty).unwrap_err().field_errors().len(), MAX_FIELD_ERRORS);
}
