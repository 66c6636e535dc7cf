//! Making, listing and revoking tokens with a role.

use std::time::Duration;

use serde_json::{Value, json};

use super::endings::log_in;
use super::{ROLES, World};
use crate::harness::Setup;
use crate::harness::client::text;

/// Media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_token_is_shown_once_and_listed_by_its_last_characters() {
    let world = World::new();
    let body = json!({"name": "  status page  ", "role": "viewer", "expires_at": "2034-01-31T12:00:00+01:00"});
    let answer = world.owner.post("/v1/tokens", &body).expect(201);
    let made = answer.json();
    let (id, token) = (text(&made, "token_id"), text(&made, "token"));
    assert_eq!(answer.header("location"), Some(format!("/v1/tokens/{id}").as_str()));
    assert!(id.starts_with("tok_") && token.starts_with("dpt_") && token.len() == 44, "{made}");
    assert_eq!((&made["name"], &made["expires_at"]), (&"status page".into(), &"2034-01-31T11:00:00.000Z".into()));
    let mut shown = made.as_object().unwrap().clone();
    shown.remove("token");
    assert_eq!(shown["token_hint"], token[40..]);
    let read = world.owner.get(&format!("/v1/tokens/{id}")).expect(200).json();
    assert_eq!(read, Value::Object(shown));
    let list = world.owner.get("/v1/tokens").expect(200);
    assert_eq!(list.json()["items"], json!([read]));
    assert!(!list.text().contains(&token) && !list.text().contains("digest"));
    world.owner.delete(&format!("/v1/tokens/{id}")).expect(204);
    world.owner.delete(&format!("/v1/tokens/{id}")).problem(404);
    assert_eq!(world.owner.get("/v1/tokens").expect(200).json(), json!({"items": [], "next_cursor": null}));
}

#[test]
fn every_fault_of_a_new_token_is_named() {
    let world = World::new();
    let faults = |body: Value| world.owner.post("/v1/tokens", &body).faults();
    assert_eq!(faults(json!({})), ["name", "role"]);
    let all = json!({"name": " ", "role": "king", "account_id": "a b", "expires_at": "tomorrow", "scope": "all"});
    assert_eq!(faults(all), ["account_id", "expires_at", "name", "role", "scope"]);
    for name in ["", "a\u{7}b", "a\u{202e}b", &"x".repeat(101)] {
        assert_eq!(faults(json!({"name": name, "role": "viewer"})), ["name"], "{name:?}");
    }
    for end in ["2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1900-01-01T00:00:00Z"] {
        assert_eq!(faults(json!({"name": "x", "role": "viewer", "expires_at": end})), ["expires_at"], "{end}");
    }
    assert_eq!(faults(json!({"name": "x", "role": "viewer", "account_id": "nobody"})), ["account_id"]);
    assert_eq!(world.owner.all("/v1/tokens").len(), 0);
}

#[test]
fn the_list_has_pages_and_lasts_through_them() {
    let world = World::new();
    let made: Vec<String> = ROLES.map(|role| world.token(role, None).id).into();
    let ids: Vec<String> = world.owner.all("/v1/tokens?limit=1").iter().map(|token| text(token, "token_id")).collect();
    assert_eq!(ids, made);
}

#[test]
fn a_token_for_one_account_makes_tokens_for_that_account_alone() {
    let world = World::new();
    let (own, other) = (world.half(), world.half());
    let admin = world.client(&world.token("admin", Some(&own.account.id)));
    let make = |account: Value| admin.post("/v1/tokens", &json!({"name": "x", "role": "admin", "account_id": account}));
    for account in [Value::Null, own.account.id.as_str().into()] {
        let made = make(account).expect(201).json();
        assert_eq!(made["account_id"], own.account.id.as_str());
        let child = admin.with_admin_token(made["token"].as_str());
        child.get(&format!("/v1/accounts/{}", own.account.id)).expect(200);
        child.get(&format!("/v1/accounts/{}", other.account.id)).problem(404);
    }
    assert_eq!(make(other.account.id.as_str().into()).faults(), ["account_id"]);
    let listed = admin.all("/v1/tokens");
    assert!(listed.len() == 4 && listed.iter().all(|token| token["account_id"] == own.account.id.as_str()));
}

#[test]
fn secrets_are_for_administrators() {
    let world = World::new();
    let half = world.half();
    let path = format!("/v1/destinations/{}", half.destination);
    for account in [None, Some(half.account.id.as_str())] {
        for role in ROLES {
            let client = world.client(&world.token(role, account));
            let shown = client.get(&path).expect(200).json()["headers"]["Authorization"].clone();
            assert_eq!(shown == super::SECRET, role == "admin", "{shown} for {role}");
            if role != "viewer" {
                let shown = client.send("POST", &format!("{path}/pause"), &[], None).expect(200);
                assert_eq!(shown.text().contains(super::SECRET), role == "admin");
                let preview = client.post(&format!("{path}/preview"), &json!({"data": {"a": 1}})).expect(200);
                assert!(!preview.text().contains(super::SECRET), "{}", preview.text());
            }
        }
    }
}

#[test]
fn under_dev_tokens_can_be_made_and_nobody_needs_one() {
    let server = Setup::dev().start();
    let client = server.client();
    let made = client.post("/v1/tokens", &json!({"name": "x", "role": "viewer"})).expect(201).json();
    for token in [made["token"].as_str(), Some("wrong-wrong-wrong-wrong"), None] {
        client.with_admin_token(token).get("/v1/tokens").expect(200);
    }
}

#[test]
fn a_token_that_expires_makes_none_that_outlives_it() {
    let world = World::new();
    let maker = world.short_lived("admin", Duration::from_secs(600));
    let end = text(&world.owner.get(&format!("/v1/tokens/{}", maker.id)).expect(200).json(), "expires_at");
    let make = |expires_at: Value| {
        world.client(&maker).post("/v1/tokens", &json!({"name": "x", "role": "admin", "expires_at": expires_at}))
    };
    for late in [Value::Null, "2034-01-01T00:00:00Z".into()] {
        let answer = make(late);
        assert_eq!(answer.faults(), ["expires_at"]);
        assert!(answer.text().contains(&end), "{}", answer.text());
    }
    assert_eq!(make(end.clone().into()).expect(201).json()["expires_at"], end);
    let (session, host) = (log_in(&world, &maker), world.server.address.to_string());
    let headers = [("cookie", session.as_str()), ("origin", &format!("http://{host}")), ("content-type", FORM)];
    let form = b"name=x&role=admin&lifetime=1d".as_slice();
    let page = world.owner.with_admin_token(None).send("POST", "/tokens", &headers, Some(form)).expect(422);
    assert!(page.text().contains("creates this one expires then"), "{}", page.text());
    assert_eq!(world.owner.all("/v1/tokens").len(), 2);
}
