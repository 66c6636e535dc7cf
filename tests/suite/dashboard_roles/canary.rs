//! What a session must not learn: anything of another account, and secrets. Every text of the other account holds a
//! canary, and so do the secrets of the own one.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;

use serde_json::Value;

use super::offered::crawl;
use super::{House, Place, ROLES, Role, Session, attributes};
use crate::harness::client::text;
use crate::harness::wire;

/// Texts that no page of the session may hold: all of the other account, and what is secret to the role.
fn forbidden(house: &House, session: &Session, signing: &[String]) -> Vec<String> {
    let mut texts = vec!["foreign-secret".to_owned(), "own-secret".to_owned(), house.foreign.account.token.clone()];
    texts.extend_from_slice(signing);
    texts.push(house.own.account.token.clone());
    if session.is_scoped {
        let place = &house.foreign;
        texts.push("foreign".to_owned());
        texts.extend([&place.active, &place.paused, &place.event, &place.exhausted, &place.pending].map(Clone::clone));
    }
    texts
}

#[test]
fn no_page_shows_a_secret_or_anything_of_another_account() {
    let house = House::new();
    house.token(Role::Viewer, Some(&house.foreign));
    let signing: Vec<String> = [&house.own.active, &house.own.paused, &house.foreign.active]
        .map(|id| {
            let found = house.client.get(&format!("/v1/destinations/{id}/signing-secret")).expect(200).json();
            text(&found, "signing_secret")["whsec_".len()..].to_owned()
        })
        .to_vec();
    for session in house.sessions() {
        // The whole server is shown first, so that figures that are kept for a moment are of the server.
        house.owner().get("/").expect(200);
        let texts = forbidden(&house, &session, &signing);
        let mut shown: Vec<(String, String)> = crawl(&session).pages.into_iter().collect();
        for path in [
            "/deliveries?q=common",
            "/deliveries?within=1d",
            "/attention?page=2",
            "/?window=month",
            "/nowhere",
            "/start",
        ] {
            shown.push((path.to_owned(), session.get(path).text()));
        }
        if session.role >= Role::Operator {
            let active = &house.own.active;
            for path in [format!("/destinations/{active}/test"), format!("/destinations/{active}/preview")] {
                shown.push((path.clone(), session.post(&path, "url=http%3A%2F%2Fexample.com&http_method=POST").text()));
            }
        }
        assert!(shown.len() > 20, "{}: {}", session.name, shown.len());
        for (path, page) in &shown {
            for text in &texts {
                assert!(!page.contains(text), "{path} shows {text} to {}: {page}", session.name);
            }
        }
        // They are the right pages: the own account is there.
        assert!(shown.iter().filter(|(_, page)| page.contains("own-canary")).count() > 10);
    }
}

#[test]
fn figures_lists_and_searches_are_of_the_own_account() {
    let house = House::new();
    for number in 0..5 {
        let document = format!("{{\"name\": \"{number}\", \"common\": \"common\"}}");
        let lines = [("event-type", "foreign-canary.made")];
        let sent = house.client.push_with(&house.foreign.account.token, &lines, document.as_bytes()).expect(202).json();
        for delivery in sent["deliveries"].as_array().unwrap() {
            if delivery["destination_id"] == house.foreign.active.as_str() {
                house.client.wait_for_state(&text(delivery, "delivery_id"), "exhausted");
            }
        }
    }
    let (owner, viewer) = (house.owner(), house.session(Role::Viewer, true));
    let number = |session: &Session, words: &str| {
        let page = session.get("/").expect(200).text();
        let before = page.split(words).next().unwrap().to_owned();
        assert_ne!(before, page, "{words}: {page}");
        before.rsplit("<b>").next().unwrap().trim_end_matches("<span>").trim_end_matches("</b>").to_owned()
    };
    for (session, events, pending) in [(&owner, "7", "7"), (&viewer, "1", "1"), (&owner, "7", "7")] {
        assert_eq!(number(session, "events, "), events, "{}", session.name);
        assert_eq!(number(session, "pending now"), pending, "{}", session.name);
    }
    let rows = |session: &Session, path: &str| session.get(path).expect(200).text().matches("<tr data-row").count();
    for (path, all, own) in [
        ("/deliveries", 14, 2),
        ("/deliveries?state=pending", 7, 1),
        ("/deliveries?event_type=foreign-canary.made", 12, 0),
        ("/deliveries?account_id=foreign-canary", 12, 0),
        ("/deliveries?q=common", 7, 1),
        ("/attention", 4, 2),
    ] {
        assert_eq!((rows(&owner, path), rows(&viewer, path)), (all, own), "{path}");
    }
    // A page of a rare state ends where the own account ends, and not where others have more.
    let page = viewer.get("/deliveries?state=pending").expect(200).text();
    assert!(!page.contains("rel=\"next\"") && !page.contains("Looked back"), "{page}");
}

