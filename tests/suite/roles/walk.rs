//! Every operation of the served document, by everybody, on what is theirs, on what is another's, and on what is not
//! there.

use std::io::BufReader;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Half, ROLES, SECRET, Token, World};
use crate::harness::{Answer, wait_until, wire};

/// What is known of an operation.
struct Expected {
    /// The least role; `None` where no token is asked for.
    role: Option<&'static str>,
    success: u16,
    /// What a token for one account gets, where that is not the thing itself.
    of_one: Option<u16>,
}

/// An operation that is not here makes the test fail: say who may call it, and what it answers.
fn expected(operation: &str) -> Expected {
    let (role, success) = match operation {
        "getHealth" | "getReadiness" => (None, 200),
        // No token of an account is sent along.
        "sendEvent" => (None, 401),
        "listAccounts" | "getAccount" | "listDestinations" | "getDestination" | "listEvents" | "getEvent"
        | "listDeliveries" | "getDelivery" | "streamDeliveries" | "getStats" | "getMetrics" => (Some("viewer"), 200),
        "pauseDestination" | "resumeDestination" | "testDestination" | "previewDestination" => (Some("operator"), 200),
        // The example is a dry run.
        "replayDestination" => (Some("operator"), 200),
        "replayEvent" | "retryDelivery" | "cancelDelivery" => (Some("operator"), 202),
        "createAccount" | "createDestination" | "createToken" => (Some("admin"), 201),
        "deleteAccount" | "deleteDestination" | "revokeToken" => (Some("admin"), 204),
        "replaceAccount"
        | "updateAccount"
        | "rotateToken"
        | "replaceDestination"
        | "updateDestination"
        | "getSigningSecret"
        | "rotateSigningSecret"
        | "listTokens"
        | "getToken" => (Some("admin"), 200),
        other => panic!("{other} is a new operation"),
    };
    let of_one = match operation {
        "createAccount" => Some(403),
        "getMetrics" => Some(404),
        _ => None,
    };
    Expected { role, success, of_one }
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    Wrong,
    Expired,
    Revoked,
    Owner,
    /// A token for all accounts with this role.
    All(&'static str),
    /// A token for one account with this role.
    One(&'static str),
}

/// What the request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Own,
    Foreign,
    Missing,
}

const TARGETS: [Target; 3] = [Target::Own, Target::Foreign, Target::Missing];

/// One operation of the document.
struct Operation {
    id: String,
    method: String,
    path: String,
    description: Value,
}

impl Operation {
    fn has_id(&self) -> bool {
        self.path.contains('{')
    }

    /// The path, with ids of `half`.
    fn path_of(&self, half: &Half) -> String {
        [
            ("{account_id}", &half.account.id),
            ("{destination_id}", &half.destination),
            ("{event_id}", &half.event),
            ("{delivery_id}", &half.delivery),
            ("{token_id}", &half.token),
        ]
        .iter()
        .fold(self.path.clone(), |path, (name, id)| path.replace(name, id))
    }

    /// The example of the document, with what must be different each time.
    fn body(&self, half: &Half) -> Option<Value> {
        let mut body = self.description.pointer("/requestBody/content/application~1json/example")?.clone();
        let email = match self.id.as_str() {
            "createAccount" => Some(format!("new-{}", half.email)),
            "replaceAccount" => Some(half.email.clone()),
            _ => None,
        };
        if let Some(email) = email {
            body["email"] = email.into();
        }
        Some(body)
    }
}

fn operations(world: &World) -> Vec<Operation> {
    let document = world.owner.get("/openapi.json").expect(200).json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, description) in item.as_object().unwrap() {
            let id = description["operationId"].as_str().unwrap().to_owned();
            let (method, path) = (method.to_uppercase(), path.clone());
            all.push(Operation { id, method, path, description: description.clone() });
        }
    }
    assert!(all.len() > 30, "the document has its operations");
    all
}

/// Ids that nothing has, as long as those that something has.
fn missing(like: &Half) -> Half {
    let other = |id: &str| format!("{}{}", &id[..4], "0".repeat(id.len() - 4));
    let mut account = like.account.clone();
    account.id = other(&account.id);
    Half {
        account,
        email: like.email.clone(),
        destination: other(&like.destination),
        event: other(&like.event),
        delivery: other(&like.delivery),
        token: other(&like.token),
    }
}

