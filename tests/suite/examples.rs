//! The examples do what the README says.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{DEADLINE, Receiver, Setup};

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

#[test]
fn the_quickstart_pushes_json_and_shows_the_delivery() {
    let (server, receiver) = (Setup::dev().start(), Receiver::start());
    // Twice, because it must be possible to repeat the example.
    for nth in 1..=2 {
        let output = Command::new("sh")
            .arg(example("quickstart.sh"))
            .env("SERVER", format!("http://{}", server.address))
            .env("RECEIVER", receiver.url(""))
            .env_remove("ADMIN_TOKEN")
            .output()
            .expect("sh");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{stdout}\n{stderr}");
        assert!(stdout.contains("\"state\":\"succeeded\""), "{stdout}\n{stderr}");
        let requests = receiver.requests();
        assert_eq!(requests.len(), nth, "{requests:?}");
        assert!(stdout.contains(requests[nth - 1].headers.get("webhook-id").unwrap()), "{stdout}");
    }
}

#[test]
fn the_quickstart_says_what_is_wrong_when_nobody_listens() {
    let output =
        Command::new("sh").arg(example("quickstart.sh")).env("SERVER", "http://127.0.0.1:9").output().expect("sh");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1"), "{output:?}");
}

/// A process that ends with the test.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_receiver_prints_what_it_gets_and_answers_as_told() {
    // Cargo builds examples into a folder next to the binary before it runs tests.
    let built = Path::new(env!("CARGO_BIN_EXE_data-pusher")).with_file_name("examples").join("receiver");
    let mut child =
        Command::new(&built).args(["--port", "0", "--status", "503"]).stdout(Stdio::piped()).spawn().unwrap_or_else(
            |error| panic!("{}: {error}; `cargo test` without a target filter builds it", built.display()),
        );
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let _ends = Ends(child);
    let first = lines.next().expect("a first line");
    let address = first.split("http://").nth(1).expect("its address").trim_end_matches('/').to_owned();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(DEADLINE))
        .build()
        .new_agent();
    let answer = agent.post(format!("http://{address}/in?a=1")).header("x-env", "test").send("{\"a\":1.0}").unwrap();
    assert_eq!(answer.status(), 503);
    let mut seen = Vec::new();
    for wanted in ["POST /in?a=1", "x-env: test", "{\"a\":1.0}"] {
        let found = lines.by_ref().inspect(|line| seen.push(line.clone())).any(|line| line.contains(wanted));
        assert!(found, "{wanted:?} was not printed: {seen:#?}");
    }
}
