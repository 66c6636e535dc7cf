//! Answers and documents that nobody reads: how much memory one account's token can make the server hold.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Report, either};
use crate::harness::client::NewAccount;
use crate::harness::played::set;
use crate::harness::{Server, Setup, wire};
use crate::process::{mebibytes, resident};

/// Maximum length of a document.
const MAX_DOCUMENT_BYTES: usize = 10 << 20;

/// Number of documents of that length.
const DOCUMENTS: usize = 8;

/// Size of a receive buffer in this process. With a larger one the kernel would hold what the server must hold.
const UNREAD: libc::c_int = 4 * 1024;

/// Further memory for an attempt in progress or a connection, in KiB.
const EACH_KIB: u64 = 64;

/// Memory of the server at rest, in KiB.
const REST_KIB: u64 = 40 * 1024;

/// How long the memory is watched after all clients have sent.
const WATCHED: Duration = Duration::from_secs(5);

/// Maximum time in which all clients get their answers once they read.
const READ_WITHIN: Duration = Duration::from_secs(60);

fn read_little(socket: &impl AsRawFd) {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, UNREAD);
}

/// A receiver that accepts connections and reads nothing.
fn deaf() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    read_little(&listener);
    // SAFETY: the descriptor is open as long as `listener` is. Listening again only changes the length of the queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 4_096) }, 0);
    listener
}

/// A client that waits for first attempts and does not read its answer.
fn waiting(server: &Server, account: &NewAccount) -> TcpStream {
    let head = format!(
        "POST /server/incoming_data HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {}\r\ncontent-type: application/json\r\n\
         prefer: wait=1\r\ncontent-length: 2\r\n\r\n{{}}",
        account.token
    );
    let stream = wire::open(server.address, b"");
    read_little(&stream);
    (&stream).write_all(head.as_bytes()).unwrap();
    stream
}

pub fn clients_that_wait_and_read_nothing_and_long_documents_for_many(report: &mut Report) {
    let (destinations, clients, memory) = either((100, 100, 64), (1_000, 1_000, 256));
    let deaf = deaf();
    let url = format!("http://{}/", deaf.local_addr().unwrap());
    let flags = ["--max-body", "10MiB", "--memory", &format!("{memory}MiB"), "--timeout", "5m"];
    let server = Setup::dev().flags(&flags).start();
    let client = server.client();
    let account = client.create_account("ada");
    for _ in 0..destinations {
        client.create_destination(&account, &url, "POST", json!({}));
    }
    let document = format!("\"{}\"", "x".repeat(MAX_DOCUMENT_BYTES - 2));
    let (mut most, began) = (0, Instant::now());
    let accepted = (0..DOCUMENTS).filter(|_| {
        let answer = client.push_with(&account.token, &[], document.as_bytes());
        most = resident(&server).max(most);
        assert!(matches!(answer.status, 202 | 503), "{}", answer.text());
        answer.status == 202
    });
    let accepted = accepted.count();
    assert!(accepted > 0, "a long document is taken where little is under way");
    report.figure("memory with the documents", mebibytes(most));
    let mut crowd: Vec<TcpStream> = (0..clients)
        .map(|_| {
            most = resident(&server).max(most);
            waiting(&server, &account)
        })
        .collect();
    let sent = Instant::now();
    while sent.elapsed() < WATCHED {
        most = resident(&server).max(most);
        std::thread::sleep(Duration::from_millis(10));
    }
    // By now the wait of all clients is over. A client without memory for its answer waits for some.
    let bound = memory * 1024 + REST_KIB + EACH_KIB * (destinations as u64 + clients as u64).min(2_048);
    report.figure("long documents taken", format!("{accepted} of {DOCUMENTS}, for {destinations} destinations"));
    report.figure("clients that read nothing", clients);
    report.figure("memory at most", format!("{} (may be {})", mebibytes(most), mebibytes(bound)));
    report.figure("watched for", format!("{:.1} s", began.elapsed().as_secs_f64()));
    assert!(most < bound, "{most} KiB");
    // Other requests are served meanwhile: an account of its own, and an answer that fits.
    let other = client.create_account("bob");
    client.push(&other, "{}");
    // A client that reads gets its whole answer, or a 503 for lack of memory.
    let answers = read_all(&mut crowd);
    for answer in &answers {
        let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default());
        assert!(matches!(&*status, "202" | "503"), "{status:?}, {} bytes", answer.len());
        if status == "202" {
            let pending = answer.windows(9).filter(|part| part == b"\"pending\"").count();
            assert_eq!(pending, destinations, "a whole answer");
        }
    }
    let whole = answers.iter().filter(|answer| answer.get(9..12) == Some(b"202")).count();
    assert!(whole > 0, "nobody got an answer");
    report.figure("answers in full, and refusals for want of memory", format!("{whole}, {}", clients - whole));
    report.figure("longest answer", format!("{} bytes", answers.iter().map(Vec::len).max().unwrap_or(0)));
}

/// Reads from all clients at once until each connection is closed: an answer that is not read may hold memory that
/// another needs.
fn read_all(crowd: &mut [TcpStream]) -> Vec<Vec<u8>> {
    let mut answers = vec![Vec::new(); crowd.len()];
    let mut open: Vec<usize> = (0..crowd.len()).collect();
    for stream in &mut *crowd {
        stream.shutdown(Shutdown::Write).unwrap();
        stream.set_nonblocking(true).unwrap();
    }
    let end = Instant::now() + READ_WITHIN;
    let mut chunk = vec![0; 64 * 1024];
    while !open.is_empty() {
        assert!(Instant::now() < end, "{} are not closed", open.len());
        open.retain(|number| {
            loop {
                match crowd[*number].read(&mut chunk) {
                    Ok(0) => return false,
                    Ok(some) => answers[*number].extend_from_slice(&chunk[..some]),
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
        });
        std::thread::sleep(Duration::from_millis(1));
    }
    answers
}
