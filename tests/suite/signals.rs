//! Signals at any time, and what a clean stop leaves.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::harness::{DEADLINE, Setup, wait_until};

/// Names of the files in the folder of `database` that begin with "test.db".
fn files(database: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(database.parent().unwrap()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.starts_with("test.db"));
    names.sort();
    names
}

#[test]
fn after_a_clean_stop_by_any_signal_the_file_stands_alone() {
    let mut server = Setup::dev().start();
    let account = server.client().create_account("ada");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let client = server.client();
        for _ in 0..20 {
            client.push(&account, "{}");
            // Reads have connections of their own.
            client.get("/v1/deliveries").expect(200);
        }
        server.signal(signal);
        assert_eq!(server.wait(), Some(0), "{signal}: {:#?}", server.log.lines());
        assert_eq!(files(server.setup().database_path()), ["test.db"], "{signal}");
        server.start_again();
    }
}

#[test]
fn a_server_under_nohup_survives_its_terminal() {
    let setup = Setup::dev().through(&["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]);
    let mut server = setup.start();
    server.signal(libc::SIGHUP);
    server.client().create_account("ada");
    server.terminate();
}

#[test]
fn a_stop_while_the_start_waits_for_the_file_s_lock_ends_at_once_and_nobody_was_connected() {
    let mut server = Setup::dev().start();
    server.terminate();
    let setup = server.setup().clone();
    let other = Connection::open(setup.database_path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // A free port for this server.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_data-pusher"))
            .args(["serve", "--dev", "--listen", &address.to_string(), "--database"])
            .arg(setup.database_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting for another program") {
            line.clear();
            assert!(
                std::io::BufRead::read_line(&mut lines, &mut line).unwrap() > 0,
                "it does not say what it waits for"
            );
        }
        assert!(TcpStream::connect(address).is_err(), "a connection that nobody answers");
        let told = Instant::now();
        // SAFETY: only sends a signal, to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), signal) }, 0);
        let status = wait_until("it ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        assert!(told.elapsed() < DEADLINE / 4, "{:?}", told.elapsed());
    }
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    setup.start().terminate();
}

#[test]
fn a_stop_at_any_moment_of_a_start_leaves_the_file_alone() {
    let mut server = Setup::dev().start();
    server.client().create_account("ada");
    server.terminate();
    let setup = server.setup().clone();
    for _ in 0..30 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_data-pusher"))
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--database"])
            .arg(setup.database_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is what the test varies.
        std::thread::sleep(Duration::from_micros(fastrand::u64(..60_000)));
        // SAFETY: only sends a signal, to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGTERM) }, 0);
        let status = wait_until("it ends", || child.try_wait().unwrap());
        // Before the server handles signals, a signal ends it without an exit code.
        if status.code() == Some(0) {
            assert_eq!(files(setup.database_path()), ["test.db"]);
        }
    }
    let server = setup.start();
    assert_eq!(server.client().all("/v1/accounts").len(), 1);
}