fn expect(expected: &Expected, caller: Caller, target: Target) -> u16 {
    let Some(needed) = expected.role else { return expected.success };
    let rank = |role: &str| ROLES.iter().position(|known| *known == role);
    match caller {
        Caller::Nobody | Caller::Wrong | Caller::Expired | Caller::Revoked => 401,
        Caller::All(role) | Caller::One(role) if rank(role) < rank(needed) => 403,
        Caller::One(_) if expected.of_one.is_some() => expected.of_one.unwrap_or_default(),
        Caller::One(_) if target == Target::Foreign => 404,
        _ if target == Target::Missing => 404,
        _ => expected.success,
    }
}

/// Sends the request. Of a stream that opens, only the head is read.
fn call(world: &World, token: Option<&str>, operation: &Operation, half: &Half) -> Answer {
    let path = operation.path_of(half);
    if operation.id == "streamDeliveries" {
        let line = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{line}\r\n", world.server.address);
        let mut stream = BufReader::new(wire::open(world.server.address, request.as_bytes()));
        let (first, headers) = wire::read_head(&mut stream).expect("a head");
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if status == 200 { Vec::new() } else { wire::read_body(&mut stream, &headers).unwrap() };
        return Answer { what: path, status, headers, body };
    }
    let client = world.owner.with_admin_token(token);
    match operation.body(half) {
        Some(body) => client.json(&operation.method, &path, &body),
        None => client.send(&operation.method, &path, &[], None),
    }
}

/// All of an answer but its date, with the id that was asked for left out.
fn comparable(answer: &Answer, half: &Half) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.0.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date")).cloned();
    let ids = [&half.account.id, &half.destination, &half.event, &half.delivery, &half.token];
    let body = ids.iter().fold(answer.text(), |body, id| body.replace(id.as_str(), "ID"));
    (answer.status, headers.collect(), body)
}

/// The text of the caller's token. A token for one account is for that of `half`.
fn token_of(world: &World, caller: Caller, half: &Half) -> String {
    match caller {
        Caller::All(role) => world.token(role, None).text,
        Caller::One(role) => world.token(role, Some(&half.account.id)).text,
        _ => world.server.admin_token().unwrap(),
    }
}

#[test]
fn each_operation_says_which_role_it_needs() {
    let world = World::new();
    for operation in operations(&world) {
        let role = expected(&operation.id).role;
        let said = operation.description.get("x-required-role").and_then(Value::as_str);
        assert_eq!(said, role, "{}", operation.id);
        let words = role.map(|role| format!("Needs a token with the role `{role}`"));
        let description = operation.description["description"].as_str().unwrap();
        assert_eq!(words.is_some_and(|words| description.contains(&words)), role.is_some(), "{description}");
        let lists =
            |status: &str| operation.description["responses"].as_object().is_some_and(|all| all.contains_key(status));
        assert!(role.is_none() || (lists("401") && lists("403")), "{}", operation.id);
    }
}

