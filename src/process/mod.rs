//! What concerns the whole process: standard streams, memory, thread priorities, and the end of the process. Nothing
//! about events, accounts or HTTP belongs here.

pub mod critical;
pub mod file_size;
pub mod groups;
pub mod harmless;
pub mod interrupt;
pub mod memory;
pub mod output;
pub mod priority;

use std::time::Duration;

/// How long the end of the process waits at most for log lines that are not written yet.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Ends the process at once. Before, log lines that are waiting are written, if that takes no longer than `LAST_LINES`.
pub fn end(code: i32) -> ! {
    output::flush(LAST_LINES);
    // SAFETY: the call only ends the process. `exit` would run destructors while other threads still use what they
    // destroy.
    unsafe { libc::_exit(code) }
}
