//! Priorities of threads. Accepting events comes first, then sending them, then reading lists.

use std::cell::Cell;

/// Work with a lower priority than accepting events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Sending deliveries. At equal priority, one million queued deliveries reduced the rate of accepted events to a
    /// quarter.
    Sending,
    /// Reads for the API and for background work, and making long responses.
    Reading,
}

#[cfg(target_os = "linux")]
impl Rank {
    fn nice(self) -> libc::c_int {
        match self {
            Self::Sending => 10,
            Self::Reading => 15,
        }
    }
}

thread_local! {
    static LOWERED: Cell<bool> = const { Cell::new(false) };
}

/// Lowers the priority of the calling thread for the rest of its life. A later call on the same thread changes nothing.
pub fn lower(to: Rank) {
    if LOWERED.replace(true) {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the arguments are plain numbers, and 0 is the calling thread. Where the call fails, the priority stays
    // the same.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, to.nice())
    };
    #[cfg(not(target_os = "linux"))]
    let _ = to;
}
