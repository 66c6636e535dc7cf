//! What other sites' pages cannot do through a browser with a session, and what every answer tells browsers.

use serde_json::json;

use crate::harness::{Answer, Client, Server, Setup};
use crate::sessions::cookie;

const EVIL: &str = "https://evil.example";

/// A server, a client without the admin token, and the cookie of a session.
fn logged_in(flags: &[&str]) -> (Server, Client, String) {
    let server = Setup::guarded().flags(flags).start();
    let client = server.client().with_admin_token(None);
    let session = cookie(&client.post("/login", &json!({"token": server.admin_token()})).expect(204));
    (server, client, session)
}

/// Creates an account, with these header lines besides the content type.
#[track_caller]
fn create(client: &Client, lines: &[(&str, &str)]) -> Answer {
    let body = json!({"email": "ada@example.com", "account_name": "Ada"}).to_string();
    let lines = [&[("content-type", "application/json")], lines].concat();
    client.send("POST", "/v1/accounts", &lines, Some(body.as_bytes()))
}

#[test]
fn no_page_of_another_origin_changes_anything_through_a_session() {
    let (server, client, session) = logged_in(&["--cors-origin", "https://app.example.com"]);
    let ours = format!("http://{}", server.address);
    for (name, value) in [
        ("origin", EVIL),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "https://app.example.com"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(create(&client, &[("cookie", &session), (name, value)]).problem(403)["code"], "foreign_origin");
        client.send("POST", "/login", &[(name, value), ("content-type", "application/json")], Some(b"{}")).problem(403);
    }
    for host in ["evil.example", "push.example.com", &format!("{}.evil.example", server.address.ip())] {
        let lines = [("cookie", session.as_str()), ("host", host)];
        assert_eq!(create(&client, &lines).problem(421)["code"], "foreign_host");
        client.send("GET", "/v1/accounts", &lines, None).problem(421);
        for path in ["/", "/login"] {
            client.send("GET", path, &lines, None).problem(421);
        }
    }
    assert_eq!(server.client().all("/v1/accounts"), Vec::<serde_json::Value>::new());
    // The admin token is proof enough, because no browser sends it by itself.
    let lines = [("origin", EVIL), ("host", "evil.example"), ("sec-fetch-site", "cross-site")];
    create(&server.client(), &lines).expect(201);
    let path = "/v1/accounts/none/rotate-token";
    client.send("POST", path, &[("cookie", &session), ("origin", &ours)], None).problem(404);
    let text = [("cookie", session.as_str()), ("content-type", "text/plain")];
    client.send("POST", path, &text, Some(b"{}")).problem(415);
}

#[test]
fn the_public_url_is_ours() {
    let (_server, client, session) = logged_in(&["--public-url", "https://push.example.com"]);
    let lines = [("cookie", session.as_str()), ("host", "push.example.com"), ("origin", "https://push.example.com")];
    create(&client, &lines).expect(201);
    let lines =
        [("cookie", session.as_str()), ("host", "push.example.com"), ("origin", "http://push.example.com.evil")];
    create(&client, &lines).problem(403);
    client.send("GET", "/v1/accounts", &[("cookie", &session), ("host", "other.example.com")], None).problem(421);
}

#[test]
fn without_a_flag_there_is_no_cors() {
    for server in [Setup::guarded().start(), Setup::dev().start()] {
        let client = server.client();
        let asking = [("origin", EVIL), ("access-control-request-method", "GET")];
        for answer in [
            client.send("GET", "/healthz", &asking, None).expect(200),
            client.send("GET", "/v1/accounts", &asking, None).expect(200),
            client.send("OPTIONS", "/v1/accounts", &asking, None).expect(405),
        ] {
            let told = answer.headers.0.iter().find(|(name, _)| name.starts_with("access-control"));
            assert_eq!(told, None, "{}", answer.what);
        }
    }
}

#[test]
fn a_named_origin_may_call_with_the_token_and_gets_no_credentials() {
    let friend = "https://app.example.com";
    let server = Setup::guarded().flags(&["--cors-origin", &format!("{friend},http://localhost:3000")]).start();
    let client = server.client();
    let stranger = client.with_admin_token(None);
    let asking = [("origin", friend), ("access-control-request-method", "PATCH")];
    let preflight = stranger.send("OPTIONS", "/v1/accounts/x", &asking, None).expect(204);
    for (name, part) in [
        ("access-control-allow-origin", friend),
        ("access-control-allow-methods", "PATCH"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-headers", "content-type"),
        ("vary", "Origin"),
    ] {
        assert!(preflight.header(name).is_some_and(|value| value.contains(part)), "{name}: {preflight:?}");
    }
    // An error must be readable too.
    for answer in [
        client.send("GET", "/v1/accounts", &[("origin", friend)], None).expect(200),
        stranger.send("GET", "/v1/accounts", &[("origin", friend)], None).expect(401),
        create(&client, &[("origin", friend), ("sec-fetch-site", "cross-site")]).expect(201),
    ] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(friend), "{answer:?}");
        assert!(answer.header("access-control-expose-headers").is_some_and(|value| value.contains("location")));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    for other in [EVIL, "null", "https://app.example.com.evil.example", "http://app.example.com"] {
        let answer = client.send("GET", "/v1/accounts", &[("origin", other)], None).expect(200);
        assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (None, Some("Origin")));
        stranger.send("OPTIONS", "/v1/accounts", &[("origin", other), asking[1]], None).problem(405);
    }
}

