//! What the pages say of tokens with a role: which ones end soon, and which ones end with an account.

use serde_json::json;

use super::{House, Role};

/// Makes a token, for `account` alone if it is given, that expires after so many hours if that is given.
fn make(house: &House, name: &str, account: Option<&str>, hours: Option<i64>) {
    let mut body = json!({"name": name, "role": "viewer"});
    if let Some(account) = account {
        body["account_id"] = json!(account);
    }
    if let Some(hours) = hours {
        let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        body["expires_at"] = json!(expires.to_string());
    }
    house.client.post("/v1/tokens", &body).expect(201);
}

/// The names in the list, in their order.
fn names(page: &str) -> Vec<&str> {
    page.split("data-label=\"Name\">").skip(1).map(|rest| rest.split('<').next().unwrap()).collect()
}

#[test]
fn tokens_that_expire_within_a_week_stand_first_and_say_so() {
    let house = House::new();
    make(&house, "lasting", None, None);
    make(&house, "next month", None, Some(24 * 30));
    make(&house, "this week", None, Some(24 * 3 + 1));
    make(&house, "today", None, Some(5));
    let page = house.owner().get("/tokens").expect(200).text();
    assert_eq!(names(&page), ["today", "this week", "lasting", "next month"]);
    assert!(page.contains("expires in 4 hours</span>") && page.contains("expires in 3 days</span>"), "{page}");
    assert_eq!(page.matches("expires in ").count(), 2);
    assert!(!page.contains("Ends in") && page.contains("data-label=\"Last 4 characters\"><code>\u{2026}"));
    assert!(!page.contains("action=\"/tokens\" role=\"search\""), "one page needs no search");
}

#[test]
fn many_tokens_are_searched_by_name() {
    let house = House::new();
    for number in 0..50 {
        make(&house, &format!("many {number}"), None, None);
    }
    make(&house, "The one", None, Some(1));
    let owner = house.owner();
    let first = owner.get("/tokens").expect(200).text();
    assert!(first.contains("action=\"/tokens\" role=\"search\"") && first.contains("More tokens"));
    assert_eq!((names(&first)[0], names(&first).len()), ("The one", 51));
    assert_eq!(names(&owner.get("/tokens?q=the+ONE").expect(200).text()), ["The one"]);
    assert_eq!(names(&owner.get("/tokens?q=many+4").expect(200).text()).len(), 11);
    let none = owner.get("/tokens?q=%3Cnone%3E").expect(200).text();
    assert!(names(&none).is_empty() && none.contains("No token has") && !none.contains("<none>"), "{none}");
    // Whoever reaches one account finds only its tokens.
    let scoped = house.session(Role::Admin, true);
    assert_eq!(names(&scoped.get("/tokens?q=").expect(200).text()), ["own-canary admin"]);
    assert!(names(&scoped.get("/tokens?q=many").expect(200).text()).is_empty());
}

#[test]
fn a_token_that_expires_soon_stands_on_the_first_page_alone() {
    let house = House::new();
    for number in 0..50 {
        make(&house, &format!("many {number}"), None, None);
    }
    make(&house, "soon", None, Some(1));
    make(&house, "lasting", None, None);
    let owner = house.owner();
    let pages = || {
        let first = owner.get("/tokens").expect(200).text();
        let next = super::attributes(&first, "href").into_iter().find(|address| address.contains("cursor="));
        (first, owner.get(&next.expect("a second page")).expect(200).text())
    };
    let (first, second) = pages();
    assert_eq!((names(&first)[0], names(&first).len()), ("soon", 51));
    assert_eq!(names(&second), ["lasting"]);
    // What is left of a page may be nothing.
    let tokens = house.client.get("/v1/tokens?limit=100").expect(200).json();
    let lasting = tokens["items"].as_array().unwrap().iter().find(|token| token["name"] == "lasting").unwrap();
    house.client.delete(&format!("/v1/tokens/{}", lasting["token_id"].as_str().unwrap())).expect(204);
    let (_, second) = pages();
    assert!(
        names(&second).is_empty() && second.contains("stand on <a href=\"/tokens\">the first page</a>"),
        "{second}"
    );
}

#[test]
fn the_page_that_deletes_an_account_says_how_many_tokens_end_with_it() {
    let house = House::new();
    let (own, owner) = (house.own.account.id.as_str(), house.owner());
    let page = || owner.get(&format!("/accounts/{own}")).expect(200).text();
    make(&house, "of all", None, None);
    make(&house, "foreign", Some(&house.foreign.account.id), None);
    assert!(page().contains("Delete this account") && !page().contains("with a role that"));
    make(&house, "first", Some(own), None);
    assert!(page().contains("The one token with a role that is for this account alone stops working too."));
    make(&house, "second", Some(own), None);
    assert!(page().contains("The 2 tokens with a role that are for this account alone stop working too."));
}