#[test]
fn every_role_gets_what_it_may_and_nothing_else() {
    let world = World::new();
    let callers = [Caller::Owner].into_iter().chain(ROLES.map(Caller::All)).chain(ROLES.map(Caller::One));
    let (shared, foreign) = (world.half(), world.half());
    let callers: Vec<(Caller, String)> = callers.map(|caller| (caller, token_of(&world, caller, &shared))).collect();
    for operation in operations(&world) {
        let expected = expected(&operation.id);
        for (caller, token) in &callers {
            let mut refused = Vec::new();
            for target in if operation.has_id() { &TARGETS[..] } else { &TARGETS[..1] } {
                let wanted = expect(&expected, *caller, *target);
                // What succeeds may leave nothing behind, so it gets things of its own.
                let fresh = (wanted == expected.success).then(|| world.half());
                let of_fresh = fresh.as_ref().filter(|_| *target == Target::Own);
                let token = of_fresh.map_or(token.clone(), |half| match caller {
                    Caller::One(_) => token_of(&world, *caller, half),
                    _ => token.clone(),
                });
                let about = match target {
                    Target::Missing => missing(&shared),
                    Target::Foreign => fresh.unwrap_or(foreign.clone()),
                    Target::Own => fresh.unwrap_or(shared.clone()),
                };
                let answer = call(&world, Some(&token), &operation, &about);
                let what = format!("{} by {caller:?} on {target:?}: {}", operation.id, answer.text());
                assert_eq!(answer.status, wanted, "{what}");
                if matches!(answer.status, 403 | 404) {
                    let code = answer.problem(wanted)["code"].clone();
                    assert_eq!(code, if wanted == 403 { "forbidden" } else { "not_found" }, "{what}");
                    refused.push((*target, comparable(&answer, &about)));
                }
                if matches!(caller, Caller::All("viewer" | "operator") | Caller::One("viewer" | "operator")) {
                    for secret in [SECRET, "whsec_", "\"app_secret_token\"", "\"token\""] {
                        assert!(!answer.text().contains(secret), "{what} shows {secret}");
                    }
                }
            }
            // What is another's is as if it were not there, and who may not do a thing learns nothing of any.
            for pair in refused.windows(2) {
                let same_status = pair[0].1.0 == pair[1].1.0;
                assert!(!same_status || pair[0].1 == pair[1].1, "{} by {caller:?}: {pair:?}", operation.id);
            }
        }
    }
    // Nothing of all this has touched the other account.
    let untouched = world.owner.delivery(&foreign.delivery);
    assert_eq!((&untouched["state"], &untouched["manual_actions"]), (&"pending".into(), &Value::Array(Vec::new())));
    let page = format!("/v1/accounts/{}/destinations", foreign.account.id);
    assert_eq!(world.owner.all(&page)[0]["destination_id"], foreign.destination.as_str());
    assert!(world.owner.all("/v1/tokens").iter().any(|token| token["token_id"] == foreign.token.as_str()));
}

#[test]
fn who_shows_no_token_that_works_gets_nothing() {
    let world = World::new();
    let (own, operations) = (world.half(), operations(&world));
    let revoked = world.token("admin", None);
    world.owner.delete(&format!("/v1/tokens/{}", revoked.id)).expect(204);
    let expired = world.short_lived("admin", Duration::from_millis(500));
    wait_until("it has expired", || (world.client(&expired).get("/v1/accounts").status == 401).then_some(()));
    let wrong = Token { id: String::new(), text: format!("{}x", revoked.text) };
    let callers = [
        (Caller::Nobody, None),
        (Caller::Wrong, Some(wrong)),
        (Caller::Revoked, Some(revoked)),
        (Caller::Expired, Some(expired)),
    ];
    let absent = missing(&own);
    let jobs = operations.iter().flat_map(|operation| {
        let targets = if operation.has_id() {
            vec![(Target::Own, &own), (Target::Missing, &absent)]
        } else {
            vec![(Target::Own, &own)]
        };
        callers
            .iter()
            .flat_map(move |caller| targets.clone().into_iter().map(move |target| (operation, caller, target)))
    });
    // Each wrong token waits a quarter of a second for its answer; not more than 64 may wait.
    let jobs = Mutex::new(jobs.collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                loop {
                    let Some((operation, (caller, token), (target, half))) = jobs.lock().unwrap().pop() else { return };
                    let answer = call(&world, token.as_ref().map(|token| token.text.as_str()), operation, half);
                    let wanted = expect(&expected(&operation.id), *caller, target);
                    assert_eq!(answer.status, wanted, "{} by {caller:?}: {}", operation.id, answer.text());
                    let says = |part: &str| answer.text().contains(part);
                    if wanted == 401 && operation.id != "sendEvent" {
                        assert_eq!(says("has expired"), *caller == Caller::Expired, "{}", answer.text());
                        assert_eq!(says("is wrong"), matches!(caller, Caller::Wrong | Caller::Revoked));
                    }
                }
            });
        }
    });
    let known: Map<String, Value> =
        world.owner.get(&format!("/v1/accounts/{}", own.account.id)).expect(200).json().as_object().unwrap().clone();
    assert_eq!(known["email"], own.email.as_str(), "nothing has changed");
}
