//! Answers and documents that nobody reads: what one account's token can make the server hold.

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

/// Length of a document that is as long as may be.
const LONGEST: usize = 10 << 20;

/// Documents of that length.
const DOCUMENTS: usize = 8;

/// Bytes that a socket of this process takes in unread, about; else the kernel would hold what the server has to.
const UNREAD: libc::c_int = 4 * 1024;

/// What an attempt under way, and a connection, hold besides: in KiB.
const EACH_KIB: u64 = 64;

/// What the server holds at rest, in KiB.
const REST_KIB: u64 = 40 * 1024;

/// How long the memory is watched once all clients have sent.
const WATCHED: Duration = Duration::from_secs(5);

/// Once the clients read, all of them have their answers within this.
const READ_WITHIN: Duration = Duration::from_secs(60);

fn read_little(socket: &impl AsRawFd) {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, UNREAD);
}

/// A receiver that lets everybody connect and reads nothing.
fn deaf() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    read_little(&listener);
    // SAFETY: the descriptor is open as long as `listener` is; listening again changes the length of the queue only.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 4_096) }, 0);
    listener
}

/// A client that waits for first attempts, and reads nothing of its answer.
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
    let document = format!("\"{}\"", "x".repeat(LONGEST - 2));
    let (mut most, began) = (0, Instant::now());
    let taken = (0..DOCUMENTS).filter(|_| {
        let answer = client.push_with(&account.token, &[], document.as_bytes());
        most = resident(&server).max(most);
        assert!(matches!(answer.status, 202 | 503), "{}", answer.text());
        answer.status == 202
    });
    let taken = taken.count();
    assert!(taken > 0, "a long document is taken where little is under way");
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
    // The wait of all of them is over by now; who has no room for an answer waits for it.
    let bound = memory * 1024 + REST_KIB + EACH_KIB * (destinations as u64 + clients as u64).min(2_048);
    report.figure("long documents taken", format!("{taken} of {DOCUMENTS}, for {destinations} destinations"));
    report.figure("clients that read nothing", clients);
    report.figure("memory at most", format!("{} (may be {})", mebibytes(most), mebibytes(bound)));
    report.figure("watched for", format!("{:.1} s", began.elapsed().as_secs_f64()));
    assert!(most < bound, "{most} KiB");
    // Others are served all the while: an answer that fits, and one account that has nothing to do with it.
    let other = client.create_account("bob");
    client.push(&other, "{}");
    // Whoever reads gets all of its answer, or was told that there was no room.
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

/// Reads on all of them at once until each is closed: what one does not read may be what another waits for.
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
