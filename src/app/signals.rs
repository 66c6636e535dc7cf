//! The signals that stop the server.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

/// SIGTERM, SIGINT, and SIGHUP unless it is ignored: `nohup` asks for that.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// From now on these signals end the process no more by themselves.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn new() -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::internal(format!("cannot listen for signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: if is_ignored(libc::SIGHUP) { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    /// The name of the next one.
    pub async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(_) = async { self.hang_up.as_mut()?.recv().await } => "SIGHUP",
        }
    }
}

/// Whether whoever started this process has it ignore `signal`.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut known = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `known` is room for one `sigaction`, which the call fills when it gives 0; nothing is changed.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), known.as_mut_ptr()) == 0
            && known.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
