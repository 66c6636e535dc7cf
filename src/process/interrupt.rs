//! Ctrl-C, and the other signals that end a command, for commands that have something to clear away first. A server
//! has its own way to stop.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// From now on, the first SIGINT, SIGTERM or SIGHUP only asks the command to end; see [`is_asked`]. The second one ends
/// the process. A signal that is ignored, such as SIGHUP under `nohup`, stays so.
pub fn listen() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeros are a valid `sigaction`, and the calls read or fill one. The handler only stores into an
        // atomic.
        unsafe {
            if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let mut action = action.assume_init();
            if action.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            action.sa_sigaction = note as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Whether a signal has asked the command to end.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
