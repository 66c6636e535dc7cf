//! The generator: the process that sends events. Each connection sends its next event as soon as the previous one is
//! answered. One thread serves all connections, because the generator shares the processors with the server.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use super::Result;
use super::message;
use super::system::{ends_with_us, now_us, processor_time};
use super::tally::Tally;

/// Hidden argument with which the bench starts itself as the generator. The plan comes on standard input.
pub const ARGUMENT: &str = "--be-the-load";

/// Maximum wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval at which the gate is polled while nothing happens.
const POLL_INTERVAL: Duration = Duration::from_micros(500);

/// What the generator sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Address of the server.
    pub address: SocketAddr,
    /// The path.
    pub path: String,
    /// Tokens of the accounts, used in turn. Each connection has one event in progress.
    pub tokens: Vec<String>,
    /// Bytes of an event's body.
    pub body: usize,
    /// Number of connections.
    pub connections: usize,
    /// Number of the first event.
    pub first: u64,
    /// Warm-up, before the measurement.
    pub warm: Duration,
    /// Length of the measurement.
    pub length: Duration,
    /// Number of events to send. If given, `length` does not count.
    pub count: Option<u64>,
    /// Keeps the backlog from growing.
    pub gate: Option<Gate>,
}

/// Lets an event begin only while few events are accepted and not yet delivered. The rate is then what the server can
/// sustain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gate {
    /// File of the number of deliveries.
    pub tally: PathBuf,
    /// That number at the start.
    pub before: u64,
    /// Deliveries for each event.
    pub each: u64,
    /// Maximum of events that are sent and not yet delivered.
    pub most: u64,
}

/// The generator's result.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Loaded {
    /// Events that were answered with 2xx, in all.
    pub accepted: u64,
    /// Events that were answered with another status.
    pub refused: u64,
    /// Events that were answered with 2xx during the measurement.
    pub measured: u64,
    /// Length of the measurement.
    pub seconds: f64,
    /// Percentiles 50, 99, 99.9 and 100 of the time to the answer, in milliseconds, during the measurement.
    pub latency_ms: [f64; 4],
    /// Share of one processor that this process used.
    pub processor: f64,
}

impl Loaded {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.measured as f64 / self.seconds
    }
}

/// Reads the plan and sends the events. Prints when the measurement begins, and at the end its result.
pub fn run() -> Result<()> {
    let mut plan = String::new();
    io::stdin().lock().read_line(&mut plan)?;
    let plan: Plan = serde_json::from_str(&plan)?;
    let loaded = Sender::connect(&plan)?.send()?;
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

struct Connection {
    stream: TcpStream,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    sent_us: u64,
}

struct Sender<'a> {
    plan: &'a Plan,
    requests: Vec<Vec<u8>>,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections that wait for the gate.
    idle: Vec<usize>,
    gate: Option<Tally>,
    next: u64,
    in_flight: u64,
    loaded: Loaded,
    latencies_us: Vec<u32>,
    /// Begin and end of the measurement, in microseconds.
    window: (u64, u64),
}

