//! Bodies that come slowly on many connections: what has come of all of them together stays within bounds.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};

use crate::crowd::{parsed, push_head, resident_mebibytes, until_closed};
use crate::harness::wire::open;
use crate::harness::{Setup, wait_until};

/// Length of a body that is as long as may be.
const LONGEST: usize = 1 << 20;

/// Connections; without a bound their bodies would fill 200 MiB.
const CROWD: usize = 200;

#[test]
fn bodies_on_many_connections_fill_no_more_memory_than_is_set_aside_for_them() {
    let server = Setup::dev().flags(&["--request-timeout", "5m", "--memory", "64MiB"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let document = format!("\"{}\"", "x".repeat(LONGEST - 2));
    let push = || client.push_with(&account.token, &[], document.as_bytes());
    push().expect(202);

    let mut crowd: Vec<TcpStream> = Vec::new();
    for _ in 0..CROWD {
        let mut stream = open(server.address, push_head(&account.token, LONGEST).as_bytes());
        // All but the last byte. Who is refused may find the connection closed meanwhile.
        let _ = stream.write_all(&document.as_bytes()[..LONGEST - 1]);
        crowd.push(stream);
    }
    let refused = wait_until("there is no room", || Some(push()).filter(|answer| answer.status != 202));
    assert_eq!(refused.problem(503)["code"], "too_much_at_once");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Most events are short, and are not kept out by those that are not.
    client.push(&account, format!("\"{}\"", "x".repeat(3_000)));
    client.create_account("bob");
    let memory = resident_mebibytes(&server);
    assert!(memory < 120, "{memory} MiB");

    // Those that were let in are taken once their last byte comes.
    let taken = crowd.into_iter().map(|mut stream| {
        let _ = stream.write_all(b"\"");
        // Where the server has closed it already, this fails too.
        let _ = stream.shutdown(Shutdown::Write);
        let answer = until_closed(&mut stream);
        // A client that still sends may lose the answer of a refusal.
        !answer.is_empty() && parsed(&answer).status == 202
    });
    let taken = taken.filter(|taken| *taken).count();
    assert!((40..=48).contains(&taken), "{taken} were let in");
    push().expect(202);
    let stored = client.all(&format!("/v1/accounts/{}/events", account.id)).len();
    assert_eq!(stored, 3 + taken, "each that was acknowledged, and no other");
}
