//! Every path of the dashboard with every kind of session, for what is its own, for what is another account's, and for
//! what does not exist.

use std::collections::BTreeSet;

use super::{House, Place, Role, Session};
use crate::harness::client::text;
use crate::harness::wire;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// This role.
    The(Role),
    /// An admin who reaches all accounts.
    Server,
}

use Needs::{Nothing, Server, The};
use Role::{Admin, Operator, Viewer};

/// Every method and path, what it asks for, the form that is sent, and the status for who has that. The forms change
/// nothing that another line needs.
pub const EXPECTED: &[(&str, &str, Needs, &str, &[u16])] = &[
    ("GET", "/", The(Viewer), "", &[200]),
    ("GET", "/attention", The(Viewer), "", &[200]),
    ("GET", "/login", Nothing, "", &[200]),
    ("POST", "/login", Nothing, "token=", &[422]),
    ("POST", "/start", Server, "", &[422]),
    ("GET", "/live", The(Viewer), "", &[200]),
    ("GET", "/assets/dashboard.css", Nothing, "", &[200]),
    ("GET", "/assets/dashboard.js", Nothing, "", &[200]),
    ("GET", "/accounts", The(Viewer), "", &[200, 303]),
    ("POST", "/accounts", Server, "", &[422]),
    ("GET", "/accounts/{account_id}", The(Viewer), "", &[200]),
    ("POST", "/accounts/{account_id}", The(Admin), "", &[422]),
    ("POST", "/accounts/{account_id}/delete", The(Admin), "confirm=no", &[422]),
    ("POST", "/accounts/{account_id}/rotate-token", The(Admin), "grace_seconds=3600", &[200]),
    ("POST", "/accounts/{account_id}/destinations", The(Admin), "", &[422]),
    ("POST", "/accounts/{account_id}/send", The(Admin), "document=1", &[303]),
    ("GET", "/destinations/{destination_id}", The(Viewer), "", &[200]),
    ("POST", "/destinations/{destination_id}", The(Admin), "", &[422]),
    ("POST", "/destinations/{destination_id}/delete", The(Admin), "confirm=no", &[422]),
    ("POST", "/destinations/{destination_id}/pause", The(Operator), "", &[303]),
    ("POST", "/destinations/{destination_id}/resume", The(Operator), "", &[303]),
    ("POST", "/destinations/{destination_id}/test", The(Operator), "", &[200]),
    ("POST", "/destinations/{destination_id}/preview", The(Operator), "", &[200]),
    ("POST", "/destinations/{destination_id}/signing-secret", The(Admin), "", &[200]),
    ("POST", "/destinations/{destination_id}/rotate-signing-secret", The(Admin), "", &[200]),
    ("GET", "/deliveries", The(Viewer), "", &[200]),
    ("GET", "/deliveries/replay", The(Operator), "", &[200]),
    ("POST", "/deliveries/replay", The(Operator), "", &[400]),
    ("GET", "/deliveries/{delivery_id}", The(Viewer), "", &[200]),
    ("POST", "/deliveries/{delivery_id}/retry", The(Operator), "", &[303]),
    // Whoever came before may have cancelled it.
    ("POST", "/deliveries/{delivery_id}/cancel", The(Operator), "", &[303, 409]),
    ("GET", "/events/{event_id}", The(Viewer), "", &[200]),
    ("GET", "/events/{event_id}/document", The(Viewer), "", &[200]),
    ("POST", "/events/{event_id}/replay", The(Operator), "", &[303]),
    ("GET", "/tokens", The(Admin), "", &[200]),
    ("POST", "/tokens", The(Admin), "", &[422]),
    ("GET", "/tokens/{token_id}", The(Admin), "", &[200]),
    ("POST", "/tokens/{token_id}/revoke", The(Admin), "", &[303]),
    // Ends the session.
    ("POST", "/logout", Nothing, "", &[303]),
];

impl Needs {
    /// Whether the session has what is asked for.
    pub fn are_met_by(self, session: &Session) -> bool {
        match self {
            Nothing => true,
            The(role) => session.role >= role,
            Server => session.role == Admin && !session.is_scoped,
        }
    }
}

/// What stands for the ids in a path.
struct Ids<'a> {
    account: &'a str,
    destination: &'a str,
    delivery: &'a str,
    event: &'a str,
    token: &'a str,
}

const MISSING: Ids<'_> = Ids {
    account: "acc_none",
    destination: "dst_none",
    delivery: "dlv_0000000000001",
    event: "evt_0000000000001",
    token: "tok_none",
};

impl<'a> Ids<'a> {
    fn of(place: &'a Place, token: &'a str) -> Self {
        let Place { account, active, event, pending, .. } = place;
        Self { account: &account.id, destination: active, delivery: pending, event, token }
    }

    fn put_into(&self, path: &str) -> String {
        path.replace("{account_id}", self.account)
            .replace("{destination_id}", self.destination)
            .replace("{delivery_id}", self.delivery)
            .replace("{event_id}", self.event)
            .replace("{token_id}", self.token)
    }
}

