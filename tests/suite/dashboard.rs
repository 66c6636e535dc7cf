//! Pages as a browser asks for them. What a browser makes of them is tested in `tests/browser`.

use serde_json::json;

use crate::harness::client::text;
use crate::harness::{Answer, Client, Setup};
use crate::sessions::cookie;

const ACCEPT: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[track_caller]
fn browse(client: &Client, method: &str, path: &str) -> Answer {
    client.send(method, path, &[ACCEPT], None)
}

#[track_caller]
fn page(client: &Client, path: &str) -> String {
    browse(client, "GET", path).expect(200).text()
}

#[test]
fn a_browser_gets_a_page_where_there_is_none_and_programs_get_a_problem() {
    let server = Setup::dev().start();
    let client = server.client();
    for path in ["/nowhere", "/accounts/", "/deliveries/a/b/c", "/assets/none.css"] {
        let lost = browse(&client, "GET", path).expect(404);
        assert!(lost.text().contains("There is no page here") && lost.text().contains("href=\"/\""), "{lost:?}");
        let right = client.get("/").expect(200);
        for header in ["content-type", "content-security-policy", "cache-control", "referrer-policy", "x-frame-options"]
        {
            assert_eq!(lost.header(header), right.header(header), "{path}: {header}");
        }
        assert_eq!(client.get(path).problem(404)["code"], "no_such_path", "{path}");
    }
    for path in ["/v1/nowhere", "/docs/x", "/metrics/x", "/openapi", "/server/x"] {
        browse(&client, "GET", path).problem(404);
    }
    browse(&client, "GET", "/server/incoming_data").problem(405);
    browse(&client, "DELETE", "/accounts").problem(405);
}

#[test]
fn the_address_of_a_form_leads_to_its_page() {
    let server = Setup::dev().start();
    let client = server.client();
    for (form, page) in [
        ("/start", "/?guide=1"),
        ("/logout", "/"),
        ("/accounts/acc_1/rotate-token", "/accounts/acc_1"),
        ("/destinations/dst_1/test?x=1", "/destinations/dst_1"),
        ("/deliveries/dlv_1/retry", "/deliveries/dlv_1"),
        ("/events/evt_1/replay", "/events/evt_1"),
    ] {
        assert_eq!(browse(&client, "GET", form).expect(303).header("location"), Some(page), "{form}");
        client.get(form).problem(405);
    }
}

#[test]
fn whoever_has_no_session_cannot_tell_an_address_from_another() {
    let server = Setup::guarded().start();
    let stranger = server.client().with_admin_token(None);
    for path in ["/nowhere", "/accounts", "/accounts/acc_1/delete"] {
        let form = browse(&stranger, "GET", path).expect(401);
        assert!(form.text().contains("Admin token") && form.text().contains(&format!("value=\"{path}\"")), "{path}");
    }
    let session = cookie(&stranger.post("/login", &json!({"token": server.admin_token()})).expect(204));
    stranger.send("GET", "/nowhere", &[ACCEPT, ("cookie", &session)], None).expect(404);
    let foreign = [ACCEPT, ("cookie", session.as_str()), ("host", "evil.example")];
    stranger.send("GET", "/nowhere", &foreign, None).problem(421);
}

#[test]
fn everything_that_needs_attention_is_listed_if_not_on_the_overview_then_behind_it() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let mut last = String::new();
    for number in 0..105 {
        last = client.create_destination(&account, &format!("http://127.0.0.1:9/{number}"), "POST", json!({}));
        client.post(&format!("/v1/destinations/{last}/pause"), &json!({})).expect(200);
    }
    let overview = page(&client, "/?window=hour");
    assert_eq!(overview.matches("<tr data-row>").count(), 50);
    assert!(overview.contains("<a href=\"/attention\">Show 55 more</a>"), "{overview}");
    let first = page(&client, "/attention");
    assert_eq!(first.matches("<tr data-row>").count(), 100);
    assert!(first.contains("105 in all") && first.contains("href=\"/attention?page=2\"") && !first.contains(&last));
    let second = page(&client, "/attention?page=2");
    assert_eq!(second.matches("<tr data-row>").count(), 5);
    assert!(second.contains(&last) && !second.contains("page=3"), "{second}");
    assert!(page(&client, "/attention?page=3").contains("There are no more"));
    browse(&client, "GET", "/attention?page=0").expect(400);
}

#[test]
fn a_page_about_a_destination_does_not_name_it_in_each_row() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let id = client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
    client.post(&format!("/v1/destinations/{id}/pause"), &json!({})).expect(200);
    let sent = client.push(&account, b"{}");
    let labels = |path: &str| {
        let page = page(&client, path);
        assert_eq!(page.matches("data-label=\"State\"").count(), 1, "{path}");
        ["Destination", "Account"].map(|label| page.contains(&format!("data-label=\"{label}\"")))
    };
    assert_eq!(labels(&format!("/destinations/{id}")), [false, false]);
    assert_eq!(labels(&format!("/events/{}", text(&sent, "event_id"))), [true, false]);
    assert_eq!(labels(&format!("/deliveries?destination_id={id}")), [true, true]);
}
