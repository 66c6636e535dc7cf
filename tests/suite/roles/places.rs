//! How many streams and live pages callers of one account may hold open.

use ureq::http::{Request, Response};

use super::{Half, World};
use crate::harness::DEADLINE;
use crate::sessions::cookie;

const STREAM: &str = "/v1/deliveries/stream";
const OF_ACCOUNT: usize = 8;
const ALL_STREAMS: usize = 64;

impl World {
    /// Opens a stream for somebody with this header. It is open until it is dropped.
    #[track_caller]
    fn open(&self, path: &str, (name, value): (&str, &str)) -> Response<ureq::Body> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).http_status_as_error(false).build().into();
        let url = format!("http://{}{path}", self.server.address);
        let response = agent.run(Request::get(url).header(name, value).body(()).unwrap()).expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        response
    }

    fn viewer(&self, of: Option<&Half>) -> String {
        self.token("viewer", of.map(|half| half.account.id.as_str())).text
    }

    /// Why there is no further stream for a token.
    #[track_caller]
    fn refused(&self, path: &str, header: (&str, &str)) -> String {
        let answer = self.owner.with_admin_token(None).send("GET", path, &[header], None);
        assert_eq!(answer.header("retry-after"), Some("1"));
        let problem = answer.problem(503);
        assert_eq!(problem["code"], "too_many_streams");
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn an_account_takes_its_own_places_only() {
    let world = World::new();
    let (own, other) = (world.half(), world.half());
    let [one, another] = [(); 2].map(|()| bearer(&world.viewer(Some(&own))));
    let _open: Vec<_> = (0..OF_ACCOUNT).map(|_| world.open(STREAM, ("authorization", &one))).collect();
    // The bound belongs to the account, not to a token.
    for token in [&one, &another] {
        let told = world.refused(STREAM, ("authorization", token));
        assert!(told.starts_with("8 streams of deliveries are open already with tokens of this account"), "{told}");
    }
    let foreign = bearer(&world.viewer(Some(&other)));
    let _of_others = [foreign, bearer(&world.viewer(None))].map(|token| world.open(STREAM, ("authorization", &token)));
}

#[test]
fn all_accounts_together_leave_a_quarter_to_whoever_reaches_all() {
    let world = World::new();
    let mut open = Vec::new();
    for _ in 0..ALL_STREAMS * 3 / 4 / OF_ACCOUNT {
        let token = bearer(&world.viewer(Some(&world.half())));
        open.extend((0..OF_ACCOUNT).map(|_| world.open(STREAM, ("authorization", &token))));
    }
    let told = world.refused(STREAM, ("authorization", &bearer(&world.viewer(Some(&world.half())))));
    assert!(told.starts_with("The server has no place for more streams of deliveries"), "{told}");
    let owner = bearer(&world.server.admin_token().unwrap());
    open.extend((open.len()..ALL_STREAMS).map(|_| world.open(STREAM, ("authorization", &owner))));
    let told = world.refused(STREAM, ("authorization", &owner));
    assert!(told.starts_with("64 streams of deliveries are open already on this server"), "{told}");
}

#[test]
fn live_pages_of_an_account_have_their_own_bound() {
    let world = World::new();
    let login = |token: &str| {
        let client = world.owner.with_admin_token(None);
        cookie(&client.post("/login", &serde_json::json!({ "token": token })).expect(204))
    };
    let session = login(&world.viewer(Some(&world.half())));
    let _open: Vec<_> = (0..32).map(|_| world.open("/live", ("cookie", &session))).collect();
    let answer = world.owner.with_admin_token(None).send("GET", "/live", &[("cookie", &session)], None);
    let told = answer.expect(503).text();
    assert!(told.contains("32 live pages are open already with tokens of this account; close one first."), "{told}");
    let owner = login(&world.server.admin_token().unwrap());
    let _of_owner = world.open("/live", ("cookie", &owner));
}
