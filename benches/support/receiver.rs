//! The process that receives: answers 200 at as little cost as it can, and counts how many different events have come
//! to each place. One thread serves all connections.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::Result;
use super::message;
use super::system::{ends_with_us, long_backlog};
use super::tally::Tally;

/// The hidden argument with which the bench starts itself as the receiver; the file of the shared number follows.
pub const ARGUMENT: &str = "--be-the-receiver";

/// Places that are told apart.
const PLACES: usize = 16;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const LISTENER: Token = Token(usize::MAX);

/// What came.
#[derive(Default)]
struct Counts {
    /// Requests.
    requests: AtomicU64,
    /// Events that came to a place for the first time, over all places.
    first: AtomicU64,
}

/// Which events have come to a place.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Seen {
    /// Notes one; gives whether it is the first of its number.
    fn add(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1024, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}

/// Runs until it is killed; says its port on standard output, and then answers each line of input with its counts.
pub fn run(tally: &Path) -> Result<()> {
    let tally = Tally::open(tally)?;
    let counts = Arc::new(Counts::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    long_backlog(&listener);
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    let asked = Arc::clone(&counts);
    std::thread::spawn(move || {
        for _ in io::stdin().lock().lines().map_while(std::result::Result::ok) {
            println!("{} {}", asked.requests.load(Ordering::Relaxed), asked.first.load(Ordering::Relaxed));
        }
        std::process::exit(0);
    });
    serve(TcpListener::from_std(listener), &counts, &tally)
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
}

fn serve(mut listener: TcpListener, counts: &Counts, tally: &Tally) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    let mut next = 0;
    let mut seen: [Seen; PLACES] = Default::default();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(next), Interest::READABLE)?;
                    connections.insert(next, Connection { stream, input: Vec::with_capacity(2048) });
                    next += 1;
                }
                continue;
            }
            let Some(connection) = connections.get_mut(&event.token().0) else { continue };
            if !read(connection, &mut |head, body| {
                counts.requests.fetch_add(1, Ordering::Relaxed);
                let place = message::place(head).min(PLACES - 1);
                if message::number(body).is_some_and(|number| seen[place].add(number)) {
                    tally.set(counts.first.fetch_add(1, Ordering::Relaxed) + 1);
                }
            }) {
                connections.remove(&event.token().0);
            }
        }
    }
}

/// Takes what came and answers it; gives whether the connection goes on.
fn read(connection: &mut Connection, request: &mut dyn FnMut(&[u8], &[u8])) -> bool {
    let mut chunk = [0; 16 * 1024];
    loop {
        match connection.stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(some) => {
                connection.input.extend_from_slice(&chunk[..some]);
                while let Some((body, end)) = message::extent(&connection.input) {
                    request(&connection.input[..body], &connection.input[body..end]);
                    connection.input.drain(..end);
                    // So few bytes always fit.
                    if connection.stream.write_all(OK).is_err() {
                        return false;
                    }
                }
                if some < chunk.len() {
                    // What comes later is told anew.
                    return true;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// This process's hold on it.
pub struct Receiver {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
    /// File of the number of deliveries.
    pub tally: PathBuf,
    _folder: tempfile::TempDir,
}

/// What it has counted.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Requests.
    pub requests: u64,
    /// Events that came to a place for the first time, over all places.
    pub first: u64,
}

impl Receiver {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tally = folder.path().join("delivered");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).arg(&tally).stdin(Stdio::piped()).stdout(Stdio::piped());
        ends_with_us(&mut command);
        let mut child = command.spawn()?;
        let (commands, answers) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
        let mut receiver = Self { child, commands, answers: BufReader::new(answers), port: 0, tally, _folder: folder };
        receiver.port = receiver.line()?.trim().parse()?;
        Ok(receiver)
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A place of it.
    pub fn url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}/{place}", self.port)
    }

    /// What it has counted.
    pub fn count(&mut self) -> Result<Received> {
        writeln!(self.commands, "count")?;
        let line = self.line()?;
        let (requests, first) = line.trim().split_once(' ').ok_or("no counts")?;
        Ok(Received { requests: requests.parse()?, first: first.parse()? })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("the receiving process ended".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
