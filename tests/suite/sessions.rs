//! Browsers log in, by the one-time link or with the admin token, and log out.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::server::run_binary;
use crate::harness::{Answer, Client, Server, Setup};

/// The code in a login link.
fn code(link: &str) -> &str {
    link.split_once("/login#").unwrap_or_else(|| panic!("{link} holds no code")).1
}

#[track_caller]
fn log_in(client: &Client, with: &Value) -> Answer {
    client.with_admin_token(None).post("/login", with)
}

/// The cookie that a browser sends after login.
#[track_caller]
pub fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_owned()
}

#[track_caller]
fn session(server: &Server) -> String {
    cookie(&log_in(&server.client(), &json!({"token": server.admin_token()})).expect(204))
}

#[track_caller]
fn accounts(client: &Client, cookie: &str) -> Answer {
    client.with_admin_token(None).send("GET", "/v1/accounts", &[("cookie", cookie)], None)
}

/// The link that `login-link` prints, for any name of the database.
#[track_caller]
fn another_link(database: &std::path::Path) -> String {
    let ended = run_binary(&["login-link", "--database", &database.display().to_string()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    ended.stdout.trim().to_owned()
}

#[test]
fn the_printed_link_logs_in_once() {
    let server = Setup::guarded().start();
    let client = server.client();
    let link = server.login_link();
    assert!(link.starts_with(&format!("http://{}/login#", server.address)), "{link}");
    assert!(!link.contains(&server.admin_token().unwrap()));
    let cookie = cookie(&log_in(&client, &json!({"code": code(&link)})).expect(204));
    accounts(&client, &cookie).expect(200);
    let again = log_in(&client, &json!({"code": code(&link)})).problem(401);
    assert_eq!(again["code"], "login_refused");
    assert!(again["detail"].as_str().unwrap().contains("login-link"), "{again}");
    accounts(&client, &cookie).expect(200);
}

#[test]
fn looking_at_a_link_does_not_use_it_up() {
    let server = Setup::guarded().start();
    let client = server.client();
    for method in ["GET", "HEAD", "GET"] {
        let page = client.with_admin_token(None).send(method, "/login", &[], None).expect(200);
        assert!(page.header("set-cookie").is_none() && page.header("cache-control") == Some("no-store"), "{page:?}");
    }
    log_in(&client, &json!({"code": code(&server.login_link())})).expect(204);
}

#[test]
fn of_many_who_redeem_a_code_at_once_one_gets_in() {
    let server = Setup::guarded().start();
    let (client, link) = (server.client(), server.login_link());
    let together = Barrier::new(16);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    log_in(&client, &json!({"code": code(&link)})).status
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 204 | 401)), "{statuses:?}");
}

