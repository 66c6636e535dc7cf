//! A process that receives over http or https, on several ports (*gates*). Each gate behaves in one way until it gets
//! another mode. A gate notes when each request arrived. Each connection has its own thread, so that one that hangs
//! does not delay another.
//!
//! Commands are lines on standard input, answers are lines on standard output. The process ends when its input ends.

use std::io::{self, BufRead as _, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::http::{content_length, head_length, read_some};
use super::system::{long_backlog, now_us, reset};
use super::tls;

/// Stack of a connection's thread, in bytes.
const STACK_BYTES: usize = 96 * 1024;

/// The same where the connection speaks TLS.
const SECURE_STACK_BYTES: usize = 256 * 1024;

/// Time between two bytes of a drip.
const DRIP_INTERVAL: Duration = Duration::from_millis(500);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nfail";

/// How a gate behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Answers 200 at once.
    Ok,
    /// Answers 200 after this many milliseconds.
    Take(u64),
    /// Answers 500.
    Fail,
    /// Answers 500 once, and from then on 200.
    FailOnce,
    /// Answers nothing and keeps the connection.
    Hang,
    /// Hangs on every n-th request, and answers 200 to all others at once.
    HangEach(u64),
    /// Answers without end: half of the connections in the head, half in the body.
    Drip,
    /// Resets the connection.
    Reset,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once(':').unwrap_or((text, "")) {
            ("ok", _) => Self::Ok,
            ("take", millis) => Self::Take(millis.parse().map_err(|_| format!("no duration: {text}"))?),
            ("fail", _) => Self::Fail,
            ("fail-once", _) => Self::FailOnce,
            ("hang", _) => Self::Hang,
            ("hang-each", number) => Self::HangEach(number.parse().map_err(|_| format!("no number: {text}"))?),
            ("drip", _) => Self::Drip,
            ("reset", _) => Self::Reset,
            _ => return Err(format!("no such mode: {text}")),
        })
    }
}

/// A request that arrived.
struct Arrival {
    /// The number in its path.
    destination: u32,
    /// The time in its body.
    sent_us: u64,
    arrived_us: u64,
    answered_ok: bool,
}

struct Gate {
    mode: Mutex<Mode>,
    arrivals: Mutex<Vec<Arrival>>,
    requests: AtomicU64,
    /// Requests that are not answered yet.
    held: AtomicI64,
}

/// Runs until standard input ends. Writes the certificate of its authority to `authority`.
pub fn run(authority: &Path) -> super::Result<()> {
    let tls = tls::authority(authority)?;
    let mut gates: Vec<Arc<Gate>> = Vec::new();
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let (command, first, second) =
            (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let gate = first.parse::<usize>().ok().and_then(|number| gates.get(number));
        match (command, gate) {
            (Some("open"), _) => {
                let gate = Arc::new(Gate {
                    mode: Mutex::new(first.parse().map_err(io::Error::other)?),
                    arrivals: Mutex::default(),
                    requests: AtomicU64::new(0),
                    held: AtomicI64::new(0),
                });
                let listener = TcpListener::bind("127.0.0.1:0")?;
                long_backlog(&listener);
                writeln!(output, "{} {}", gates.len(), listener.local_addr()?.port())?;
                gates.push(Arc::clone(&gate));
                let tls = (second == "secure").then(|| Arc::clone(&tls));
                thread::Builder::new().spawn(move || accept(&listener, &gate, tls.as_ref()))?;
            }
            (Some("mode"), Some(gate)) => {
                *locked(&gate.mode) = second.parse().map_err(io::Error::other)?;
                writeln!(output, "{}", now_us())?;
            }
            (Some("count"), Some(gate)) => {
                let (requests, held) = (gate.requests.load(Ordering::Relaxed), gate.held.load(Ordering::Relaxed));
                writeln!(output, "{requests} {held}")?;
            }
            (Some("report"), Some(gate)) => {
                let arrivals = locked(&gate.arrivals);
                writeln!(output, "{}", arrivals.len())?;
                for Arrival { destination, sent_us, arrived_us, answered_ok } in arrivals.iter() {
                    writeln!(output, "{destination} {sent_us} {arrived_us} {}", u8::from(*answered_ok))?;
                }
            }
            _ => return Err(format!("no such command: {line}").into()),
        }
        output.flush()?;
    }
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, gate: &Arc<Gate>, tls: Option<&Arc<ServerConfig>>) {
    for (number, stream) in (0_u64..).zip(listener.incoming()) {
        // Without a descriptor or a thread the connection is closed. The bench then sees that a request is missing.
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let (gate, tls) = (Arc::clone(gate), tls.map(Arc::clone));
        let stack = if tls.is_some() { SECURE_STACK_BYTES } else { STACK_BYTES };
        let _ = thread::Builder::new().stack_size(stack).spawn(move || serve_on(stream, tls, &gate, number));
    }
}