/// Status and body. Of a stream only the head is read.
fn ask(house: &House, cookie: &str, method: &str, path: &str, form: &str) -> (u16, String) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\naccept: text/html\r\nconnection: close\r\n\
         sec-fetch-site: same-origin\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        house.server.address,
        form.len()
    );
    let mut stream = std::io::BufReader::new(wire::open(house.server.address, request.as_bytes()));
    let (first, fields) = wire::read_head(&mut stream).unwrap_or_else(|| panic!("{method} {path}: no answer"));
    let is_stream = fields.get("content-type") == Some("text/event-stream");
    let body = if is_stream { Vec::new() } else { wire::read_body(&mut stream, &fields).unwrap_or_default() };
    (first.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn every_page_and_form_asks_for_its_role_and_reaches_its_account_only() {
    let house = House::new();
    for session in house.sessions() {
        // Revoking uses tokens up.
        let [own, foreign] =
            [&house.own, &house.foreign].map(|place| text(&house.token(Viewer, Some(place)), "token_id"));
        let own = Ids::of(&house.own, &own);
        let foreign = Ids::of(&house.foreign, &foreign);
        for (method, path, needs, form, statuses) in EXPECTED {
            let ask = |ids: &Ids<'_>| ask(&house, &session.cookie, method, &ids.put_into(path), form);
            let what = format!("{method} {path} by {}", session.name);
            if !needs.are_met_by(&session) {
                // Nothing was looked up, or the answers would differ.
                for ids in [&own, &foreign, &MISSING] {
                    let (status, body) = ask(ids);
                    assert_eq!(status, 403, "{what}");
                    let role = match needs {
                        The(role) => role.word(),
                        Server if session.role < Admin => "admin",
                        Server => "one account",
                        Nothing => unreachable!(),
                    };
                    assert!(body.contains("You may not do this") && body.contains(role), "{what}: {body}");
                }
                continue;
            }
            if !path.contains('{') {
                assert!(statuses.contains(&ask(&own).0), "{what}");
                continue;
            }
            let ((missing, lost), (elsewhere, hidden), (here, _)) = (ask(&MISSING), ask(&foreign), ask(&own));
            assert_eq!(missing, 404, "{what} for what does not exist");
            assert!(statuses.contains(&here), "{what}: {here}");
            if session.is_scoped {
                assert_eq!((elsewhere, &hidden), (missing, &lost), "{what} of another account");
            } else {
                assert!(statuses.contains(&elsewhere), "{what} of another account: {elsewhere}");
            }
        }
    }
}

#[test]
fn without_a_session_every_path_is_the_login_form() {
    let house = House::new();
    for (method, path, needs, form, _) in EXPECTED.iter().filter(|(.., needs, _, _)| *needs != Nothing) {
        let bodies = [Ids::of(&house.own, "tok_none"), Ids::of(&house.foreign, "tok_none"), MISSING].map(|ids| {
            let path = ids.put_into(path);
            let (status, body) = ask(&house, "none=1", method, &path, form);
            // The first page is the login form itself.
            assert_eq!(status, if path == "/" { 200 } else { 401 }, "{method} {path}, which needs {needs:?}");
            if path == "/" { body } else { body.replace(&path, "") }
        });
        assert!(
            bodies.iter().all(|body| *body == bodies[0] && body.contains("<form method=\"post\" action=\"/login\""))
        );
    }
}

#[test]
fn a_form_is_refused_before_its_body_has_come() {
    let house = House::new();
    let viewer = house.session(Viewer, false);
    let head = format!(
        "POST /accounts HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nsec-fetch-site: same-origin\r\ncontent-length: 100000\r\n\r\n",
        house.server.address, viewer.cookie
    );
    let mut stream = std::io::BufReader::new(wire::open(house.server.address, head.as_bytes()));
    let (first, _) = wire::read_head(&mut stream).expect("an answer");
    assert!(first.contains(" 403 "), "{first}");
}

/// Methods and paths.
type Paths = BTreeSet<(String, String)>;

/// Reads what the handlers and the list of paths in the source say.
fn paths_of_the_source() -> (Paths, Paths) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard");
    let mut handled = BTreeSet::new();
    for file in ["pages", "."].iter().flat_map(|part| std::fs::read_dir(folder.join(part)).unwrap()) {
        let file = file.unwrap().path();
        let Some("rs") = file.extension().and_then(|name| name.to_str()) else { continue };
        for line in std::fs::read_to_string(file).unwrap().lines().filter(|line| line.contains("#[oai(path = ")) {
            let texts: Vec<&str> = line.split('"').collect();
            let path: Vec<String> = texts[1]
                .split('/')
                .map(|part| part.strip_prefix(':').map_or_else(|| part.to_owned(), |name| format!("{{{name}}}")))
                .collect();
            handled.insert((texts[3].to_uppercase(), path.join("/")));
        }
    }
    let list = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut listed = BTreeSet::new();
    for line in list.lines().map(str::trim).filter(|line| line.starts_with("(\"/")) {
        let path = line.split('"').nth(1).unwrap();
        for (word, method) in [("GET", "GET"), ("POST", "POST"), ("BOTH", "GET"), ("BOTH", "POST")] {
            if line.ends_with(&format!(" {word}),")) {
                listed.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    (handled, listed)
}

#[test]
fn every_path_has_its_line_here() {
    let (handled, listed) = paths_of_the_source();
    let expected: Paths =
        EXPECTED.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(handled, listed, "handlers, and the list of paths");
    assert_eq!(expected, listed, "what is expected here, and the list of paths");
}
