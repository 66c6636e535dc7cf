//! The signals that stop the server, and those that change the levels of its log.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::{LevelChange, LogLevels};
use crate::error::{Error, Result};

/// Waits for SIGTERM, SIGINT and SIGHUP. SIGHUP does not count where it is ignored, as under `nohup`.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// The system does not allow a handler.
    pub fn new() -> Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: if is_ignored(libc::SIGHUP) { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next signal and returns its name.
    pub async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(_) = async { self.hang_up.as_mut()?.recv().await } => "SIGHUP",
        }
    }
}

/// Waits for SIGUSR1 and SIGUSR2.
pub struct LogSignals {
    change: Signal,
    usual: Signal,
}

impl LogSignals {
    /// From now on these signals do not end the process.
    ///
    /// # Errors
    /// The system does not allow a handler.
    pub fn new() -> Result<Self> {
        Ok(Self { change: listen(SignalKind::user_defined1())?, usual: listen(SignalKind::user_defined2())? })
    }

    /// Changes the levels of the log as the signals ask.
    pub async fn follow(mut self, mut levels: LogLevels) {
        loop {
            levels.set(tokio::select! {
                _ = self.change.recv() => LevelChange::Toggle,
                _ = self.usual.recv() => LevelChange::Usual,
            });
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Error::internal(format!("cannot listen for signals: {error}")))
}

/// Whether the process was started with `signal` ignored.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut known = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `known` has space for one `sigaction`. The call fills the space when it returns 0, and changes no
    // handler.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), known.as_mut_ptr()) == 0
            && known.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
