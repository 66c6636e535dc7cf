//! What the pages offer to each session: all that it may do, and nothing else. Also what they say to it.

use std::collections::{BTreeMap, BTreeSet};

use super::walk::{EXPECTED, Needs};
use super::{FORM, House, ROLES, Role, SAME_ORIGIN, Session, attributes};
use crate::harness::client::text;

/// The page that a session was shown at each address, and the forms that it was offered.
#[derive(Default)]
pub struct Seen {
    pub pages: BTreeMap<String, String>,
    /// Pattern of each form that is sent, and the page that it stands on.
    forms: BTreeMap<&'static str, String>,
}

/// Follows every link from the first page on. Each link must lead to a page.
pub fn crawl(session: &Session) -> Seen {
    let mut seen = Seen::default();
    let mut left: Vec<(String, String)> =
        ["/", "/?guide=1", "/attention", "/accounts?new=1", "/deliveries?state=exhausted"]
            .map(|start| (start.to_owned(), "the start".to_owned()))
            .to_vec();
    while let Some((path, from)) = left.pop() {
        if seen.pages.contains_key(&path) {
            continue;
        }
        let answer = session.get(&path);
        let what = format!("{path} on {from} by {}", session.name);
        let page = match answer.status {
            303 => {
                left.push((answer.header("location").unwrap().to_owned(), path.clone()));
                String::new()
            }
            200 => answer.text(),
            other => panic!("{what} answered {other}: {}", answer.text()),
        };
        for action in posted(&page) {
            seen.forms.insert(pattern("POST", action.split('#').next().unwrap()), path.clone());
        }
        for link in attributes(&page, "href") {
            let link = link.split('#').next().unwrap().to_owned();
            let is_other =
                link.is_empty() || ["data:", "/docs", "/assets/"].iter().any(|other| link.starts_with(other));
            if !is_other {
                left.push((link, path.clone()));
            }
        }
        seen.pages.insert(path, page);
    }
    seen
}

/// Where the forms of a page are sent that are no searches.
fn posted(page: &str) -> Vec<String> {
    let tags = page.split("<form").skip(1).map(|rest| rest.split('>').next().unwrap());
    let forms = tags.filter(|tag| tag.contains("method=\"post\"")).flat_map(|tag| attributes(tag, "action"));
    forms.chain(attributes(page, "formaction")).collect()
}

/// The path of [`EXPECTED`] that an address belongs to.
fn pattern(method: &str, address: &str) -> &'static str {
    let parts: Vec<&str> = address.split('?').next().unwrap().split('/').collect();
    let fits = |pattern: &str| {
        let wanted: Vec<&str> = pattern.split('/').collect();
        wanted.len() == parts.len() && wanted.iter().zip(&parts).all(|(one, part)| one.starts_with('{') || one == part)
    };
    // A path without ids comes before one with.
    let mut found: Vec<&str> =
        EXPECTED.iter().filter(|(known, path, ..)| *known == method && fits(path)).map(|(_, path, ..)| *path).collect();
    found.sort_by_key(|path| path.matches('{').count());
    found.first().unwrap_or_else(|| panic!("no page has {method} {address}"))
}

fn needs(method: &str, path: &str) -> Needs {
    EXPECTED.iter().find(|(known, one, ..)| *known == method && *one == path).unwrap().2
}

#[test]
fn each_session_is_offered_what_it_may_do_and_nothing_else() {
    let house = House::new();
    // So that there is one to revoke, also for a session of this account.
    house.token(Role::Viewer, Some(&house.own));
    // Nobody is offered these after the first steps, or once logged in.
    let elsewhere = ["/login", "/start"];
    for session in house.sessions() {
        let seen = crawl(&session);
        for address in seen.pages.keys() {
            let path = pattern("GET", address);
            assert!(needs("GET", path).are_met_by(&session), "{address} is offered to {}", session.name);
        }
        let allowed: BTreeSet<&str> = EXPECTED
            .iter()
            .filter(|(method, path, needs, ..)| {
                *method == "POST" && needs.are_met_by(&session) && !elsewhere.contains(path)
            })
            .map(|(_, path, ..)| *path)
            .collect();
        let offered: BTreeSet<&str> = seen.forms.keys().copied().collect();
        assert_eq!(offered, allowed, "forms for {}: {:?}", session.name, seen.forms);
        let visited: BTreeSet<&str> = seen.pages.keys().map(|address| pattern("GET", address)).collect();
        for (_, path, needs, ..) in EXPECTED.iter().filter(|(method, ..)| *method == "GET") {
            let is_no_page = *path == "/login" || *path == "/live" || path.starts_with("/assets/");
            assert!(
                is_no_page || visited.contains(path) == needs.are_met_by(&session),
                "{path} for {}: {visited:?}",
                session.name
            );
        }
    }
}

