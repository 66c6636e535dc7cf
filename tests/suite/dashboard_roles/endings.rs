//! Sessions that have ended while a page was open, and sessions whose place another one takes.

use serde_json::json;

use super::{FORM, House, Role, SAME_ORIGIN, attributes};
use crate::harness::Answer;
use crate::harness::client::text;
use crate::sessions::cookie;

const ENDED: &str = "Your session has ended. Log in to go on.";

/// Sends a form with this cookie, from this page.
#[track_caller]
fn post(house: &House, cookie: &str, path: &str, from: &str) -> Answer {
    let from = format!("http://{}{from}", house.server.address);
    let lines = [("cookie", cookie), ("accept", "text/html"), FORM, SAME_ORIGIN, ("referer", from.as_str())];
    house.server.client().with_admin_token(None).send("POST", path, &lines, Some(b"email=a@example.com&account_name=a"))
}

/// Where the login form leads.
#[track_caller]
fn back(page: &str) -> String {
    let field = page.split("name=\"back\"").nth(1).expect("a login form");
    attributes(field, "value").remove(0)
}

/// The cookie of a session whose token is revoked.
fn ended(house: &House) -> String {
    let token = house.token(Role::Admin, None);
    let session = house.log_in(&text(&token, "token"), Role::Admin, false, "ended".to_owned());
    session.get("/accounts").expect(200);
    house.client.delete(&format!("/v1/tokens/{}", text(&token, "token_id"))).expect(204);
    session.cookie
}

#[test]
fn a_form_of_a_session_that_has_ended_says_so_and_leads_back_to_its_page() {
    let house = House::new();
    let cookie = ended(&house);
    let (account, delivery) = (format!("/accounts/{}", house.own.account.id), &house.own.exhausted);
    for (path, from, page) in [
        (account.clone(), account.as_str(), account.as_str()),
        (format!("{account}/delete"), account.as_str(), &account),
        // A page that answers a form has that form's address.
        (format!("{account}/delete"), &format!("{account}/delete"), &account),
        (format!("/deliveries/{delivery}/retry"), "/deliveries?state=exhausted", "/deliveries?state=exhausted"),
        ("/tokens".to_owned(), "/tokens?done=token-revoked", "/tokens"),
        ("/start".to_owned(), "/start", "/?guide=1"),
    ] {
        let form = post(&house, &cookie, &path, from).expect(401).text();
        assert!(form.contains(ENDED) && back(&form) == page, "{path} from {from}: {form}");
        let login = format!("token={}&back={page}", house.server.admin_token().unwrap());
        let lines = [("cookie", cookie.as_str()), FORM, SAME_ORIGIN];
        let answer = house.client.with_admin_token(None).send("POST", "/login", &lines, Some(login.as_bytes()));
        assert_eq!(answer.expect(303).header("location"), Some(page));
    }
    for from in ["//evil.example/x", "/\\evil.example"] {
        let page = back(&post(&house, &cookie, "/accounts", from).expect(401).text());
        assert!(page.is_empty() || !page.starts_with("//"), "{from} leads to {page}");
    }
    let page = house.client.with_admin_token(None).send("GET", "/accounts?q=x", &[("cookie", &cookie)], None);
    let page = page.expect(401).text();
    assert!(page.contains(ENDED) && back(&page) == "/accounts?q=x", "{page}");
}

#[test]
fn nobody_learns_whether_a_cookie_was_ever_one_of_a_session() {
    let mut house = House::new();
    let cookie = ended(&house);
    let (name, value) = cookie.split_once('=').unwrap();
    let unknown = format!("{name}={}", "x".repeat(value.len()));
    let owner = house.owner().cookie;
    let account = format!("/accounts/{}", house.own.account.id);
    let ask = |house: &House, cookie: &str| {
        let stranger = house.server.client().with_admin_token(None);
        let pages = ["/", "/nowhere", "/accounts/none", &account];
        let pages = pages.map(|path| stranger.send("GET", path, &[("cookie", cookie), ("accept", "text/html")], None));
        let forms = ["/accounts", "/nowhere/x/y"].map(|path| post(house, cookie, path, "/accounts"));
        pages.into_iter().chain(forms).map(|answer| (answer.status, answer.text())).collect::<Vec<_>>()
    };
    let told = ask(&house, &unknown);
    assert!(told.iter().all(|(_, page)| page.contains(ENDED)));
    assert_eq!(ask(&house, &cookie), told);
    // Whoever has no cookie is told what it was told before.
    assert!(ask(&house, "other=1").iter().all(|(_, page)| !page.contains(ENDED) && page.contains("Log in to see")));
    assert_eq!(post(&house, "other=1", "/accounts", "/accounts").status, 401);
    assert_eq!(back(&post(&house, "other=1", "/accounts", "/accounts").text()), "");
    house.server.terminate();
    house.server.start_again();
    // The name holds the port, which is another one now.
    let value = owner.split_once('=').unwrap().1;
    let owner = format!("data_pusher_{}={value}", house.server.address.port());
    assert_eq!(ask(&house, &owner), told, "a restart ended it");
}

#[test]
fn the_login_page_of_a_session_leads_on_and_a_login_takes_its_place() {
    let house = House::new();
    let viewer = house.session(Role::Viewer, false);
    let page = viewer.get("/login").expect(200).text();
    assert!(
        page.contains("You are logged in.") && page.contains("content=\"0; url=/\"") && page.contains("data-on=\"/\"")
    );
    let stranger = house.client.with_admin_token(None);
    assert!(!stranger.get("/login").expect(200).text().contains("You are logged in."));
    // What is refused closes nothing.
    let log_in = |form: &str, line| {
        let lines = [("cookie", viewer.cookie.as_str()), FORM, line];
        stranger.send("POST", "/login", &lines, Some(form.as_bytes()))
    };
    log_in("token=wrong", SAME_ORIGIN).expect(401);
    let page = log_in("code=wrong", SAME_ORIGIN).expect(401).text();
    assert!(
        page.contains("This link was used already") && page.contains("You are still logged in as viewer."),
        "{page}"
    );
    assert!(page.contains("<a href=\"/\">") && !page.contains("data-on") && !page.contains("http-equiv"), "{page}");
    let unknown = stranger.send("POST", "/login", &[FORM, SAME_ORIGIN], Some(b"code=wrong")).expect(401).text();
    assert!(unknown.contains("This link was used already") && !unknown.contains("still logged in"), "{unknown}");
    let token = format!("token={}", house.server.admin_token().unwrap());
    log_in(&token, ("sec-fetch-site", "cross-site")).problem(403);
    viewer.get("/accounts").expect(200);
    let code = house.server.login_link().split_once('#').unwrap().1.to_owned();
    let owner = cookie(&log_in(&format!("code={code}"), SAME_ORIGIN).expect(303));
    viewer.get("/accounts").expect(401);
    let get = |cookie: &str| stranger.send("GET", "/tokens", &[("cookie", cookie)], None);
    get(&owner).expect(200);
    // By a program too.
    let again = stranger.send(
        "POST",
        "/login",
        &[("cookie", &owner), ("content-type", "application/json")],
        Some(json!({"token": house.server.admin_token()}).to_string().as_bytes()),
    );
    get(&owner).expect(401);
    get(&cookie(&again.expect(204))).expect(200);
}
