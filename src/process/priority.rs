//! Which threads outrank which: accepting events outranks all other work.

use std::cell::Cell;

/// Below accepting: at equal priority a million queued deliveries left a quarter of the accepts.
#[cfg(target_os = "linux")]
const NICE: libc::c_int = 10;

thread_local! {
    static LOWERED: Cell<bool> = const { Cell::new(false) };
}

/// Lets the calling thread give way to all of usual priority, from now on.
pub fn lower() {
    if LOWERED.replace(true) {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers; 0 is the calling thread. Where it is refused the thread stays at its priority.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE)
    };
}
