//! A canary in every place that holds a secret. No canary may be seen where people without the right to see it look.

use serde_json::json;

use crate::harness::client::text;
use crate::harness::server::run_binary;
use crate::harness::{Receiver, Setup};
use crate::sessions::cookie;

#[test]
fn no_secret_is_in_logs_lists_errors_metrics_or_the_document() {
    let receiver = Receiver::start();
    let setup = Setup::guarded()
        .flags(&["--allow-network", "127.0.0.0/8", "--retry-schedule", "50ms"])
        // More specific directives have priority.
        .variable("RUST_LOG", "trace,ureq=trace,ureq_proto::util=trace,rustls=trace,hyper::proto=trace");
    let mut server = setup.start();
    let admin = server.client();
    let stranger = admin.with_admin_token(None);
    let mut secrets = vec![("the admin token", server.admin_token().unwrap())];

    // Only the start's line may hold a code.
    let printed = server.login_link();
    let database = server.setup().database_path().display().to_string();
    let asked = run_binary(&["login-link", "--database", &database]).stdout.trim().to_owned();
    let code = |link: &str| link.split_once('#').unwrap().1.to_owned();
    secrets.push(("a code", code(&asked)));
    let redeem = |body: serde_json::Value| stranger.post("/login", &body);
    let by_code = cookie(&redeem(json!({"code": code(&asked)})).expect(204));
    let by_token = cookie(&redeem(json!({"token": secrets[0].1})).expect(204));
    let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    secrets.extend([("a session", value(&by_code)), ("another session", value(&by_token))]);
    let mut answers = vec![
        redeem(json!({"code": code(&asked)})).expect(401),
        redeem(json!({"token": "canary-wrong-token"})).expect(401),
        redeem(json!({"canary-wrong-field": "canary-wrong-value"})).expect(400),
        stranger.send("POST", "/login", &[("content-type", "text/plain")], Some(b"canary-wrong-body")).expect(415),
    ];
    secrets.push(("what was wrong", "canary-wrong".to_owned()));

    let account = admin.create_account("ada");
    let headers = json!({"Authorization": "Bearer canary-header", "X-Api-Key": "canary-header"});
    let destination = admin.create_destination(&account, &receiver.url("/in?key=canary-query"), "POST", headers);
    secrets.extend([("a header", "canary-header".to_owned()), ("an account's token", account.token.clone())]);
    let path = format!("/v1/destinations/{destination}");
    let signing = text(&admin.get(&format!("{path}/signing-secret")).expect(200).json(), "signing_secret");
    secrets.push(("a signing secret", signing["whsec_".len()..].to_owned()));
    admin.push_with(&account.token, &[("prefer", "wait=20")], b"{\"a\":\"canary-payload\"}").expect(200);
    admin.push_with(&account.token, &[], b"{\"a\":\"canary-payload\"").expect(400);
    admin.push_with("canary-wrong-token", &[], b"{}").expect(401);

    for lines in [[("cookie", by_code.as_str()), ("host", "evil.example")], [("cookie", &by_code), ("accept", "*/*")]] {
        answers.push(stranger.send("GET", "/v1/accounts", &lines, None));
    }
    for path in ["/v1/accounts", "/v1/deliveries", "/v1/stats", "/metrics", "/openapi.json", "/docs", "/", "/login"] {
        answers.push(admin.get(path).expect(200));
    }
    answers.push(admin.get(&format!("/v1/accounts/{}/destinations", account.id)).expect(200));
    answers.push(admin.get(&format!("/v1/accounts/{}/events", account.id)).expect(200));
    answers.push(admin.post(&format!("/v1/accounts/{}/rotate-token", account.id), &json!({"grace_seconds": -1})));
    answers.push(admin.with_admin_token(Some("canary-wrong-token")).get("/v1/accounts").expect(401));
    stranger.send("POST", "/logout", &[("cookie", &by_token)], None).expect(204);
    for answer in &answers {
        for (what, secret) in &secrets {
            assert!(!answer.text().contains(secret), "{} shows {what}: {}", answer.what, answer.text());
        }
    }

    server.terminate();
    let log = server.log.lines();
    secrets.extend([("a query", "canary-query".to_owned()), ("a payload", "canary-payload".to_owned())]);
    for (what, secret) in &secrets {
        assert!(!log.iter().any(|line| line.contains(secret)), "the log holds {what}");
    }
    let lines = log.iter().filter(|line| line.contains(&code(&printed))).count();
    assert_eq!(lines, 1, "the printed code is in {lines} lines");

    let tokens = ["the admin token", "an account's token", "a code", "a session", "another session"];
    for entry in std::fs::read_dir(server.setup().folder()).unwrap() {
        let path = entry.unwrap().path();
        if path == server.admin_token_path() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for (what, secret) in secrets.iter().filter(|(what, _)| tokens.contains(what)) {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {what}", path.display());
        }
    }
}
