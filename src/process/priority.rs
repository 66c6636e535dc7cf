//! Which threads outrank which: accepting events outranks all other work, and sending them outranks reading lists.

use std::cell::Cell;

/// Work that is below accepting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Deliveries. At equal priority a million queued ones left a quarter of the accepts.
    Sending,
    /// Reads of the API and of the background's looks, and long answers.
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

/// Lets the calling thread give way to all that outranks this, from now on. A thread has one rank for its life.
pub fn lower(to: Rank) {
    if LOWERED.replace(true) {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers; 0 is the calling thread. Where it is refused the thread stays at its priority.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, to.nice())
    };
    #[cfg(not(target_os = "linux"))]
    let _ = to;
}
