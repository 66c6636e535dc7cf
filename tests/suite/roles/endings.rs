//! When a token ends, and what outlives a restart.

use std::time::Duration;

use serde_json::json;

use super::{Token, World};
use crate::harness::server::run_binary;
use crate::harness::{Answer, Client, Setup, wait_until};
use crate::sessions::cookie;

pub fn log_in(world: &World, token: &Token) -> String {
    cookie(&world.owner.with_admin_token(None).post("/login", &json!({"token": token.text})).expect(204))
}

/// What a browser with this cookie gets.
pub fn by_session(client: &Client, cookie: &str, method: &str, path: &str) -> Answer {
    client.with_admin_token(None).send(method, path, &[("cookie", cookie)], None)
}

#[test]
fn a_session_may_do_what_its_token_may() {
    let world = World::new();
    let (own, other) = (world.half(), world.half());
    let session = log_in(&world, &world.token("operator", Some(&own.account.id)));
    let call = |method: &str, path: String| by_session(&world.owner, &session, method, &path);
    call("GET", format!("/v1/accounts/{}", own.account.id)).expect(200);
    call("GET", format!("/v1/accounts/{}", other.account.id)).problem(404);
    call("POST", format!("/v1/destinations/{}/pause", own.destination)).expect(200);
    call("POST", format!("/v1/destinations/{}/pause", other.destination)).problem(404);
    assert_eq!(call("DELETE", format!("/v1/destinations/{}", own.destination)).problem(403)["code"], "forbidden");
    call("GET", "/metrics".to_owned()).problem(404);
}

#[test]
fn revoking_a_token_ends_its_requests_sessions_and_streams_at_once_and_no_others() {
    let world = World::new();
    let (token, other) = (world.token("viewer", None), world.token("viewer", None));
    let (session, other_session) = (log_in(&world, &token), log_in(&world, &other));
    let bearer = format!("Bearer {}", token.text);
    let mut streams = [world.follow("authorization", &bearer), world.follow("cookie", &session)];
    let mut goes_on = world.follow("cookie", &other_session);
    world.owner.delete(&format!("/v1/tokens/{}", token.id)).expect(204);
    assert!(world.client(&token).get("/v1/accounts").problem(401)["detail"].as_str().unwrap().contains("revoked"));
    by_session(&world.owner, &session, "GET", "/v1/accounts").problem(401);
    world.owner.with_admin_token(None).post("/login", &json!({"token": token.text})).problem(401);
    for stream in &mut streams {
        stream.ends();
    }
    by_session(&world.owner, &other_session, "GET", "/v1/accounts").expect(200);
    world.half();
    assert!(goes_on.line().is_some());
}

#[test]
fn a_token_that_expires_ends_with_all_that_was_opened_with_it() {
    let world = World::new();
    let token = world.short_lived("viewer", Duration::from_secs(3));
    let (client, session) = (world.client(&token), log_in(&world, &token));
    let mut streams =
        [world.follow("authorization", &format!("Bearer {}", token.text)), world.follow("cookie", &session)];
    for stream in &mut streams {
        stream.ends();
    }
    let problem = wait_until("it has expired", || {
        let answer = client.get("/v1/accounts");
        (answer.status == 401).then(|| answer.problem(401))
    });
    assert!(problem["detail"].as_str().unwrap().contains("has expired"), "{problem}");
    by_session(&world.owner, &session, "GET", "/v1/accounts").problem(401);
    let listed = world.owner.get(&format!("/v1/tokens/{}", token.id)).expect(200).json();
    assert!(listed["last_used_at"].is_string(), "it is listed until it is revoked: {listed}");
}

#[test]
fn deleting_an_account_ends_its_tokens_also_the_one_that_did_it() {
    let world = World::new();
    let half = world.half();
    let (token, viewer) = (world.token("admin", Some(&half.account.id)), world.token("viewer", Some(&half.account.id)));
    let session = log_in(&world, &viewer);
    let mut stream = world.follow("cookie", &session);
    world.client(&token).delete(&format!("/v1/accounts/{}", half.account.id)).expect(204);
    stream.ends();
    world.client(&token).get("/v1/accounts").problem(401);
    by_session(&world.owner, &session, "GET", "/v1/accounts").problem(401);
    assert_eq!(world.owner.all("/v1/tokens").len(), 0);
}

#[test]
fn a_restart_keeps_tokens_and_when_they_were_used() {
    let mut world = World::new();
    let token = world.token("viewer", None);
    let last_used = |world: &World| {
        let listed = world.server.client().get(&format!("/v1/tokens/{}", token.id)).expect(200).json();
        listed["last_used_at"].clone()
    };
    assert!(last_used(&world).is_null());
    world.client(&token).get("/v1/accounts").expect(200);
    let used = last_used(&world);
    assert!(used.as_str().is_some_and(|time| time.ends_with(":00.000Z")), "{used}");
    world.server.terminate();
    world.server.start_again();
    assert_eq!(last_used(&world), used);
    world.server.kill();
    world.server.start_again();
    world.server.client().with_admin_token(Some(&token.text)).get("/v1/accounts").expect(200);
    world.server.client().delete(&format!("/v1/tokens/{}", token.id)).expect(204);
    world.server.kill();
    world.server.start_again();
    world.server.client().with_admin_token(Some(&token.text)).get("/v1/accounts").problem(401);
}

#[test]
fn a_copy_of_the_file_has_the_tokens_and_an_export_has_not() {
    let world = World::new();
    let half = world.half();
    let token = world.token("viewer", Some(&half.account.id));
    let folder = world.server.setup().folder();
    let database = world.server.setup().database_path().display().to_string();
    let copy = folder.join("copy.db");
    run_binary(&["backup", "--database", &database, &copy.display().to_string()]).succeeded();
    let exported = run_binary(&["export", "--database", &database]);
    exported.succeeded();
    assert!(exported.stdout.contains(&half.account.id));
    let digest = sha2_hex(&token.text);
    for word in ["tok_", "viewer", token.text.as_str(), &digest] {
        assert!(!exported.stdout.contains(word), "{word}");
    }
    let restored = folder.join("restored.db");
    let [restored_text, copy_text] = [&restored, &copy].map(|path| path.display().to_string());
    run_binary(&["restore", "--database", &restored_text, &copy_text]).succeeded();
    let server = Setup::guarded().database(&restored).start();
    let client = server.client();
    client.with_admin_token(Some(&token.text)).get(&format!("/v1/accounts/{}", half.account.id)).expect(200);
    client.with_admin_token(Some(&token.text)).get("/v1/tokens").problem(403);
}

fn sha2_hex(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_role_token_cannot_log_others_out() {
    let world = World::new();
    let token = world.token("viewer", None);
    let by_owner = cookie(
        &world.owner.with_admin_token(None).post("/login", &json!({"token": world.server.admin_token()})).expect(204),
    );
    let first = log_in(&world, &token);
    for _ in 0..120 {
        log_in(&world, &token);
    }
    by_session(&world.owner, &first, "GET", "/v1/accounts").problem(401);
    by_session(&world.owner, &by_owner, "GET", "/v1/accounts").expect(200);
}
