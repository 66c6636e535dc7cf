//! Nothing that a token for one account gets tells anything of another account: no list, count, stream, cursor or error.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ROLES, World};
use crate::harness::client::{NewAccount, text};
use crate::harness::{Answer, Behaviour, Client};

/// Stands in every field of the other account.
const CANARY: &str = "canary";

/// Events of the account with the token. A destination that fails gets few attempts at once, so more would take long.
const TURNS: usize = 3;

/// Two accounts, whose events come in turns.
struct Case {
    world: World,
    own: NewAccount,
    own_destination: String,
    own_event: String,
    foreign: NewAccount,
    foreign_destination: String,
    foreign_event: String,
    foreign_delivery: String,
    foreign_token: String,
}

fn destination(world: &World, account: &NewAccount, path: &str, more: Value) -> String {
    let mut body = json!({"url": world.receiver.url(path), "http_method": "POST", "headers": {}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/v1/accounts/{}/destinations", account.id);
    text(&world.owner.post(&path, &body).expect(201).json(), "destination_id")
}

impl Case {
    fn new() -> Self {
        let world = World::new();
        world.receiver.on("/own", Behaviour::status(500));
        world.receiver.on("/canary", Behaviour::status(500));
        let own = world.owner.create_account("own");
        let canary = json!({
            "email": "canary@example.com", "account_name": "canary", "website": "https://canary.example",
            "account_id": "canary-account",
        });
        let made = world.owner.post("/v1/accounts", &canary).expect(201).json();
        let foreign = NewAccount { id: text(&made, "account_id"), token: text(&made, "app_secret_token") };
        let own_destination = destination(&world, &own, "/own", json!({}));
        let more = json!({
            "headers": {"X-Canary": "canary", "Authorization": "canary"}, "body_template": "{\"canary\": {{ data.n }}}",
            "header_templates": {"X-Made": "canary"}, "filter": "data.n != 'canary'",
        });
        let foreign_destination = destination(&world, &foreign, "/canary", more);
        let push = |account: &NewAccount, kind: &str, body: String| {
            world.owner.push_with(&account.token, &[("event-type", kind)], body.as_bytes()).expect(202).json()
        };
        let (mut of_own, mut of_foreign, mut deliveries) = (Value::Null, Value::Null, Vec::new());
        for number in 0..TURNS {
            for _ in 0..3 {
                of_foreign = push(&foreign, "shared", format!(r#"{{"n":"canary-{number}"}}"#));
            }
            of_own = push(&own, "shared", format!(r#"{{"n":{number}}}"#));
            deliveries.push(text(&of_own["deliveries"][0], "delivery_id"));
        }
        push(&foreign, "canary.type", r#"{"n":"canary"}"#.to_owned());
        for delivery in &deliveries {
            world.owner.wait_for_attempts(delivery, 1);
        }
        world.receiver.wait_for("/canary", 1);
        let token = json!({"name": "canary", "role": "viewer", "account_id": foreign.id});
        let foreign_token = text(&world.owner.post("/v1/tokens", &token).expect(201).json(), "token_id");
        Self {
            own,
            own_destination,
            own_event: text(&of_own, "event_id"),
            foreign,
            foreign_destination,
            foreign_event: text(&of_foreign, "event_id"),
            foreign_delivery: text(&of_foreign["deliveries"][0], "delivery_id"),
            foreign_token,
            world,
        }
    }

    fn client(&self, role: &str) -> Client {
        self.world.client(&self.world.token(role, Some(&self.own.id)))
    }

    #[track_caller]
    fn tells_nothing(&self, answer: &Answer) {
        let told = format!("{} {:?}", answer.text(), answer.headers);
        let ids = [&self.foreign_destination, &self.foreign_event, &self.foreign_delivery, &self.foreign_token];
        for canary in ids.into_iter().map(String::as_str).chain([CANARY]) {
            assert!(!told.contains(canary), "{} tells {canary}: {told}", answer.what);
        }
    }
}

/// The cursor behind a delivery or an event.
fn cursor(id: &str) -> String {
    let digit = |c| "0123456789abcdefghjkmnpqrstvwxyz".find(c).unwrap() as i64;
    format!("c1-{:016x}", id[4..].chars().fold(0, |number, c| number << 5 | digit(c)))
}

#[test]
fn no_answer_tells_of_another_account() {
    let case = Case::new();
    let (own, foreign) = (&case.own.id, &case.foreign.id);
    let lists = [
        "/v1/accounts".to_owned(),
        "/v1/accounts?limit=1".to_owned(),
        "/v1/accounts?email=canary@example.com".to_owned(),
        "/v1/accounts?cursor=c1-0000000000000000".to_owned(),
        format!("/v1/accounts/{own}"),
        format!("/v1/accounts/{own}/destinations"),
        format!("/v1/accounts/{own}/destinations?cursor=c1-0000000000000000"),
        format!("/v1/accounts/{own}/events"),
        format!("/v1/accounts/{own}/events?event_type=shared"),
        format!("/v1/accounts/{own}/events?event_type=canary.type"),
        format!("/v1/accounts/{own}/events?cursor={}", cursor(&case.foreign_event)),
        "/v1/deliveries".to_owned(),
        "/v1/deliveries?event_type=canary.type".to_owned(),
        "/v1/deliveries?event_type=shared&limit=1".to_owned(),
        "/v1/deliveries?state=pending&status_code=500".to_owned(),
        "/v1/deliveries?since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z".to_owned(),
        format!("/v1/deliveries?account_id={foreign}"),
        format!("/v1/deliveries?destination_id={}", case.foreign_destination),
        format!("/v1/deliveries?event_id={}", case.foreign_event),
        format!("/v1/deliveries?cursor={}", cursor(&case.foreign_delivery)),
        "/v1/stats".to_owned(),
        format!("/v1/stats?account_id={foreign}"),
        format!("/v1/stats?destination_id={}", case.foreign_destination),
        format!("/v1/deliveries/stream?account_id={foreign}"),
        format!("/v1/deliveries/stream?destination_id={}", case.foreign_destination),
        "/v1/tokens".to_owned(),
        "/v1/tokens?cursor=c1-0000000000000000".to_owned(),
        "/metrics".to_owned(),
        format!("/v1/events/{}", case.own_event),
        format!("/v1/events/{}", case.foreign_event),
        format!("/v1/deliveries/{}", case.foreign_delivery),
    ];
    for role in ROLES {
        let client = case.client(role);
        for path in &lists {
            case.tells_nothing(&client.get(path));
        }
        let preview = format!("/v1/destinations/{}/preview", case.own_destination);
        for (method, path, body) in [
            ("POST", preview.clone(), json!({"event_id": case.foreign_event})),
            ("POST", preview, json!({"last": 1000})),
            ("POST", "/v1/accounts".to_owned(), json!({"email": "canary@example.com", "account_name": "x"})),
            ("POST", "/v1/tokens".to_owned(), json!({"name": "x", "role": "viewer", "account_id": foreign})),
            ("PATCH", format!("/v1/accounts/{own}"), json!({"email": "canary@example.com"})),
            ("PATCH", format!("/v1/accounts/{foreign}"), json!({"account_name": "x"})),
            ("POST", format!("/v1/accounts/{foreign}/rotate-token"), json!({})),
            ("POST", format!("/v1/deliveries/{}/retry", case.foreign_delivery), json!({})),
        ] {
            case.tells_nothing(&client.json(method, &path, &body));
        }
    }
}

#[test]
fn a_filter_with_anothers_id_is_like_one_with_an_id_of_nothing() {
    let case = Case::new();
    let client = case.client("admin");
    for (path, foreign, missing) in [
        ("/v1/deliveries?account_id=", case.foreign.id.as_str(), "nothing-account"),
        ("/v1/deliveries?destination_id=", &case.foreign_destination, "dst_0000000000000000000000"),
        ("/v1/deliveries?event_id=", &case.foreign_event, "evt_0000000000000"),
        ("/v1/stats?account_id=", &case.foreign.id, "nothing-account"),
        ("/v1/stats?destination_id=", &case.foreign_destination, "dst_0000000000000000000000"),
        ("/v1/deliveries/stream?account_id=", &case.foreign.id, "nothing-account"),
        ("/v1/deliveries/stream?destination_id=", &case.foreign_destination, "dst_0000000000000000000000"),
        ("/v1/accounts?email=", "canary@example.com", "nobody@example.com"),
    ] {
        let [one, other] = [foreign, missing].map(|id| client.get(&format!("{path}{id}")));
        assert_eq!((one.status, one.text()), (other.status, other.text()), "{path}");
    }
    let email = |address: &str| client.patch(&format!("/v1/accounts/{}", case.own.id), &json!({"email": address}));
    let (taken, free) = (email("canary@example.com"), email("free@example.com"));
    assert_eq!((taken.problem(403), taken.text()), (free.problem(403), free.text()));
    // Its own address may be written otherwise.
    assert_eq!(email("OWN@example.com").expect(200).json()["email"], "OWN@example.com");
    let token =
        |account: &str| client.post("/v1/tokens", &json!({"name": "x", "role": "viewer", "account_id": account}));
    let (foreign, missing) = (token(&case.foreign.id), token("nothing-account"));
    assert_eq!((foreign.faults(), foreign.text()), (vec!["account_id".to_owned()], missing.text()));
}

#[test]
fn pages_are_as_full_and_cursors_the_same_as_without_the_others() {
    let case = Case::new();
    let (client, owner) = (case.client("viewer"), &case.world.owner);
    let events = format!("/v1/accounts/{}/events", case.own.id);
    let own_events: BTreeSet<String> = owner.all(&events).iter().map(|one| cursor(&text(one, "event_id"))).collect();
    let deliveries = owner.all(&format!("/v1/deliveries?account_id={}", case.own.id));
    let own_deliveries: BTreeSet<String> = deliveries.iter().map(|one| cursor(&text(one, "delivery_id"))).collect();
    for (list, own) in [
        (format!("{events}?event_type=shared"), &own_events),
        (format!("{events}?"), &own_events),
        ("/v1/deliveries?event_type=shared".to_owned(), &own_deliveries),
        ("/v1/deliveries?status_code=500".to_owned(), &own_deliveries),
        ("/v1/deliveries?state=pending".to_owned(), &own_deliveries),
        ("/v1/deliveries?".to_owned(), &own_deliveries),
    ] {
        let (mut pages, mut next) = (0, Some(String::new()));
        while let Some(from) = next {
            let page = client.get(&format!("{list}&limit=1{from}")).expect(200).json();
            next = page["next_cursor"].as_str().map(|cursor| format!("&cursor={cursor}"));
            if let Some(cursor) = page["next_cursor"].as_str() {
                assert!(own.contains(cursor), "{list}: {cursor} is none of its own");
            }
            if next.is_some() || page["items"].as_array().is_some_and(|items| !items.is_empty()) {
                assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{list}: {page}");
                pages += 1;
            }
        }
        assert_eq!(pages, TURNS, "{list}");
    }
}

#[test]
fn cursors_do_not_count_what_others_have() {
    let case = Case::new();
    let admin = case.client("admin");
    let own: Vec<String> = (0..4)
        .map(|_| {
            destination(&case.world, &case.foreign, "/canary", json!({}));
            destination(&case.world, &case.own, "/own", json!({}))
        })
        .collect();
    for list in [format!("/v1/accounts/{}/destinations", case.own.id), "/v1/tokens".to_owned()] {
        let (mut seen, mut next) = (Vec::new(), Some(String::new()));
        while let Some(from) = next {
            admin.post("/v1/tokens", &json!({"name": "x", "role": "viewer"})).expect(201);
            let page = admin.get(&format!("{list}?limit=1{from}")).expect(200).json();
            seen.extend(page["items"].as_array().unwrap().iter().cloned());
            let last = seen.last().unwrap();
            next = page["next_cursor"].as_str().map(|cursor| {
                let made: jiff::Timestamp = last["created_at"].as_str().unwrap().parse().unwrap();
                let place = i64::from_str_radix(&cursor[3..], 16).unwrap();
                assert_eq!(place >> 10, made.as_millisecond(), "{list}: a cursor is made of what is seen anyway");
                assert!((1..=5).contains(&(place & 1023)), "{list}");
                format!("&cursor={cursor}")
            });
            if seen.len() > 8 {
                break;
            }
        }
        let wanted: Vec<String> = [std::slice::from_ref(&case.own_destination), &own].concat();
        if list != "/v1/tokens" {
            let seen: Vec<String> = seen.iter().map(|one| text(one, "destination_id")).collect();
            assert_eq!(seen, wanted);
        }
    }
}

#[test]
fn statistics_count_only_its_own() {
    let case = Case::new();
    let client = case.client("viewer");
    let sums = |client: &Client, query: &str| {
        let buckets =
            client.get(&format!("/v1/stats?since=2020-01-01T00:00:00Z&bucket=365d{query}")).expect(200).json();
        let mut sums = BTreeMap::new();
        for bucket in buckets["buckets"].as_array().expect("buckets") {
            for (name, count) in bucket.as_object().unwrap().iter().filter(|(_, count)| count.is_u64()) {
                *sums.entry(name.clone()).or_insert(0) += count.as_u64().unwrap();
            }
        }
        sums
    };
    let (own, turns) = (sums(&client, ""), TURNS as u64);
    assert_eq!(own, sums(&case.world.owner, &format!("&account_id={}", case.own.id)));
    assert!(own.values().any(|count| *count == turns) && own.values().all(|count| *count <= turns), "{own:?}");
}

#[test]
fn a_stream_carries_only_its_own() {
    let case = Case::new();
    let token = case.world.token("viewer", Some(&case.own.id));
    let mut stream = case.world.follow("authorization", &format!("Bearer {}", token.text));
    let another = destination(&case.world, &case.own, "/later", json!({}));
    for number in 0..20 {
        case.world.owner.push(&case.foreign, format!(r#"{{"n":"canary {number}"}}"#));
    }
    case.world.owner.push(&case.own, "1");
    let mut seen = String::new();
    while !(seen.contains(&another) && seen.contains("\"succeeded\"")) {
        seen += &stream.line().expect("it goes on");
    }
    assert!(!seen.contains(CANARY) && !seen.contains(&case.foreign_destination) && !seen.contains("skipped"), "{seen}");
}

#[test]
fn a_replay_reaches_only_its_own() {
    let case = Case::new();
    let client = case.client("operator");
    let before = case.world.owner.delivery(&case.foreign_delivery);
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    client.post(&format!("/v1/destinations/{}/replay", case.own_destination), &since).expect(202);
    client.post(&format!("/v1/destinations/{}/replay", case.foreign_destination), &since).problem(404);
    for action in ["retry", "cancel"] {
        client.send("POST", &format!("/v1/deliveries/{}/{action}", case.foreign_delivery), &[], None).problem(404);
    }
    client.send("POST", &format!("/v1/events/{}/replay", case.foreign_event), &[], None).problem(404);
    assert_eq!(case.world.owner.delivery(&case.foreign_delivery)["manual_actions"], before["manual_actions"]);
}
