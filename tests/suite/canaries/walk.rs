//! The walk: every answer of the API, every page and form of the dashboard, every command, and what the system shows of
//! the process. What a later version adds is walked too, or the walk says that it does not know how.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::server::run_binary;

use super::scene::Scene;
use super::seen::Seen;

const ACCEPT: (&str, &str) = ("accept", "text/html");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Operations that never end, or that have been called before: `scene` keeps what they say.
const ELSEWHERE: [&str; 2] = ["streamDeliveries", "sendEvent"];

/// The operations of the document: method, path and id.
pub fn operations() -> Vec<(String, String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if let Some(id) = operation["operationId"].as_str().filter(|id| !ELSEWHERE.contains(id)) {
                all.push((method.to_uppercase(), path.clone(), id.to_owned()));
            }
        }
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

/// The pages of the dashboard, with their methods, as its source lists them.
pub fn pages_with(method: &str) -> Vec<String> {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/mod.rs")).unwrap();
    let list = source.split_once("pub const PATHS").unwrap().1.split_once("];").unwrap().0;
    let line = |line: &str| {
        let (path, methods) = line.trim().strip_prefix("(\"")?.split_once("\", ")?;
        (methods.starts_with(method) || methods.starts_with("BOTH")).then(|| path.to_owned())
    };
    let all: Vec<String> = list.lines().filter_map(line).collect();
    assert!(all.len() > 8, "{method}: {all:?}");
    all
}

/// A path that leads to something of the scene.
fn filled(scene: &Scene, path: &str) -> String {
    let filled = path
        .replace("{account_id}", &scene.account.id)
        .replace("{destination_id}", &scene.destination)
        .replace("{event_id}", &scene.event)
        .replace("{delivery_id}", &scene.delivery)
        .replace("{token_id}", &scene.token_id);
    assert!(!filled.contains('{'), "{path} has a parameter that this walk does not know");
    filled
}

/// Tokens, codes and bodies that are wrong, in every place that takes one.
pub fn sent_wrong(scene: &Scene, seen: &mut Seen) {
    let wrong = scene.admin.with_admin_token(Some("canary-wrong-token"));
    for (method, path, _) in operations() {
        let path = filled(scene, &path);
        seen.add(format!("{method} {path} for a stranger"), scene.stranger.send(&method, &path, &[], None).body);
        if method == "GET" {
            let host = [("cookie", scene.session.as_str()), ("host", "canary-wrong.example")];
            seen.add("a foreign host", scene.stranger.send(&method, &path, &host, None).body);
        }
    }
    seen.add("a wrong admin token", wrong.get("/v1/accounts").expect(401).body);
    for body in [json!({"code": "canary-wrong"}), json!({"token": "canary-wrong"}), json!({"canary-wrong": 1})] {
        seen.add("a wrong login", scene.stranger.post("/login", &body).body);
    }
    let text = [("content-type", "text/plain")];
    seen.add("a wrong login", scene.stranger.send("POST", "/login", &text, Some(b"canary-wrong")).body);
    for (token, headers, body) in [
        ("canary-wrong", vec![], "{}"),
        (scene.account.token.as_str(), vec![("cl-x-token", "canary-wrong")], "{}"),
        (&scene.account.token, vec![("authorization", "Bearer canary-wrong")], "{\"a\":\"canary-document\""),
        (&scene.account.token, vec![("idempotency-key", "order-1042")], "{\"a\":\"canary-document\",\"b\":1}"),
    ] {
        let answer = scene.admin.push_with(token, &headers, body.as_bytes());
        assert!(answer.status >= 400, "{}", answer.text());
        seen.add("an event that is refused", answer.body);
    }
}

