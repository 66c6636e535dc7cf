//! What concerns the process as a whole: its standard streams, its memory, the priority of its threads, and its end. Nothing
//! of what the program is for belongs here.

pub mod critical;
pub mod memory;
pub mod output;
pub mod priority;

use std::time::Duration;

/// How long the end waits for lines of the log that are still to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Ends the process at once, without letting anything else go on, after the log's lines where somebody reads them.
pub fn end(code: i32) -> ! {
    output::flush(LAST_LINES);
    // SAFETY: ends the process. `exit` would run destructors beside threads that still use what they destroy.
    unsafe { libc::_exit(code) }
}