#[test]
fn under_dev_a_named_origin_may_change_things_and_others_may_not() {
    let server = Setup::dev().flags(&["--cors-origin", "http://localhost:3000"]).start();
    let from = |origin| create(&server.client(), &[("origin", origin), ("sec-fetch-site", "same-site")]);
    from("http://localhost:3001").problem(403);
    // Each of the two headers alone is enough to refuse.
    create(&server.client(), &[("origin", "http://localhost:3001")]).problem(403);
    create(&server.client(), &[("sec-fetch-site", "same-site")]).problem(403);
    from("http://localhost:3000").expect(201);
    let rebound = [("origin", "http://localhost:3000"), ("host", "evil.example")];
    create(&server.client(), &rebound).problem(421);
}

#[test]
fn every_answer_tells_browsers_to_take_it_for_nothing_more() {
    let (server, client, session) = logged_in(&[]);
    let account_name = "</script><img src=x onerror=alert(1)>";
    let account =
        server.client().post("/v1/accounts", &json!({"email": "a@example.com", "account_name": account_name}));
    assert_eq!(account.expect(201).json()["account_name"], account_name);
    let admin = server.client();
    for (answer, status) in [
        (client.get("/"), 200),
        (client.get("/login"), 200),
        (client.send("GET", "/", &[("cookie", &session)], None), 200),
        (client.send("GET", "/accounts", &[("cookie", &session)], None), 200),
        (client.get("/docs"), 200),
        (client.get("/openapi.json"), 200),
        (client.get("/healthz"), 200),
        (client.get("/v1/accounts"), 401),
        (client.get("/nowhere"), 404),
        (client.send("DELETE", "/docs", &[], None), 405),
        (client.send("GET", "/", &[("host", "evil.example")], None), 421),
        (admin.get("/v1/accounts"), 200),
        (admin.get("/metrics"), 200),
        (admin.push_with("wrong", &[], b"{}"), 401),
    ] {
        let answer = answer.expect(status);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{}: {name}", answer.what);
        }
        // Forms of the pages need an origin that is not `null`.
        let is_page =
            answer.header("content-security-policy").is_some_and(|policy| policy.contains("form-action 'self'"));
        let referrer = if is_page { "same-origin" } else { "no-referrer" };
        assert_eq!(answer.header("referrer-policy"), Some(referrer), "{}", answer.what);
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{}: no policy", answer.what));
        for part in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{}: {policy}", answer.what);
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{}: {policy}", answer.what);
        let html = answer.header("content-type").is_some_and(|value| value.starts_with("text/html"));
        assert!(!(html && answer.text().contains(account_name)), "{}", answer.what);
        let caching = answer.header("cache-control");
        let page = answer.what.contains("/docs") || answer.what.contains("/openapi");
        assert_eq!(caching, Some(if page && status == 200 { "no-cache" } else { "no-store" }), "{}", answer.what);
    }
}

#[test]
fn swagger_ui_and_the_document_are_compressed_and_not_sent_twice() {
    let server = Setup::dev().start();
    let client = server.client();
    for (path, most) in [("/docs", 500_000), ("/openapi.json", 40_000), ("/openapi.yaml", 40_000)] {
        let plain = client.get(path).expect(200);
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
        let packed = client.send("GET", path, &[("accept-encoding", "gzip, deflate, br")], None).expect(200);
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), (Some("gzip"), Some("Accept-Encoding")));
        assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < most, "{path}: {}", packed.body.len());
        println!("{path}: {} bytes, {} on the wire", plain.body.len(), packed.body.len());
        let tag = packed.header("etag").unwrap();
        assert_ne!(Some(tag), plain.header("etag"), "{path}");
        let known = [("accept-encoding", "gzip"), ("if-none-match", tag)];
        let again = client.send("GET", path, &known, None).expect(304);
        assert!(again.body.is_empty() && again.header("etag") == Some(tag), "{again:?}");
        client.send("GET", path, &[("if-none-match", tag)], None).expect(200);
    }
}