/// Every operation that changes something: first with what is refused, then as it is meant.
pub fn changes(scene: &Scene, seen: &mut Seen) {
    let refused = json!({
        "headers": {"Authorization": "Bearer canary-header\n", "X": ["canary-header"]},
        "header_templates": {"X-Token": "canary-template {{", "Authorization": "canary-template"},
        "app_secret_token": "canary-wrong",
        "url": "http://ada:canary-wrong@example.com/",
    });
    for (method, path, id) in operations() {
        if !matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            continue;
        }
        // A secret that is rotated is no canary any more.
        let spare = path.replace("{destination_id}", &scene.spare_destination);
        let address = filled(scene, if id == "rotateSigningSecret" { &spare } else { &path });
        let answer = scene.admin.json(&method, &address, &refused);
        assert!(answer.status < 500, "{id}: {}", answer.text());
        // What takes no body does what it does.
        let place = if answer.status < 300 { format!("{method} {path}") } else { format!("{method} {path} refused") };
        seen.add(place, answer.body);
    }
    let destination = format!("/v1/destinations/{}", scene.destination);
    let patched = scene.admin.patch(&destination, &json!({})).expect(200);
    seen.add("PATCH /v1/destinations/{destination_id}", patched.body);
    for body in [json!({"event_id": scene.event}), json!({"data": {"a": 1}, "event_type": "a"}), json!({"last": 10})] {
        let answer = scene.admin.post(&format!("{destination}/preview"), &body).expect(200);
        seen.add("POST /v1/destinations/{destination_id}/preview", answer.body);
    }
    let replay = json!({"since": "2020-01-01T00:00:00Z", "dry_run": true});
    seen.add("a replay", scene.admin.post(&format!("{destination}/replay"), &replay).expect(200).body);
}

