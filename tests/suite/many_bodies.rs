//! Bodies that come slowly on many connections: all parts received so far together stay within a limit of memory.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};

use crate::crowd::{parsed, push_head, resident_mebibytes, until_closed};
use crate::harness::wire::open;
use crate::harness::{Setup, wait_until};

/// Maximum length of a body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Number of connections. Without a limit their bodies would fill 200 MiB.
const CROWD: usize = 200;

#[test]
fn bodies_on_many_connections_fill_no_more_memory_than_is_set_aside_for_them() {
    let server = Setup::dev().flags(&["--request-timeout", "5m", "--memory", "64MiB"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let document = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES - 2));
    let push = || client.push_with(&account.token, &[], document.as_bytes());
    push().expect(202);

    let mut crowd: Vec<TcpStream> = Vec::new();
    for _ in 0..CROWD {
        let mut stream = open(server.address, push_head(&account.token, MAX_BODY_BYTES).as_bytes());
        // All but the last byte. A client that is refused may find the connection closed.
        let _ = stream.write_all(&document.as_bytes()[..MAX_BODY_BYTES - 1]);
        crowd.push(stream);
    }
    let refused = wait_until("there is no room", || Some(push()).filter(|answer| answer.status != 202));
    assert_eq!(refused.problem(503)["code"], "too_much_at_once");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Most events are short. They are accepted while long ones wait.
    client.push(&account, format!("\"{}\"", "x".repeat(3_000)));
    client.create_account("bob");
    let memory = resident_mebibytes(&server);
    assert!(memory < 120, "{memory} MiB");

    // Bodies that were given memory are accepted once their last byte comes.
    let accepted = crowd.into_iter().map(|mut stream| {
        let _ = stream.write_all(b"\"");
        // Fails too if the server has already closed the connection.
        let _ = stream.shutdown(Shutdown::Write);
        let answer = until_closed(&mut stream);
        // A client that is still sending may lose the answer of a refusal.
        !answer.is_empty() && parsed(&answer).status == 202
    });
    let accepted = accepted.filter(|accepted| *accepted).count();
    // 48 at one time. Those whose head the server read only after others had ended may come in besides.
    assert!((40..CROWD / 2).contains(&accepted), "{accepted} were let in");
    push().expect(202);
    let stored = client.all(&format!("/v1/accounts/{}/events", account.id)).len();
    assert_eq!(stored, 3 + accepted, "each that was acknowledged, and no other");
}
