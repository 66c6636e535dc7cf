//! The real binary, started on a free port with a file of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::{Client, DEADLINE};

/// How a server is started.
#[derive(Clone)]
pub struct Setup {
    folder: Arc<TempDir>,
    database: PathBuf,
    dev: bool,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
}

/// A running server, killed on drop.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub log: Arc<Log>,
    setup: Setup,
}

/// The exit code and the output of a command that ended by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The command did what it was to do.
    #[track_caller]
    pub fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{self:#?}");
    }

    /// The only line of a command that failed.
    #[track_caller]
    pub fn refused(&self) -> String {
        assert!(self.code == Some(1) && self.stdout.is_empty(), "{self:#?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:#?}");
        self.stderr.clone()
    }
}

/// Every line of both output streams, as it comes.
#[derive(Default)]
pub struct Log {
    lines: Mutex<(Vec<String>, usize)>,
    changed: Condvar,
}

impl Setup {
    /// As on a laptop, with `--dev`: no admin token, loopback destinations are allowed.
    pub fn dev() -> Self {
        Self { dev: true, ..Self::guarded() }
    }

    /// As on a server: the admin token is in a file, loopback destinations are refused.
    pub fn guarded() -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let database = folder.path().join("test.db");
        Self { folder, database, dev: false, flags: Vec::new(), environment: Vec::new(), wrapper: Vec::new() }
    }

    /// The same file, without `--dev`.
    pub fn without_dev(mut self) -> Self {
        self.dev = false;
        self
    }

    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn database(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.database);
        self
    }

    /// Starts the server through this command, which must end by replacing itself with the arguments that follow.
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn database_path(&self) -> &Path {
        &self.database
    }

    /// The test's own folder, which is removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.push(env!("CARGO_BIN_EXE_data-pusher").to_owned());
        words.push("serve".to_owned());
        if self.dev {
            words.push("--dev".to_owned());
        }
        words.extend(["--database".to_owned(), self.database.display().to_string()]);
        // Defaults, unless the test gives its own values.
        for (flag, value) in [("--listen", "127.0.0.1:0"), ("--log-format", "json")] {
            let variable = format!("DATA_PUSHER_{}", flag[2..].to_uppercase().replace('-', "_"));
            if !self.flags.iter().any(|given| given == flag)
                && !self.environment.iter().any(|(name, _)| *name == variable)
            {
                words.extend([flag.to_owned(), value.to_owned()]);
            }
        }
        words.extend(self.flags.iter().cloned());
        let mut command = command(&words);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|log| panic!("it does not listen: {log:#?}"))
    }

    /// Starts the server. If it ends before it listens, returns its output.
    #[track_caller]
    pub fn try_start(&self) -> Result<Server, Vec<String>> {
        let mut child = self.command().spawn().expect("the binary starts");
        let log = Arc::new(Log::default());
        log.follow(child.stderr.take().expect("stderr"));
        log.follow(child.stdout.take().expect("stdout"));
        let Some(address) = log.wait_for(listening) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(log.lines());
        };
        Ok(Server { child, address, log, setup: self.clone() })
    }

    /// Runs the server until it ends by itself.
    #[track_caller]
    pub fn run(&self) -> Ended {
        run(self.command())
    }
}

/// Runs the binary with exactly these arguments, until it ends.
#[track_caller]
pub fn run_binary(arguments: &[&str]) -> Ended {
    let mut words = vec![env!("CARGO_BIN_EXE_data-pusher").to_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    run(command(&words))
}

/// Runs the binary like [`run_binary`], with these variables.
#[track_caller]
pub fn run_binary_with(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut words = vec![env!("CARGO_BIN_EXE_data-pusher").to_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    let mut command = command(&words);
    command.envs(variables.iter().copied());
    run(command)
}

/// A command of the binary that stopped itself where the test asked for it.
pub struct Halted(Child);

impl Halted {
    /// Starts the binary and waits until it stops at `point`.
    #[track_caller]
    pub fn at(point: &str, arguments: &[&str]) -> Self {
        let mut words = vec![env!("CARGO_BIN_EXE_data-pusher").to_owned()];
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        let mut command = command(&words);
        let child = command.env("DATA_PUSHER_TEST_STOP", point).spawn().expect("the binary starts");
        let id = i32::try_from(child.id()).expect("a process id");
        let mut status = 0;
        // SAFETY: `status` is one number that the call fills.
        let waited = unsafe { libc::waitpid(id, &raw mut status, libc::WUNTRACED) };
        assert!(waited == id && libc::WIFSTOPPED(status), "it did not stop at {point}: {status}");
        Self(child)
    }

    pub fn signal(&self, signal: i32) {
        let id = i32::try_from(self.0.id()).expect("a process id");
        // SAFETY: only sends a signal. The child was not waited for, so its process id is not used again.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Lets the command go on to its end.
    #[track_caller]
    pub fn go_on(self) -> Ended {
        self.signal(libc::SIGCONT);
        ended(self.0)
    }

    /// Kills the command by SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it is a child");
    }
}

/// Lets a child hear SIGHUP and SIGINT, also where the tests run under `nohup` or in the background of a shell, whose
/// children would ignore them.
pub fn hears_signals(command: &mut Command) {
    // SAFETY: between fork and exec only system calls are made, with plain numbers.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
}

/// A command with open output and without this process's settings.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("DATA_PUSHER_") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    hears_signals(&mut command);
    command
}

#[track_caller]
fn run(mut command: Command) -> Ended {
    ended(command.spawn().expect("the binary starts"))
}

#[track_caller]
fn ended(mut child: Child) -> Ended {
    let (out, err) = (Arc::new(Log::default()), Arc::new(Log::default()));
    out.follow(child.stdout.take().expect("stdout"));
    err.follow(child.stderr.take().expect("stderr"));
    let Some(status) = wait(&mut child) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("it should have ended by itself: {:#?}", err.lines());
    };
    Ended { code: status.code(), stdout: out.to_end(), stderr: err.to_end() }
}