#[test]
fn the_pages_say_who_is_logged_in() {
    let house = House::new();
    for (session, who) in [
        (house.session(Role::Viewer, false), "Logged in as viewer<".to_owned()),
        (house.session(Role::Operator, true), format!("Logged in as operator of account {}<", house.own.account.id)),
        (house.owner(), "Logged in as admin<".to_owned()),
    ] {
        for path in ["/", "/deliveries", "/accounts/own-canary"] {
            let page = session.get(path).expect(200).text();
            assert!(page.contains(&who) && page.contains("action=\"/logout\""), "{path} by {}: {page}", session.name);
        }
        let refused = session.post("/tokens/tok_none/revoke", "");
        assert!(refused.text().contains(&who) || refused.status == 404, "{}", session.name);
    }
}

#[test]
fn who_may_not_change_settings_reads_them() {
    let house = House::new();
    for role in ROLES {
        let session = house.session(role, true);
        let page = session.get(&format!("/destinations/{}", house.own.active)).expect(200).text();
        let texts = ["data.name != &#39;not own-canary&#39;", "own-canary.*", "X-own-canary: own-canary", "number=1"];
        for text in texts {
            assert!(page.contains(text), "{text} for {}: {page}", session.name);
        }
        assert_eq!(page.contains("name=\"filter\""), role == Role::Admin);
        assert_eq!(page.contains("name=\"preview_document\""), role >= Role::Operator);
        let account = session.get("/accounts/own-canary").expect(200).text();
        assert!(account.contains("own-canary@example.com") && account.contains("https://own-canary.example.com/"));
        assert_eq!(account.contains("name=\"website\""), role == Role::Admin);
    }
}

#[test]
fn an_operator_previews_what_is_saved() {
    let house = House::new();
    let operator = house.session(Role::Operator, true);
    let path = format!("/destinations/{}/preview", house.own.active);
    // What is typed into fields that the page does not have changes nothing.
    let page = operator.post(&path, "body_template=%22other%22&url=http%3A%2F%2Fexample.com").expect(200).text();
    assert!(page.contains("The event comes here, and this is sent:") && page.contains("own-canary"), "{page}");
    assert!(!page.contains("http://example.com") && !page.contains("own-secret"), "{page}");
}

#[test]
fn a_token_is_made_shown_once_and_revoked_with_its_sessions() {
    let house = House::new();
    for admin in [house.owner(), house.session(Role::Admin, true)] {
        let page = admin.post("/tokens", "name=++&role=king&account_id=nobody&lifetime=5x").expect(422).text();
        assert!(page.contains("Must be filled in.") && page.contains("Must be one of viewer"), "{page}");
        let page = admin.post("/tokens", "name=Night+shift&role=viewer&lifetime=30d").expect(200).text();
        let token = page.split("<pre id=\"token\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        let list = admin.get("/tokens").expect(200).text();
        assert!(list.contains("Night shift") && list.contains(&token[token.len() - 4..]) && !list.contains(token));
        let viewer = house.log_in(token, Role::Viewer, admin.is_scoped, "viewer".to_owned());
        viewer.get("/deliveries").expect(200);
        assert_eq!(viewer.get(&format!("/accounts/{}", house.foreign.account.id)).status == 404, admin.is_scoped);
        let tokens = house.client.all("/v1/tokens");
        let id = text(tokens.iter().rev().find(|one| one["name"] == "Night shift").unwrap(), "token_id");
        let asks = admin.get(&format!("/tokens/{id}")).expect(200).text();
        assert!(asks.contains("Revoke the token Night shift?"), "{asks}");
        let done = admin.post(&format!("/tokens/{id}/revoke"), "").expect(303);
        assert_eq!(done.header("location"), Some("/tokens?done=token-revoked#main"));
        viewer.get("/deliveries").expect(401);
        let (stranger, form) = (house.client.with_admin_token(None), format!("token={token}"));
        stranger.send("POST", "/login", &[FORM, SAME_ORIGIN], Some(form.as_bytes())).expect(401);
        house.client.delete(&format!("/v1/tokens/{id}")).problem(404);
    }
}

#[test]
fn whoever_reaches_one_account_cannot_reach_another_by_a_form_of_its_own() {
    let house = House::new();
    let admin = house.session(Role::Admin, true);
    let account = house.client.get("/v1/accounts/own-canary").expect(200).json();
    let updated_at = text(&account, "updated_at");
    let form = |email: &str| {
        url_encoded(&[("email", email), ("account_name", "New"), ("website", ""), ("updated_at", &updated_at)])
    };
    // Whether an address is taken would tell of other accounts.
    for email in ["foreign-canary@example.com", "free@example.com"] {
        let page = admin.post("/accounts/own-canary", &form(email)).expect(422).text();
        assert!(page.contains("cannot change"), "{page}");
    }
    admin.post("/accounts/own-canary", &form("own-canary@example.com")).expect(303);
    let page = admin.post("/tokens", "name=x&role=admin&account_id=foreign-canary").expect(422).text();
    let nobody = admin.post("/tokens", "name=x&role=admin&account_id=nobody").expect(422).text();
    // Behind it come times of last uses.
    let form = |page: &str| page.split("<div class=\"card list\">").next().unwrap().to_owned();
    assert_eq!(form(&page).replace("foreign-canary", ""), form(&nobody).replace("nobody", ""));
}

fn url_encoded(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect()
    };
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}