fn serve_on(stream: TcpStream, tls: Option<Arc<ServerConfig>>, gate: &Gate, number: u64) -> super::Result<()> {
    stream.set_nodelay(true)?;
    let ended = match tls {
        None => serve(&mut &stream, gate, number)?,
        Some(tls) => serve(&mut StreamOwned::new(ServerConnection::new(tls)?, &stream), gate, number)?,
    };
    if ended == Mode::Reset {
        reset(stream);
    }
    Ok(())
}

/// Serves a connection until it fails, or until the mode is a reset. Returns that mode.
fn serve(stream: &mut (impl Read + Write), gate: &Gate, number: u64) -> io::Result<Mode> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        buffer.clear();
        let body = loop {
            read_some(stream, &mut buffer)?;
            if let Some(head) = head_length(&buffer)
                && buffer.len() >= head + content_length(&buffer[..head])
            {
                break head;
            }
        };
        let arrived_us = now_us();
        let mode = {
            let mut mode = locked(&gate.mode);
            let now = *mode;
            if now == Mode::FailOnce {
                *mode = Mode::Ok;
            }
            now
        };
        let before = gate.requests.fetch_add(1, Ordering::Relaxed);
        let mode = match mode {
            Mode::HangEach(number) if (before + 1).is_multiple_of(number) => Mode::Hang,
            Mode::HangEach(_) => Mode::Ok,
            mode => mode,
        };
        locked(&gate.arrivals).push(Arrival {
            destination: number_after(&buffer, b" /").unwrap_or(0) as u32,
            sent_us: number_after(&buffer[body..], b"\"sent_us\":").unwrap_or(0),
            arrived_us,
            answered_ok: matches!(mode, Mode::Ok | Mode::Take(_)),
        });
        gate.held.fetch_add(1, Ordering::Relaxed);
        let answered = answer(stream, mode, number);
        gate.held.fetch_sub(1, Ordering::Relaxed);
        if mode == Mode::Reset {
            return Ok(mode);
        }
        answered?;
    }
}

fn answer(stream: &mut (impl Read + Write), mode: Mode, number: u64) -> io::Result<()> {
    match mode {
        Mode::Ok | Mode::HangEach(_) => stream.write_all(OK),
        Mode::Take(millis) => {
            thread::sleep(Duration::from_millis(millis));
            stream.write_all(OK)
        }
        Mode::Fail | Mode::FailOnce => stream.write_all(FAILED),
        Mode::Reset => Ok(()),
        // Until the peer gives up.
        Mode::Hang => read_some(stream, &mut Vec::new()),
        Mode::Drip => {
            let in_head = number.is_multiple_of(2);
            stream.write_all(if in_head {
                b"HTTP/1.1 200 OK\r\nx-drip: "
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n"
            })?;
            loop {
                stream.write_all(b".")?;
                thread::sleep(DRIP_INTERVAL);
            }
        }
    }
}

fn number_after(bytes: &[u8], mark: &[u8]) -> Option<u64> {
    let at = bytes.windows(mark.len()).position(|part| part == mark)? + mark.len();
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