#[test]
fn a_filter_for_something_of_another_account_is_like_one_for_nothing() {
    let house = House::new();
    let operator = house.session(Role::Operator, true);
    let place = &house.foreign;
    for (name, foreign, missing) in [
        ("account_id", place.account.id.as_str(), "acc_none"),
        ("destination_id", place.active.as_str(), "dst_none"),
        ("event_id", place.event.as_str(), "evt_0000000000001"),
    ] {
        for path in ["/deliveries", "/deliveries/replay", "/live"] {
            let ask = |id: &str| {
                let answer = operator.get(&format!("{path}?{name}={id}"));
                let page = answer.text().replace(id, "");
                // Times of the page itself.
                let page = page.split("data-now=").next().unwrap().split("<dt>until").next().unwrap().to_owned();
                (answer.status, page)
            };
            // A live stream has no such filter.
            if path == "/live" && name == "event_id" {
                continue;
            }
            assert_eq!(ask(foreign), ask(missing), "{path} by {name}");
        }
        // Nor is anything sent again.
        let form = format!("{name}={foreign}&until=2100-01-01T00%3A00%3A00Z");
        operator.post("/deliveries/replay", &form).expect(303);
    }
    for id in [&place.exhausted, &place.pending] {
        let delivery = house.client.delivery(id);
        assert_eq!(delivery["manual_actions"].as_array().map(Vec::len), Some(0), "{delivery}");
    }
    // With the own account it works, and stays there.
    operator.post("/deliveries/replay", "state=exhausted&until=2100-01-01T00%3A00%3A00Z").expect(303);
    house.client.wait_for_attempts(&house.own.exhausted, 2);
    assert_eq!(house.client.delivery(&place.exhausted)["attempt_count"], 1);
}

/// A live page's stream, behind its head.
fn follow(house: &House, session: &Session) -> BufReader<TcpStream> {
    let page = session.get("/").expect(200).text();
    let live = attributes(&page, "data-live").remove(0);
    let request = format!(
        "GET {live} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nconnection: close\r\n\r\n",
        house.server.address, session.cookie
    );
    let mut stream = BufReader::new(wire::open(house.server.address, request.as_bytes()));
    let (first, _) = wire::read_head(&mut stream).expect("a stream");
    assert!(first.contains(" 200 "), "{first}");
    stream
}

/// The next line of a stream that begins with `field`, without that.
fn next(stream: &mut BufReader<TcpStream>, field: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("the stream goes on") > 0, "the stream has ended");
        assert!(!line.contains("foreign"), "{line}");
        if let Some(value) = line.strip_prefix(field) {
            return value.trim().to_owned();
        }
    }
}

#[test]
fn the_live_stream_counts_what_happens_in_the_own_account() {
    let house = House::new();
    let mut stream = follow(&house, &house.session(Role::Viewer, true));
    let push = |place: &Place, event_type: &str| {
        house.client.push_with(&place.account.token, &[("event-type", event_type)], b"{\"name\": \"x\"}").expect(202)
    };
    for _ in 0..3 {
        push(&house.foreign, "foreign-canary.made");
    }
    push(&house.own, "own-canary.made");
    let mut created = 0;
    while created == 0 {
        let counts: Value = serde_json::from_str(&next(&mut stream, "data: ")).expect("JSON");
        created = counts["created"].as_u64().unwrap();
    }
    assert_eq!(created, 2, "one event for two destinations, and none of the other account");
    for role in ROLES {
        let session = house.session(role, true);
        session.get("/live?account_id=foreign-canary").expect(404);
        session.get(&format!("/live?destination_id={}", house.foreign.active)).expect(404);
    }
}

#[test]
fn a_live_page_ends_with_its_token() {
    let house = House::new();
    let made = house.token(Role::Viewer, None);
    let session = house.log_in(&text(&made, "token"), Role::Viewer, false, "viewer".to_owned());
    let mut stream = follow(&house, &session);
    house.client.delete(&format!("/v1/tokens/{}", text(&made, "token_id"))).expect(204);
    while next(&mut stream, "event: ") != "over" {}
    session.get("/deliveries").expect(401);
}

#[test]
fn an_admin_of_one_account_is_logged_out_when_it_deletes_that() {
    let house = House::new();
    let admin = house.session(Role::Admin, true);
    admin.post("/accounts/own-canary/delete", "confirm=own-canary").expect(303);
    admin.get("/accounts").expect(401);
    house.client.get("/v1/accounts/own-canary").problem(404);
    house.client.get("/v1/accounts/foreign-canary").expect(200);
}
