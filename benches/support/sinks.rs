//! The bench's handle of the process that receives on gates.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Result;
use super::system::ends_with_us;

/// Hidden argument with which the bench starts itself as the receiver. The file for its authority's certificate
/// follows.
pub const SINK_ARGUMENT: &str = "--be-the-sink";

/// The process that receives on gates.
pub struct Sinks {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Path of the certificate of its authority.
    pub authority: PathBuf,
    _folder: tempfile::TempDir,
}

/// A port of the receiving process.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    number: usize,
    port: u16,
    scheme: &'static str,
}

/// A request that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The number in its path.
    pub destination: u64,
    /// Time at which its event was sent.
    pub sent_us: u64,
    /// Time at which it arrived.
    pub arrived_us: u64,
    /// Whether it was answered 200.
    pub answered_ok: bool,
}

impl Gate {
    /// URL of destination `number` at this gate.
    pub fn url(&self, number: usize) -> String {
        format!("{}://127.0.0.1:{}/{number}", self.scheme, self.port)
    }
}

impl Sinks {
    /// Starts the process.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = folder.path().join("authority.pem");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(SINK_ARGUMENT).arg(&authority).stdin(Stdio::piped()).stdout(Stdio::piped());
        ends_with_us(&mut command);
        let mut child = command.spawn()?;
        let (commands, answers) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, commands, answers: BufReader::new(answers), authority, _folder: folder })
    }

    /// Opens a gate over http.
    pub fn open(&mut self, mode: &str) -> Result<Gate> {
        self.open_as(mode, "http")
    }

    /// Opens a gate over https.
    pub fn open_secure(&mut self, mode: &str) -> Result<Gate> {
        self.open_as(&format!("{mode} secure"), "https")
    }

    fn open_as(&mut self, how: &str, scheme: &'static str) -> Result<Gate> {
        let [number, port] = self.ask(&format!("open {how}"))?[..] else { return Err("no gate".into()) };
        Ok(Gate { number: usize::try_from(number)?, port: u16::try_from(port)?, scheme })
    }

    /// Changes the mode of a gate, for all its connections at once. Returns the time of the change.
    pub fn switch(&mut self, gate: Gate, mode: &str) -> Result<u64> {
        Ok(*self.ask(&format!("mode {} {mode}", gate.number))?.first().ok_or("no answer")?)
    }

    /// Number of requests, and how many of them are not answered yet.
    pub fn count(&mut self, gate: Gate) -> Result<(u64, u64)> {
        let [requests, held] = self.ask(&format!("count {}", gate.number))?[..] else { return Err("no count".into()) };
        Ok((requests, held))
    }

    /// All requests that arrived.
    pub fn arrivals(&mut self, gate: Gate) -> Result<Vec<Arrival>> {
        let count = *self.ask(&format!("report {}", gate.number))?.first().ok_or("no answer")?;
        (0..count)
            .map(|_| {
                let [destination, sent_us, arrived_us, ok] = self.numbers()?[..] else {
                    return Err("no arrival".into());
                };
                Ok(Arrival { destination, sent_us, arrived_us, answered_ok: ok == 1 })
            })
            .collect()
    }

    fn ask(&mut self, command: &str) -> Result<Vec<u64>> {
        writeln!(self.commands, "{command}")?;
        self.commands.flush()?;
        self.numbers()
    }

    fn numbers(&mut self) -> Result<Vec<u64>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the receiving process ended".into());
        }
        Ok(line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?)
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
