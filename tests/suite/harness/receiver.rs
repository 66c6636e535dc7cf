//! A receiver that keeps the requests it gets, and can misbehave in each way that real destinations do.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::DEADLINE;
use super::tls::{Handshake, Stream};
use super::wire::{self, Fields};

/// What the receiver does with a request.
#[derive(Clone)]
pub enum Behaviour {
    Answer(Reply),
    /// Answers once the gate is open.
    Hold(Gate, Reply),
    /// Never answers.
    Hang,
    /// Sends head and body without end, one byte every 20 ms.
    Drip,
    /// Sends a proper head, then a body without end, as fast as the peer reads.
    Endless,
    /// Sends RST instead of an answer.
    Reset,
    /// Sends FIN instead of an answer.
    Close,
    /// Answers the first request of each connection, and resets the connection at the second.
    ResetWhenReused(Reply),
    /// Sends these bytes as they are, then FIN.
    Raw(Vec<u8>),
    /// Sends these bytes, then FIN, over https without TLS's close_notify.
    Cut(Vec<u8>),
}

/// A proper answer.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Closed until `open` is called, which lets everybody pass who waits.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Number of its connection, counted from 1.
    pub connection: usize,
    /// When its last byte had come.
    pub at: Instant,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Fields,
    pub body: Vec<u8>,
    /// Handshake of its connection, over https.
    pub tls: Option<Handshake>,
}

/// Listens on a free loopback port until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    tls: bool,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Received>,
    connections: usize,
    open: usize,
    rules: HashMap<String, VecDeque<Behaviour>>,
    /// By path: requests that are not answered yet, and their maximum so far.
    in_progress: HashMap<String, (usize, usize)>,
    resets_connections: bool,
    ended: bool,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn write(&self, stream: &mut Stream) -> std::io::Result<()> {
        let mut bytes = format!("HTTP/1.1 {} Whatever\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if self.status != 204 && self.status != 304 {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes)
    }
}

impl Behaviour {
    /// Answers with this status and no body.
    pub fn status(status: u16) -> Self {
        Self::Answer(Reply::status(status))
    }
}

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let guard = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(guard, |open| !*open).unwrap());
    }
}

impl Received {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Everything after the first `?`, as it came.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

impl Receiver {
    /// Starts a receiver that answers 200 to everything until a test changes that.
    pub fn start() -> Self {
        Self::start_on("127.0.0.1:0", None).expect("a free port")
    }

    /// The same over https.
    pub fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::start_on("127.0.0.1:0", Some(config)).expect("a free port")
    }

    /// The same over IPv6, where the machine has that.
    pub fn start_tls_v6(config: Arc<ServerConfig>) -> Option<Self> {
        Self::start_on("[::1]:0", Some(config)).ok()
    }