/// The exit status, if the process ends before the deadline.
pub fn wait(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return Some(status);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    None
}

impl Server {
    pub fn client(&self) -> Client {
        let token = (!self.setup.dev).then(|| self.admin_token()).flatten();
        Client::new(self.address, token)
    }

    /// The admin token from the file that the first start creates.
    pub fn admin_token(&self) -> Option<String> {
        std::fs::read_to_string(self.admin_token_path()).ok().map(|text| text.trim().to_owned())
    }

    pub fn admin_token_path(&self) -> PathBuf {
        self.companion(".admin-token")
    }

    /// The link that the start prints. A browser that follows the link is logged in.
    #[track_caller]
    pub fn login_link(&self) -> String {
        let link = self.log.wait_for(|line| {
            let record: Value = serde_json::from_str(line).ok()?;
            record["link"].as_str().map(str::to_owned)
        });
        link.unwrap_or_else(|| panic!("it prints no link: {:#?}", self.log.lines()))
    }

    /// A file beside the database, with the database's name and this ending.
    pub fn companion(&self, ending: &str) -> PathBuf {
        PathBuf::from(format!("{}{ending}", self.setup.database.display()))
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is a child");
    }

    pub fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: only sends a signal. The child was not waited for, so its process id is not used again.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Waits until the server has ended, and returns its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let status = wait(&mut self.child).unwrap_or_else(|| panic!("it does not end: {:#?}", self.log.lines()));
        status.code()
    }

    /// Stops the server by SIGTERM. The exit code must be 0.
    #[track_caller]
    pub fn terminate(&mut self) {
        self.signal(libc::SIGTERM);
        assert_eq!(self.wait(), Some(0), "{:#?}", self.log.lines());
    }

    /// Whether the server still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    /// Starts the server again on the same file, after an end of any kind.
    #[track_caller]
    pub fn start_again(&mut self) {
        let setup = self.setup.clone();
        self.start_again_as(&setup);
    }

    /// Starts the server again with another setup.
    #[track_caller]
    pub fn start_again_as(&mut self, setup: &Setup) {
        assert!(!self.runs(), "it still runs");
        *self = setup.start();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the server: {:#?}", self.log.lines());
        }
    }
}

/// The address in the log record "listening". Libraries may write other records with that message.
fn listening(line: &str) -> Option<SocketAddr> {
    let record: Value = serde_json::from_str(line).ok()?;
    let address = record["address"].as_str().filter(|_| record["message"] == "listening")?;
    Some(address.parse().expect("an IP address and a port"))
}

impl Log {
    pub fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let log = Arc::clone(self);
        log.lines.lock().unwrap().1 += 1;
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                log.lines.lock().unwrap().0.push(text);
                log.changed.notify_all();
                line.clear();
            }
            log.lines.lock().unwrap().1 -= 1;
            log.changed.notify_all();
        });
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().0.clone()
    }

    /// All output, once the streams have ended.
    pub fn to_end(&self) -> String {
        let all = self.lines.lock().unwrap();
        let (all, waited) = self.changed.wait_timeout_while(all, DEADLINE, |(_, open)| *open > 0).unwrap();
        assert!(!waited.timed_out(), "the output does not end");
        all.0.join("\n")
    }

    /// The result of `pick` on the first line for which it returns one. `None` if the streams end or the deadline
    /// passes before.
    pub fn wait_for<T>(&self, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + DEADLINE;
        let mut all = self.lines.lock().unwrap();
        loop {
            if let Some(picked) = all.0.iter().find_map(|line| pick(line)) {
                return Some(picked);
            }
            let left = end.saturating_duration_since(Instant::now());
            if all.1 == 0 || left.is_zero() {
                return None;
            }
            all = self.changed.wait_timeout(all, left).unwrap().0;
        }
    }
}
