//! Commands of the binary that run beside a test, such as `listen` and `send`.

use std::io::Write as _;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::Arc;

use tokio::net::TcpSocket;

use super::server::{Ended, Log, command, wait};

/// A command that runs. It is killed on drop.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    pub out: Arc<Log>,
    pub err: Arc<Log>,
}

impl Program {
    /// Starts the binary with these arguments and variables. Its standard input is open and empty.
    #[track_caller]
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut words = vec![env!("CARGO_BIN_EXE_data-pusher").to_owned()];
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        let mut command = command(&words);
        command.envs(variables.iter().copied()).stdin(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (out, err) = (Arc::new(Log::default()), Arc::new(Log::default()));
        out.follow(child.stdout.take().expect("stdout"));
        err.follow(child.stderr.take().expect("stderr"));
        Self { input: child.stdin.take(), child, out, err }
    }

    /// Writes to its standard input, which stays open.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it is open");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("it reads its input");
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    pub fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: only sends a signal. The child was not waited for, so its process id is not used again.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Kills it by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is a child");
    }

    /// Waits until it has ended by itself, and returns its code and whole output.
    #[track_caller]
    pub fn end(&mut self) -> Ended {
        self.input = None;
        let status: Option<ExitStatus> = wait(&mut self.child);
        let status = status.unwrap_or_else(|| panic!("it does not end: {:#?}", self.err.lines()));
        Ended { code: status.code(), stdout: self.out.to_end(), stderr: self.err.to_end() }
    }

    /// The line of standard error that has this text, once it is there.
    #[track_caller]
    pub fn said(&self, text: &str) -> String {
        let line = self.err.wait_for(|line| line.contains(text).then(|| line.to_owned()));
        line.unwrap_or_else(|| panic!("it does not say {text:?}: {:#?}", self.err.lines()))
    }

    /// The line of standard output that has this text, once it is there.
    #[track_caller]
    pub fn printed(&self, text: &str) -> String {
        let line = self.out.wait_for(|line| line.contains(text).then(|| line.to_owned()));
        line.unwrap_or_else(|| panic!("it does not print {text:?}: {:#?} {:#?}", self.out.lines(), self.err.lines()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A URL at which nobody listens. Its port is taken, so that nobody else gets it, as long as the socket lives.
pub fn refused_url() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    (socket, url)
}
