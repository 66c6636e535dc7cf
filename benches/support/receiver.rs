//! The receiver: a process that answers 200 at the lowest cost, over http or https. The process counts how many
//! different events came to each place. One thread serves all connections.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};

use super::Result;
use super::message;
use super::system::{ends_with_us, long_backlog};
use super::tally::Tally;
use super::tls;

/// Hidden argument with which the bench starts itself as the receiver. Two more arguments follow: the file of the
/// shared number, and the word of a [`Manner`].
pub const ARGUMENT: &str = "--be-the-receiver";

/// Number of places, that is, of different paths.
const PLACES: usize = 1_000;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const OK_ONCE: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

const LISTENER: Token = Token(usize::MAX);

/// Which scheme the receiver speaks, and whether connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Over http, on kept connections.
    Http,
    /// Over http, with one request on each connection.
    HttpOnce,
    /// Over https, on kept connections.
    Https,
    /// Over https, with one request on each connection.
    HttpsOnce,
}

impl Manner {
    const ALL: [(Self, &str); 4] =
        [(Self::Http, "http"), (Self::HttpOnce, "http-once"), (Self::Https, "https"), (Self::HttpsOnce, "https-once")];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(manner, _)| *manner == self).map_or("", |(_, word)| word)
    }

    fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::HttpsOnce)
    }

    fn keeps(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// What came.
#[derive(Default)]
struct Counts {
    /// Number of requests.
    requests: AtomicU64,
    /// First arrivals of an event at a place, over all places.
    first: AtomicU64,
}

/// Which events have come to one place: a bit for each number.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Seen {
    /// Adds a number. Returns whether the number is new.
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

/// Runs until the process is killed. Prints the port on standard output, then answers each line of input with the
/// counts.
pub fn run(args: &[String]) -> Result<()> {
    let [path, word] = args else { return Err("wants a file and a manner".into()) };
    let manner = Manner::ALL.iter().find(|(_, of)| of == word).ok_or("no such manner")?.0;
    let tls = manner.is_secure().then(|| tls::authority(&authority_beside(Path::new(path)))).transpose()?;
    let tally = Tally::open(Path::new(path))?;
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
    serve(TcpListener::from_std(listener), manner, tls.as_ref(), &counts, &tally)
}

/// Path of the certificate of the receiver's authority.
fn authority_beside(tally: &Path) -> PathBuf {
    tally.with_extension("pem")
}

struct Connection {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    input: Vec<u8>,
}

fn serve(
    mut listener: TcpListener,
    manner: Manner,
    tls: Option<&Arc<ServerConfig>>,
    counts: &Counts,
    tally: &Tally,
) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    let mut next = 0;
    let mut seen: Vec<Seen> = (0..PLACES).map(|_| Seen::default()).collect();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(next), Interest::READABLE)?;
                    let tls = tls.map(|tls| ServerConnection::new(Arc::clone(tls)).map(Box::new)).transpose()?;
                    connections.insert(next, Connection { stream, tls, input: Vec::with_capacity(2048) });
                    next += 1;
                }
                continue;
            }
            let Some(connection) = connections.get_mut(&event.token().0) else { continue };
            if !connection.read(manner.keeps(), &mut |head, body| {
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

impl Connection {
    /// Reads what came and answers it. Returns whether the connection stays open.
    fn read(&mut self, keeps: bool, request: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let mut chunk = [0; 16 * 1024];
        loop {
            let all = self.tls.is_none();
            let read = self.read_some(&mut chunk);
            let mut ended = false;
            while let Some((body, end)) = message::extent(&self.input) {
                request(&self.input[..body], &self.input[body..end]);
                self.input.drain(..end);
                ended |= !keeps;
                if self.answer(if keeps { OK } else { OK_ONCE }).is_err() {
                    return false;
                }
            }
            match read {
                _ if ended => return false,
                Ok(0) => return false,
                // What comes later is a new event of the poll.
                Ok(some) if all && some < chunk.len() => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Appends what came to the input. Returns how many bytes were read from the connection.
    fn read_some(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            let some = self.stream.read(chunk)?;
            self.input.extend_from_slice(&chunk[..some]);
            return Ok(some);
        };
        let read = tls.read_tls(&mut self.stream)?;
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let before = self.input.len();
        self.input.resize(before + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut self.input[before..])?;
        send(tls, &mut self.stream)?;
        Ok(read)
    }

    /// Writes an answer. An answer is so short that the socket's buffer always has room.
    fn answer(&mut self, answer: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(answer),
            Some(tls) => {
                tls.writer().write_all(answer)?;
                send(tls, &mut self.stream)
            }
        }
    }
}

fn send(tls: &mut ServerConnection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(stream)?;
    }
    Ok(())
}

/// The parent's handle of the receiver process.
pub struct Receiver {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
    manner: Manner,
    /// File of the number of deliveries.
    pub tally: PathBuf,
    _folder: tempfile::TempDir,
}

/// What the receiver has counted.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Number of requests.
    pub requests: u64,
    /// First arrivals of an event at a place, over all places.
    pub first: u64,
}

impl Receiver {
    /// Starts a receiver over http.
    pub fn start() -> Result<Self> {
        Self::start_as(Manner::Http)
    }

    /// Starts a receiver of this manner.
    pub fn start_as(manner: Manner) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tally = folder.path().join("delivered");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).arg(&tally).arg(manner.word()).stdin(Stdio::piped()).stdout(Stdio::piped());
        ends_with_us(&mut command);
        let mut child = command.spawn()?;
        let (commands, answers) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
        let answers = BufReader::new(answers);
        let mut receiver = Self { child, commands, answers, port: 0, manner, tally, _folder: folder };
        receiver.port = receiver.line()?.trim().parse()?;
        Ok(receiver)
    }

    /// Address of the receiver.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// URL of a place.
    pub fn url(&self, place: usize) -> String {
        let scheme = if self.manner.is_secure() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/{place}", self.port)
    }

    /// Flags that make the server trust this receiver.
    pub fn flags(&self) -> Vec<String> {
        let path = authority_beside(&self.tally).display().to_string();
        if self.manner.is_secure() { vec!["--ca-file".to_owned(), path] } else { Vec::new() }
    }

    /// What the receiver has counted.
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
