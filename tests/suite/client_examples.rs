//! The examples in Python and TypeScript: tours by generated clients, and receivers that verify signatures with the
//! public `standardwebhooks` libraries. Ignored by default, because their packages must be installed first; `.ci/run`
//! runs them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::examples::Ends;
use crate::harness::client::text;
use crate::harness::{Client, Receiver, Setup};

/// A language of the examples.
#[derive(Clone, Copy)]
enum Language {
    Python,
    TypeScript,
}

impl Language {
    /// The command that runs the example `name`. `setup` or `npm run build` must have run before.
    fn command(self, name: &str) -> Command {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let (program, script, hint): (PathBuf, PathBuf, &str) = match self {
            Self::Python => {
                let folder = examples.join("python");
                (folder.join(".venv/bin/python"), folder.join(name).with_extension("py"), "run examples/python/setup")
            }
            Self::TypeScript => {
                let script = examples.join("typescript/dist").join(name).with_extension("js");
                ("node".into(), script, "run `npm ci && npm run build` in examples/typescript")
            }
        };
        assert!(
            script.exists() && (program.is_relative() || program.exists()),
            "{} is missing: {hint}",
            script.display()
        );
        let mut command = Command::new(program);
        command.arg(script);
        command
    }

    /// Starts the receiver on a free port.
    fn receiver(self, secret: &str) -> (Ends, SocketAddr) {
        let mut command = self.command("receiver");
        match self {
            Self::Python => command.args(["--port", "0"]),
            Self::TypeScript => command.arg("0"),
        };
        let mut child = command.env("WEBHOOK_SECRET", secret).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ends = Ends(child);
        let first = lines.next().expect("a first line").unwrap();
        // The other lines are read, so that the receiver is never blocked by a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        (ends, first.split("http://").nth(1).expect("its address").parse().unwrap())
    }
}

fn a_tour_pushes_and_shows_the_delivery(language: Language, source: &str) {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    let output = language
        .command("tour")
        .env("SERVER", format!("http://{}", server.address))
        .env("RECEIVER", receiver.url(""))
        .env_remove("ADMIN_TOKEN")
        .output()
        .expect("it starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let requests = receiver.requests_to("/crm");
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.headers.get("x-source"), Some(source));
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&request.body).unwrap(),
        json!({"order": 1001, "items": ["tea", "cups"]})
    );
    for line in [format!("event {}", request.headers.get("webhook-id").unwrap()), "problem 404 not_found".to_owned()] {
        assert!(stdout.lines().any(|shown| shown == line), "{line} is not in\n{stdout}");
    }
    assert!(stdout.lines().any(|line| line.starts_with("delivery ") && line.ends_with(" succeeded")), "{stdout}");
}

/// Pushes `body`, waits for its one delivery, and returns the status that the destination answered.
fn status_of(client: &Client, account: &crate::harness::client::NewAccount, body: &str) -> u64 {
    let delivery = client.push_one(account, body);
    client.wait_for_attempts(&delivery, 1)["status_code"].as_u64().expect("a status")
}

/// A receiver that refuses a signature answers 401; one that verifies it answers 204.
fn the_library_verifies_what_was_sent_and_nothing_else(language: Language) {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let destination = client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
    let path = format!("/v1/destinations/{destination}");
    let change = |body| drop(client.patch(&path, &body).expect(200));
    let old = text(&client.get(&format!("{path}/signing-secret")).expect(200).json(), "signing_secret");
    let (_first, knows_old) = language.receiver(&old);

    // A body, byte for byte, and a query.
    change(json!({"url": format!("http://{knows_old}/in?k=v")}));
    for body in ["{\"a\": 1.0}", " [] ", "\"\u{1f600}\""] {
        assert_eq!(status_of(&client, &account, body), 204, "{body}");
    }
    change(json!({"http_method": "GET"}));
    assert_eq!(status_of(&client, &account, "{\"a\": \"x y?&\", \"b\": [1, 2.50], \"c\": \"\u{e4}\"}"), 204);
    change(json!({"http_method": "POST"}));

    // During the overlap of a rotation, the old and the new secret both verify.
    let new = client.post(&format!("{path}/rotate-signing-secret"), &json!({})).expect(200).json();
    let (_second, knows_new) = language.receiver(&text(&new, "signing_secret"));
    for address in [knows_old, knows_new] {
        change(json!({"url": format!("http://{address}/")}));
        assert_eq!(status_of(&client, &account, "{}"), 204);
    }

    // The secret of another destination does not verify.
    let stranger = client.create_destination(&account, "http://127.0.0.1:9/", "POST", json!({}));
    let secret = client.get(&format!("/v1/destinations/{stranger}/signing-secret")).expect(200).json();
    client.delete(&format!("/v1/destinations/{stranger}")).expect(204);
    let (_third, knows_another) = language.receiver(&text(&secret, "signing_secret"));
    change(json!({"url": format!("http://{knows_another}/")}));
    assert_eq!(status_of(&client, &account, "{}"), 401);

    // The same request verifies again without a change, and fails if one digit is changed.
    let eavesdropper = Receiver::start();
    change(json!({"url": eavesdropper.url("/")}));
    client.push(&account, "{\"total\": 19.90}");
    let request = eavesdropper.wait_for("/", 1).pop().unwrap();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers = names.map(|name| (name, request.headers.get(name).expect("a webhook header")));
    let replayed = Client::new(knows_new, None);
    assert_eq!(replayed.send("POST", "/", &headers, Some(&request.body)).status, 204);
    assert_eq!(replayed.send("POST", "/", &headers, Some(b"{\"total\": 19.91}")).status, 401);
}

#[test]
#[ignore = "needs examples/python/setup"]
fn the_python_tour_pushes_and_shows_the_delivery() {
    a_tour_pushes_and_shows_the_delivery(Language::Python, "python");
}

#[test]
#[ignore = "needs `npm ci && npm run build` in examples/typescript"]
fn the_typescript_tour_pushes_and_shows_the_delivery() {
    a_tour_pushes_and_shows_the_delivery(Language::TypeScript, "typescript");
}

#[test]
#[ignore = "needs examples/python/setup"]
fn the_python_library_verifies_what_was_sent_and_nothing_else() {
    the_library_verifies_what_was_sent_and_nothing_else(Language::Python);
}

#[test]
#[ignore = "needs `npm ci && npm run build` in examples/typescript"]
fn the_javascript_library_verifies_what_was_sent_and_nothing_else() {
    the_library_verifies_what_was_sent_and_nothing_else(Language::TypeScript);
}