    fn start_on(address: &str, tls: Option<Arc<ServerConfig>>) -> std::io::Result<Self> {
        let is_tls = tls.is_some();
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (connection, resets) = {
                    let mut state = accepting.lock();
                    if state.ended {
                        return;
                    }
                    state.connections += 1;
                    state.open += 1;
                    (state.connections, state.resets_connections)
                };
                accepting.changed.notify_all();
                let shared = Arc::clone(&accepting);
                if resets {
                    Stream::Plain(stream).reset();
                    shared.closed();
                    continue;
                }
                let tls = tls.clone();
                std::thread::spawn(move || {
                    if let Some(stream) = Stream::accept(stream, tls.as_ref()) {
                        shared.serve(connection, stream);
                    }
                    shared.closed();
                });
            }
        });
        Ok(Self { address, tls: is_tls, shared })
    }

    pub fn url(&self, path: &str) -> String {
        self.url_at(&self.address.ip().to_string(), path)
    }

    /// URL at this host, which must lead to the receiver.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        format!("http{}://{host}:{}{path}", if self.tls { "s" } else { "" }, self.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on, requests to `path` get this behaviour.
    pub fn on(&self, path: &str, behaviour: Behaviour) {
        self.script(path, vec![behaviour]);
    }

    /// The next requests to `path` get these behaviours one by one. The last one stays.
    pub fn script(&self, path: &str, behaviours: Vec<Behaviour>) {
        self.shared.lock().rules.insert(path.to_owned(), behaviours.into());
    }

    /// Whether new connections are reset before anything is read.
    pub fn reset_connections(&self, yes: bool) {
        self.shared.lock().resets_connections = yes;
    }

    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Waits until every connection so far has ended and its requests are kept.
    #[allow(dead_code, reason = "of the fault campaign")]
    #[track_caller]
    pub fn wait_for_the_end_of_all_connections(&self) {
        // Connections are accepted in order. Once this last one has ended, all earlier ones are known.
        let mut last = TcpStream::connect(self.address).expect("it listens");
        last.shutdown(std::net::Shutdown::Write).expect("it is open");
        let _ = last.read(&mut [0]);
        drop(self.wait("the end of all connections", |state| state.open == 0));
    }

    /// Requests after the first `seen` ones.
    #[allow(dead_code, reason = "of the fault campaign")]
    pub fn requests_since(&self, seen: usize) -> Vec<Received> {
        self.shared.lock().requests[seen..].to_vec()
    }

    pub fn requests(&self) -> Vec<Received> {
        self.shared.lock().requests.clone()
    }

    pub fn requests_to(&self, path: &str) -> Vec<Received> {
        self.shared.lock().to(path)
    }

    /// Maximum number of requests to `path` in progress at once. A request counts until its answer begins.
    pub fn most_at_once(&self, path: &str) -> usize {
        self.shared.lock().in_progress.get(path).map_or(0, |(_, most)| *most)
    }

    /// Waits until there are at least `count` requests to `path`, and returns them.
    #[track_caller]
    pub fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        let enough = |state: &State| state.requests.iter().filter(|request| request.path() == path).count() >= count;
        self.wait(&format!("{count} requests to {path}"), enough).to(path)
    }

    #[track_caller]
    fn wait(&self, what: &str, enough: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.shared.lock();
        let (state, waited) =
            self.shared.changed.wait_timeout_while(state, DEADLINE, |state| !enough(state)).expect("the lock");
        if waited.timed_out() {
            let seen: Vec<String> = state.requests.iter().map(|r| format!("{} {}", r.method, r.target)).collect();
            let connections = state.connections;
            // A poisoned lock would hide this failure behind those of the connections.
            drop(state);
            panic!("gave up waiting for {what}; {connections} connections, {} requests: {seen:.2000?}", seen.len());
        }
        state
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn to(&self, path: &str) -> Vec<Received> {
        self.requests.iter().filter(|request| request.path() == path).cloned().collect()
    }

    fn next_behaviour(&mut self, path: &str) -> Behaviour {
        let Some(script) = self.rules.get_mut(path) else { return Behaviour::status(200) };
        let next = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        next.unwrap_or(Behaviour::status(200))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the lock")
    }

    fn closed(&self) {
        self.lock().open -= 1;
        self.changed.notify_all();
    }

    fn serve(&self, connection: usize, stream: Stream) {
        let tls = stream.handshake();
        let mut reader = BufReader::new(stream);
        for nth in 1.. {
            let Some((line, headers)) = wire::read_head(&mut reader) else { return };
            let Some(body) = wire::read_body(&mut reader, &headers) else { return };
            let mut words = line.split(' ').map(str::to_owned);
            let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
            let closes = headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let request = Received { connection, at: Instant::now(), method, target, headers, body, tls: tls.clone() };
            let path = request.path().to_owned();
            let behaviour = {
                let mut state = self.lock();
                let behaviour = state.next_behaviour(&path);
                let (now, most) = state.in_progress.entry(path.clone()).or_default();
                *now += 1;
                *most = (*most).max(*now);
                state.requests.push(request);
                behaviour
            };
            self.changed.notify_all();
            match &behaviour {
                Behaviour::Hold(gate, _) => gate.pass(),
                Behaviour::Hang => drop(reader.get_mut().read(&mut [0])),
                _ => {}
            }
            // Before the answer, because a client that has its answer may send the next request at once.
            self.lock().in_progress.entry(path).and_modify(|(now, _)| *now -= 1);
            if !behaviour.act(nth, reader.get_mut()) || closes {
                return;
            }
        }
    }
}

impl Behaviour {
    /// Acts. Returns whether the connection can be used again.
    fn act(self, nth: usize, stream: &mut Stream) -> bool {
        match self {
            Self::Answer(reply) => reply.write(stream).is_ok(),
            Self::Hold(gate, reply) => {
                gate.pass();
                reply.write(stream).is_ok()
            }
            Self::Hang => {
                let _ = stream.read(&mut [0]);
                false
            }
            Self::Drip => {
                let head = b"HTTP/1.1 200 OK\r\nx-slow: yes\r\ncontent-length: 1000000\r\n\r\n";
                // The slow pace is the fault itself; nothing is synchronised by this sleep.
                for byte in head.iter().chain(std::iter::repeat(&b'.')) {
                    if stream.write_all(&[*byte]).is_err() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                false
            }
            Self::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
                while stream.write_all(&chunk).is_ok() {}
                false
            }
            Self::Reset => {
                stream.reset();
                false
            }
            Self::Close => {
                stream.finish();
                false
            }
            Self::ResetWhenReused(_) if nth > 1 => {
                stream.reset();
                false
            }
            Self::ResetWhenReused(reply) => reply.write(stream).is_ok(),
            Self::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                stream.finish();
                false
            }
            Self::Cut(bytes) => {
                let _ = stream.write_all(&bytes);
                stream.cut();
                false
            }
        }
    }
}
