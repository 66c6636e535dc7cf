//! Standard output and standard error of every kind: what the server does never depends on who reads them.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::server::run_binary;
use crate::harness::{Client, Receiver, Setup, wait_until};

/// Starts the server on a free port, with standard error redirected by `shell`. Returns when the server is ready.
fn serve(setup: &Setup, shell: &str) -> (std::process::Child, Client) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let child = Command::new("/bin/sh")
        .args(["-c", &format!("exec \"$0\" \"$@\" {shell}")])
        .arg(env!("CARGO_BIN_EXE_data-pusher"))
        .args(["serve", "--dev", "--listen", &address.to_string(), "--database"])
        .arg(setup.database_path())
        // As many log lines as possible.
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = Client::new(address, None);
    wait_until("it is ready", || client.try_send("GET", "/readyz", &[], None).ok().filter(|ready| ready.status == 200));
    (child, client)
}

#[test]
fn events_are_taken_and_delivered_and_a_stop_is_clean_whatever_becomes_of_standard_error() {
    // A pipe that nobody reads becomes full. A pipe without a reader breaks.
    for (shell, gone) in [("2>/dev/full", false), ("2>&-", false), ("", false), ("", true)] {
        let (setup, receiver) = (Setup::dev(), Receiver::start());
        let (mut child, client) = serve(&setup, shell);
        if gone {
            drop(child.stderr.take());
        }
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
        let lines = if shell.is_empty() && !gone { 1_500 } else { 30 };
        for _ in 0..lines {
            client.push(&account, "{}");
        }
        receiver.wait_for("/in", lines);
        // SAFETY: only sends a signal, to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGTERM) }, 0);
        let status = wait_until("it ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{shell} {gone}");
        assert_eq!(std::fs::read_dir(setup.folder()).unwrap().count(), 1, "the file stands alone");
    }
}

#[test]
fn a_command_whose_output_cannot_be_written_says_so_and_a_reader_that_has_enough_is_no_failure() {
    let shell = |line: &str| {
        let binary = env!("CARGO_BIN_EXE_data-pusher");
        let ended = Command::new("/bin/sh").args(["-c", line, binary]).stdin(Stdio::null()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for command in ["openapi", "openapi --yaml", "--help", "serve --help", "--version"] {
        let (code, said) = shell(&format!("\"$0\" {command} >/dev/full"));
        assert_eq!(code, Some(1), "{command}");
        assert!(said.starts_with("error: cannot write to standard output") && said.lines().count() == 1, "{said}");
        // The shell returns the code of the last command, so the code of the first one is printed.
        let (_, said) = shell(&format!("{{ \"$0\" {command}; echo \"code $?\" >&2; }} | true"));
        assert_eq!(said, "code 0\n", "{command}");
        assert_eq!(shell(&format!("\"$0\" {command} 2>/dev/full >/dev/full")).0, Some(1), "{command}");
    }
    assert_eq!(shell("\"$0\" nonsense 2>/dev/full").0, Some(2));
    assert_eq!(run_binary(&["nonsense"]).code, Some(2));
}

#[test]
fn an_empty_rust_log_is_as_none_and_a_wrong_one_is_said() {
    let login = |levels: &str| {
        let server = Setup::guarded().variable("RUST_LOG", levels).start();
        server.login_link();
        server.log.lines().join("\n")
    };
    login("");
    login(" ");
    assert!(login("=!").contains("RUST_LOG is wrong"));
}