/// Every form: as a browser sends one without its fields, from the server's own page.
pub fn forms(scene: &Scene, seen: &mut Seen) {
    for path in pages_with("POST") {
        // They would end what the walk goes on with.
        let ends =
            ["/delete", "/rotate-token", "/rotate-signing-secret", "/revoke"].iter().any(|end| path.ends_with(end));
        let spare = path
            .replace("{account_id}", &scene.spare_account.id)
            .replace("{destination_id}", &scene.spare_destination)
            .replace("{token_id}", &scene.spare_token_id);
        let address = filled(scene, if ends { &spare } else { &path });
        let session = if path == "/logout" { &scene.second_session } else { &scene.session };
        let headers = [ACCEPT, FORM, ("cookie", session.as_str()), ("sec-fetch-site", "same-origin")];
        let answer = scene.stranger.send("POST", &address, &headers, Some(b""));
        assert!(
            answer.status < 500 && !matches!(answer.status, 401 | 403),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        seen.add(format!("page POST {path}"), answer.body);
        let foreign = [ACCEPT, FORM, ("cookie", session.as_str()), ("origin", "http://canary-wrong.example")];
        seen.add("a foreign form", scene.stranger.send("POST", &address, &foreign, Some(b"token=canary-wrong")).body);
    }
    let wrong = [ACCEPT, FORM, ("sec-fetch-site", "same-origin")];
    let answer = scene.stranger.send("POST", "/login", &wrong, Some(b"token=canary-wrong")).expect(401);
    seen.add("a wrong login", answer.body);
}

/// Every answer that only reads, with the admin token and with a session.
pub fn answers(scene: &Scene, seen: &mut Seen) {
    for (method, path, id) in operations().into_iter().filter(|(method, _, _)| method == "GET") {
        let address = filled(scene, &path);
        let by_token = scene.admin.get(&address);
        assert_eq!(by_token.status, 200, "{id}: {}", by_token.text());
        seen.add(format!("{method} {path}"), by_token.body);
        for (who, reader, session) in &scene.readers {
            let by_token = reader.get(&address);
            let by_session = scene.stranger.send("GET", &address, &[("cookie", session)], None);
            assert!(
                by_token.status == by_session.status && by_token.status < 500,
                "{id} for {who}: {}",
                by_token.text()
            );
            seen.add(format!("{method} {path} for {who}"), by_token.body);
            seen.add(format!("{method} {path} for {who}"), by_session.body);
        }
        let by_session = scene.stranger.send("GET", &address, &[("cookie", &scene.session)], None).expect(200);
        seen.add(format!("{method} {path}"), by_session.body);
        seen.add(format!("{method} {path} refused"), scene.admin.get(&format!("{address}?canary-of-mine=1")).body);
    }
    for path in ["/openapi.json", "/openapi.yaml", "/docs"] {
        seen.add(path, scene.admin.get(path).expect(200).body);
    }
}

/// Every page, with the addresses that show what is secret in the other views.
pub fn pages(scene: &Scene, seen: &mut Seen) {
    let mut get = |place: &str, address: &str| {
        let headers = [ACCEPT, ("cookie", scene.session.as_str())];
        let answer = scene.stranger.send("GET", address, &headers, None);
        assert!(answer.status < 400, "{address}: {} {}", answer.status, answer.text());
        seen.add(format!("page GET {place}"), answer.body);
    };
    // It never ends; `scene` keeps what it says.
    for path in pages_with("GET").into_iter().filter(|path| path != "/live") {
        get(&path, &filled(scene, &path));
    }
    let (account, destination) = (&scene.account.id, &scene.destination);
    get("/", "/?guide=1");
    get("/deliveries", &format!("/deliveries?destination_id={destination}&state=exhausted"));
    get("/deliveries", &format!("/deliveries?account_id={account}&q=document"));
    get("/destinations/{destination_id}", &format!("/destinations/{destination}?edit=1&window=hour"));
    for path in pages_with("GET") {
        let address = filled(scene, &path);
        seen.add("a page for a stranger", scene.stranger.send("GET", &address, &[ACCEPT], None).body);
    }
}

/// Every page and form for those who may see no secrets.
pub fn pages_of_readers(scene: &Scene, seen: &mut Seen) {
    for (who, _, session) in &scene.readers {
        for method in ["POST", "GET"] {
            for path in pages_with(method).into_iter().filter(|path| !matches!(path.as_str(), "/live" | "/logout")) {
                let address = filled(scene, &path);
                let headers = [ACCEPT, FORM, ("cookie", session.as_str()), ("sec-fetch-site", "same-origin")];
                let body = (method == "POST").then_some(&b""[..]);
                let answer = scene.stranger.send(method, &address, &headers, body);
                assert!(answer.status < 500, "{path} for {who}: {}", answer.text());
                seen.add(format!("page {method} {path} for {who}"), answer.body);
            }
        }
    }
}

/// The commands that read the file beside the server, or that talk to it.
pub fn commands(scene: &Scene, seen: &mut Seen) {
    let database = scene.server.setup().database_path().display().to_string();
    let folder = scene.server.setup().folder();
    let exported = run_binary(&["export", "--database", &database]);
    exported.succeeded();
    seen.add("export", &exported.stdout);
    seen.add("export's messages", &exported.stderr);
    // What is wrong with a document is said without what is secret in it.
    let wrong = folder.join("wrong.json");
    let text = exported.stdout.replace("\"whsec_", "\"whsec-").replace("\"token_digest\": \"", "\"token_digest\": \"x");
    std::fs::write(&wrong, text).unwrap();
    let (copy, wrong) = (folder.join("copy.db").display().to_string(), wrong.display().to_string());
    for arguments in [
        &["import", "--database", &database, &wrong][..],
        &["check", "--database", &database],
        &["backup", "--database", &database, &copy],
        &["login-link", "--database", "/none.db"],
        &["healthcheck", "--url", &format!("http://{}", scene.server.address)],
    ] {
        let ended = run_binary(arguments);
        seen.add(format!("command {}", arguments[0]), ended.stdout);
        seen.add(format!("command {}", arguments[0]), ended.stderr);
    }
}

/// What the system shows of the process.
pub fn process(scene: &Scene, seen: &mut Seen) {
    let id = scene.server.process_id();
    for (place, file) in [("command line", "cmdline"), ("environment", "environ")] {
        if let Ok(bytes) = std::fs::read(format!("/proc/{id}/{file}")) {
            seen.add(place, bytes);
        }
    }
}