#[test]
fn login_link_prints_another() {
    let server = Setup::guarded().start();
    let database = server.setup().database_path();
    let elsewhere = server.setup().folder().join("link.db");
    std::os::unix::fs::symlink(database, &elsewhere).unwrap();
    let links = [server.login_link(), another_link(database), another_link(database), another_link(&elsewhere)];
    for link in &links {
        log_in(&server.client(), &json!({"code": code(link)})).expect(204);
    }
    let mode = std::fs::metadata(server.companion(".login")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn login_link_says_so_when_no_server_runs() {
    let refused = |database: &std::path::Path| {
        let ended = run_binary(&["login-link", "--database", &database.display().to_string()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        ended.stderr
    };
    let mut server = Setup::guarded().start();
    let database = server.setup().database_path().to_owned();
    server.kill();
    assert!(refused(&database).contains("does not answer"));
    server.start_again();
    server.terminate();
    assert!(!server.companion(".login").exists());
    assert!(refused(&database).contains("test.db"));
    let dev = Setup::dev().start();
    assert!(refused(dev.setup().database_path()).contains("no server that asks for a login"));
}

#[test]
fn a_restart_ends_sessions_and_makes_codes_worthless() {
    let mut server = Setup::guarded().start();
    let (cookie, used, unused) = (session(&server), server.login_link(), another_link(server.setup().database_path()));
    log_in(&server.client(), &json!({"code": code(&used)})).expect(204);
    server.terminate();
    server.start_again();
    let client = server.client();
    accounts(&client, &cookie).problem(401);
    for link in [used, unused] {
        log_in(&client, &json!({"code": code(&link)})).problem(401);
    }
}

#[test]
fn the_login_form_takes_the_admin_token_and_nothing_else() {
    let server = Setup::guarded().start();
    let client = server.client().with_admin_token(None);
    let token = server.admin_token().unwrap();
    accounts(&client, &cookie(&log_in(&client, &json!({"token": token})).expect(204))).expect(200);
    for wrong in [token.to_lowercase(), token[1..].to_owned(), String::new(), "x".repeat(600)] {
        let answer = log_in(&client, &json!({"token": wrong}));
        assert_eq!(answer.problem(401)["code"], "login_refused");
        assert!(answer.header("set-cookie").is_none());
    }
    for body in [json!({}), json!([]), json!({"token": 1}), json!({"token": token, "code": "x"}), json!({"user": "x"})]
    {
        let problem = log_in(&client, &body).problem(400);
        assert!(!problem.to_string().contains(&token), "{problem}");
    }
    log_in(&client, &json!({"token": "x".repeat(10_000)})).problem(413);
    let form = format!("token={token}");
    let media_type = [("content-type", "application/x-www-form-urlencoded")];
    // A form must say which page it comes from, as every browser does.
    client.send("POST", "/login", &media_type, Some(form.as_bytes())).problem(403);
    let own = [media_type[0], ("sec-fetch-site", "same-origin")];
    let answer = client.send("POST", "/login", &own, Some(form.as_bytes())).expect(303);
    accounts(&client, &cookie(&answer)).expect(200);
    let answer = client.send("POST", "/login", &own, Some(b"token=wrong")).expect(401);
    assert!(answer.header("set-cookie").is_none() && answer.text().contains("This token is wrong"));
    client.send("POST", "/login", &[], None).problem(415);
}

#[test]
fn a_session_cookie_is_kept_from_scripts_and_other_sites() {
    let server = Setup::guarded().start();
    let line = log_in(&server.client(), &json!({"token": server.admin_token()})).expect(204);
    let line = line.header("set-cookie").unwrap().to_owned();
    for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=3196800"] {
        assert!(line.contains(attribute), "{line}");
    }
    assert!(!line.contains("Secure") && !line.contains("Domain"), "{line}");

    let server = Setup::guarded().flags(&["--public-url", "https://push.example.com"]).start();
    assert!(server.login_link().starts_with("https://push.example.com/login#"), "{}", server.login_link());
    let line = log_in(&server.client(), &json!({"token": server.admin_token()})).expect(204);
    let line = line.header("set-cookie").unwrap().to_owned();
    assert!(line.starts_with("__Host-") && line.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{line}");
}

#[test]
fn a_session_ends_when_its_browser_logs_out_and_no_other_does() {
    let server = Setup::guarded().start();
    let client = server.client().with_admin_token(None);
    let (mine, other) = (session(&server), session(&server));
    let answer = client.send("POST", "/logout", &[("cookie", &mine)], None).expect(204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "{answer:?}");
    accounts(&client, &mine).problem(401);
    accounts(&client, &other).expect(200);
    client.send("POST", "/logout", &[("cookie", &other), ("sec-fetch-site", "cross-site")], None).problem(403);
    accounts(&client, &other).expect(200);
    client.send("POST", "/logout", &[], None).expect(204);
}

#[test]
fn a_cookie_that_no_login_made_opens_nothing() {
    let server = Setup::guarded().start();
    let (client, cookie) = (server.client().with_admin_token(None), session(&server));
    let (name, value) = cookie.split_once('=').unwrap();
    for forged in [
        format!("{name}="),
        format!("{name}={}", &value[1..]),
        format!("{name}={value}x"),
        format!("x{name}={value}"),
        format!("{name}={}", server.admin_token().unwrap()),
        format!("{name}={}", code(&server.login_link())),
        format!("session={value}"),
    ] {
        accounts(&client, &forged).problem(401);
    }
    accounts(&client, &format!("a=b; {cookie}; c")).expect(200);
    // A session does not make up for a wrong token.
    let both = [("cookie", cookie.as_str()), ("authorization", "Bearer wrong-wrong-wrong-wrong")];
    client.send("GET", "/v1/accounts", &both, None).problem(401);
}

#[test]
fn the_front_page_asks_for_a_login_and_then_leads_through_the_first_steps() {
    let server = Setup::guarded().start();
    let client = server.client().with_admin_token(None);
    assert!(client.get("/").expect(200).text().contains("type=\"password\""));
    assert!(client.send("GET", "/", &[("cookie", &session(&server))], None).expect(200).text().contains("First steps"));
    let dev = Setup::dev().start();
    assert!(dev.client().get("/").expect(200).text().contains("First steps"));
    assert_eq!(dev.client().get("/login").expect(303).header("location"), Some("/"));
    assert_eq!(dev.client().post("/login", &json!({"token": "x"})).problem(409)["code"], "no_login");
}

#[test]
fn wrong_tries_are_slowed_and_the_right_token_never_waits_for_them() {
    let server = Setup::guarded().start();
    let client = server.client();
    let began = Instant::now();
    client.with_admin_token(Some("wrong-wrong-wrong-wrong")).get("/v1/accounts").problem(401);
    log_in(&client, &json!({"token": "wrong"})).problem(401);
    log_in(&client, &json!({"code": "wrong"})).problem(401);
    assert!(began.elapsed() >= Duration::from_millis(750), "{:?}", began.elapsed());
    std::thread::scope(|scope| {
        let tries: Vec<_> = (0..100)
            .map(|nth| {
                let wrong = client.with_admin_token(Some(&format!("wrong-wrong-wrong-{nth}")));
                scope.spawn(move || (0..3).map(|_| wrong.get("/v1/accounts").status).collect::<Vec<_>>())
            })
            .collect();
        while !tries.iter().all(|one| one.is_finished()) {
            client.get("/v1/accounts").expect(200);
        }
        let statuses: Vec<u16> = tries.into_iter().flat_map(|one| one.join().unwrap()).collect();
        assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    });
}