impl<'a> Sender<'a> {
    fn connect(plan: &'a Plan) -> Result<Self> {
        let host = plan.address.to_string();
        let mut requests: Vec<Vec<u8>> =
            plan.tokens.iter().map(|token| message::request(&host, &plan.path, Some(token), plan.body)).collect();
        if requests.is_empty() {
            requests.push(message::request(&host, &plan.path, None, plan.body));
        }
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(plan.connections);
        for number in 0..plan.connections {
            let stream = std::net::TcpStream::connect(plan.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
            connections.push(Connection { stream, output: Vec::new(), written: 0, input: Vec::new(), sent_us: 0 });
        }
        let gate = plan.gate.as_ref().map(|gate| Tally::open(&gate.tally)).transpose()?;
        let idle = (0..plan.connections).collect();
        Ok(Self {
            plan,
            requests,
            poll,
            connections,
            idle,
            gate,
            next: 0,
            in_flight: 0,
            loaded: Loaded::default(),
            latencies_us: Vec::with_capacity(1 << 20),
            window: (0, u64::MAX),
        })
    }

    fn send(mut self) -> Result<Loaded> {
        let mut events = Events::with_capacity(1024);
        let began = now_us();
        let warm_until = began + self.plan.warm.as_micros() as u64;
        let until = match self.plan.count {
            Some(_) => u64::MAX,
            None => warm_until + self.plan.length.as_micros() as u64,
        };
        let mut processor = 0.0;
        let mut heard = began;
        let mut measuring = false;
        let mut ended = 0;
        loop {
            let now = now_us();
            if !measuring && now >= warm_until {
                measuring = true;
                processor = processor_time(std::process::id()).unwrap_or(f64::NAN);
                self.window = (now, until);
                println!("measuring");
            }
            let sending = now < until && self.plan.count.is_none_or(|count| self.next < count);
            if sending {
                self.begin()?;
            } else if ended == 0 {
                ended = now;
                self.loaded.processor = processor_time(std::process::id()).unwrap_or(f64::NAN) - processor;
            }
            if !sending && self.in_flight == 0 {
                break;
            }
            let wait = if sending && !self.idle.is_empty() { POLL_INTERVAL } else { Duration::from_millis(20) };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if self.in_flight > 0 && events.is_empty() && now_us() - heard > ANSWER_TIMEOUT.as_micros() as u64 {
                return Err("the server does not answer".into());
            }
            if self.in_flight == 0 || !events.is_empty() {
                heard = now_us();
            }
            for event in &events {
                self.happened(event.token().0)?;
            }
        }
        let seconds = (ended - self.window.0) as f64 / 1e6;
        self.latencies_us.sort_unstable();
        let ms = |share: f64| {
            let place = ((self.latencies_us.len() as f64 * share).ceil() as usize).max(1) - 1;
            self.latencies_us.get(place).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
        };
        let latency_ms = [0.5, 0.99, 0.999, 1.0].map(ms);
        let processor = self.loaded.processor / seconds;
        Ok(Loaded { seconds, latency_ms, processor, measured: self.latencies_us.len() as u64, ..self.loaded })
    }

    /// Sends on every idle connection, as far as the gate and the plan allow.
    fn begin(&mut self) -> Result<()> {
        while !self.idle.is_empty() && self.plan.count.is_none_or(|count| self.next < count) && self.is_open() {
            let Some(number) = self.idle.pop() else { return Ok(()) };
            let template = &self.requests[(self.next % self.requests.len() as u64) as usize];
            let connection = &mut self.connections[number];
            connection.output.clear();
            connection.output.extend_from_slice(template);
            message::set_number(&mut connection.output, self.plan.body, self.plan.first + self.next);
            (connection.written, connection.sent_us) = (0, now_us());
            self.next += 1;
            self.in_flight += 1;
            write(connection)?;
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        match (&self.gate, &self.plan.gate) {
            (Some(tally), Some(gate)) => {
                let delivered = tally.get().saturating_sub(gate.before) / gate.each;
                self.next.saturating_sub(delivered) < gate.most
            }
            _ => true,
        }
    }

    fn happened(&mut self, number: usize) -> Result<()> {
        let connection = &mut self.connections[number];
        if connection.written < connection.output.len() {
            write(connection)?;
        }
        let mut chunk = [0; 16 * 1024];
        loop {
            let some = match connection.stream.read(&mut chunk) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(some) => some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            connection.input.extend_from_slice(&chunk[..some]);
            if let Some((_, end)) = message::extent(&connection.input) {
                let now = now_us();
                let success = connection.input.get(9) == Some(&b'2');
                connection.input.drain(..end);
                self.in_flight -= 1;
                self.idle.push(number);
                self.loaded.accepted += u64::from(success);
                self.loaded.refused += u64::from(!success);
                if success && connection.sent_us >= self.window.0 && now <= self.window.1 && self.window.0 > 0 {
                    self.latencies_us.push((now - connection.sent_us) as u32);
                }
                // The server sends nothing more before the next request.
                return Ok(());
            }
        }
    }
}

fn write(connection: &mut Connection) -> Result<()> {
    match connection.stream.write(&connection.output[connection.written..]) {
        Ok(some) => connection.written += some,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The parent's handle of the generator process.
pub struct Generator {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Generator {
    /// Starts the generator, and returns when the measurement has begun.
    pub fn start(plan: &Plan) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        ends_with_us(&mut command);
        let mut child = command.spawn()?;
        writeln!(child.stdin.take().ok_or("no pipe")?, "{}", serde_json::to_string(plan)?)?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut generator = Self { child, answers };
        match generator.line()?.trim() {
            "measuring" => Ok(generator),
            _ => Err("the load did not begin".into()),
        }
    }

    /// Waits until the generator ends, and calls `meanwhile` every 25 ms.
    pub fn finish(self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<Loaded> {
        let (done, ended) = mpsc::channel();
        let mut generator = self;
        let reader = thread::spawn(move || {
            let line = generator.line();
            let _ = done.send(());
            line
        });
        while ended.recv_timeout(Duration::from_millis(25)) == Err(mpsc::RecvTimeoutError::Timeout) {
            meanwhile()?;
        }
        let line = reader.join().map_err(|_| "a thread panicked")??;
        Ok(serde_json::from_str(&line)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("the load ended early".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
