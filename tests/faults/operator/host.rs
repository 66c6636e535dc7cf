//! A server as an operator starts it: in a folder, by any name of the file, with any streams and limits.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::server::hears_signals;
use crate::harness::{Client, DEADLINE, wait_until};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_data-pusher");

/// How a server is started.
#[derive(Clone)]
pub struct Start {
    folder: PathBuf,
    database: OsString,
    /// Redirection of the shell behind the command, such as `2>&-`.
    redirection: String,
    /// Words before the command. The program that they name runs the command.
    wrapper: Vec<String>,
    variables: Vec<(String, String)>,
    flags: Vec<String>,
}

/// A server that listens, killed on drop.
pub struct Host {
    pub child: Child,
    pub address: SocketAddr,
    /// File of its standard error, unless that was redirected.
    said: PathBuf,
}

/// A server that ended before it listened.
#[derive(Debug)]
pub struct Refusal {
    pub code: Option<i32>,
    pub said: String,
}

impl Start {
    /// A start on a file that is named as seen from `folder`.
    pub fn on(folder: &Path, database: impl AsRef<OsStr>) -> Self {
        Self {
            folder: folder.to_owned(),
            database: database.as_ref().to_owned(),
            redirection: String::new(),
            wrapper: Vec::new(),
            variables: Vec::new(),
            flags: Vec::new(),
        }
    }

    pub fn redirected(mut self, redirection: &str) -> Self {
        redirection.clone_into(&mut self.redirection);
        self
    }

    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Spawns the program. `streams` may change its standard streams.
    pub fn spawn(&self, address: SocketAddr, streams: impl FnOnce(&mut Command)) -> Child {
        let mut command = shell(&self.redirection, &self.wrapper);
        command.current_dir(&self.folder).args(["serve", "--dev", "--log-format", "json", "--listen"]);
        let database = OsString::from_iter([OsStr::new("--database="), &self.database]);
        command.arg(address.to_string()).arg(database).args(&self.flags);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        streams(&mut command);
        hears_signals(&mut command);
        command.spawn().expect("a shell starts")
    }

    /// Starts the server, and waits until it listens or ends.
    #[track_caller]
    pub fn go(&self) -> Result<Host, Refusal> {
        self.go_with(|_| {})
    }

    /// Like `go`, with other streams.
    #[track_caller]
    pub fn go_with(&self, mut streams: impl FnMut(&mut Command)) -> Result<Host, Refusal> {
        static SAID: AtomicUsize = AtomicUsize::new(0);
        loop {
            let said = self.folder.join(format!("said-{}", SAID.fetch_add(1, Ordering::Relaxed)));
            let address = free_address();
            let child = self.spawn(address, |command| {
                command.stderr(File::create(&said).unwrap());
                streams(command);
            });
            let mut host = Host { child, address, said };
            match host.wait_until_it_listens() {
                Ok(()) => return Ok(host),
                // Another process took the port first.
                Err(refusal) if refusal.said.contains("cannot listen") => {}
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Starts the server, which must listen.
    #[track_caller]
    pub fn served(&self) -> Host {
        self.go().unwrap_or_else(|refusal| panic!("it is refused: {refusal:?}"))
    }

    /// Starts the server, which must refuse in one line. Returns that line.
    #[track_caller]
    pub fn refused(&self) -> String {
        match self.go() {
            Ok(host) => panic!("it is not refused, on {}: {}", self.database.display(), host.log()),
            Err(refusal) => refusal.line(),
        }
    }
}

/// The program, run by a shell with this redirection.
pub fn shell(redirection: &str, wrapper: &[String]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("exec \"$@\" {redirection}")).arg("sh").args(wrapper).arg(PROGRAM);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("DATA_PUSHER_") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command
}

/// A free address. The ports are below those that the system uses for outgoing connections, and each is used again only
/// after 15,000 others. Otherwise two sequences that run at the same time could use each other's server.
pub fn free_address() -> SocketAddr {
    const PORTS: u16 = 15_000;
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    loop {
        let next = NEXT.get_or_init(|| AtomicU16::new(fastrand::u16(..))).fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS + next % PORTS));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Refusal {
    /// The one line that an operator gets.
    #[track_caller]
    pub fn line(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        let lines: Vec<&str> = self.said.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: ") && self.said.ends_with('\n'), "{self:?}");
        assert!(!self.said.contains("panicked"), "{self:?}");
        self.said.trim_end().to_owned()
    }
}

impl Host {
    pub fn client(&self) -> Client {
        Client::new(self.address, None)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the server has written to standard error so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    fn wait_until_it_listens(&mut self) -> Result<(), Refusal> {
        let client = self.client();
        wait_until("it listens or ends", || {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return Some(Err(Refusal { code: status.code(), said: self.log() }));
            }
            let answer = client.try_send("GET", "/healthz", &[], None);
            answer.is_ok_and(|answer| answer.status == 200).then_some(Ok(()))
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: only sends a signal. The child was not waited for, so its process id is not used again.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// The exit status. Fails the test if the process does not end within `timeout`.
    #[track_caller]
    pub fn ended_within(&mut self, timeout: Duration) -> ExitStatus {
        let end = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return status;
            }
            assert!(Instant::now() < end, "it does not end within {timeout:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops the server in order by this signal. Returns what was written to standard error.
    #[track_caller]
    pub fn stop(mut self, signal: i32) -> String {
        self.signal(signal);
        let status = self.ended_within(DEADLINE);
        assert_eq!(status.code(), Some(0), "signal {signal}: {}", self.log());
        self.log()
    }

    /// SIGTERM.
    #[track_caller]
    pub fn terminate(self) {
        self.stop(libc::SIGTERM);
    }

    /// SIGKILL.
    #[track_caller]
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.ended_within(DEADLINE).signal(), Some(libc::SIGKILL));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server on {} said: {}", self.address, self.log());
        }
    }
}
