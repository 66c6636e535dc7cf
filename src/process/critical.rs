//! Threads and tasks that the server cannot do without. Where one of them panics the process ends, so that a supervisor
//! starts it again: half a server would take events and deliver none. What was acknowledged is in the file.

use super::end;

/// Exit code after a panic, as of a Rust program whose main thread panicked.
const PANICKED: i32 = 101;

/// Kept by a thread, or inside a task, for as long as it runs: ends the process where it unwinds.
#[derive(Debug)]
pub struct EndsProcess(pub &'static str);

impl Drop for EndsProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let part = self.0;
            tracing::error!(
                part,
                "a part that the server cannot do without has panicked; the server ends, to be started again"
            );
            end(PANICKED);
        }
    }
}

/// Panics where a test asks for it: once a file of this name is in the folder that `DATA_PUSHER_TEST_PANICS` names. Not in
/// released builds.
#[cfg(debug_assertions)]
pub fn panic_point(name: &str) {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| std::env::var_os("DATA_PUSHER_TEST_PANICS").map(PathBuf::from));
    if let Some(folder) = folder
        && std::fs::remove_file(folder.join(name)).is_ok()
    {
        panic!("a test asks for a panic here: {name}");
    }
}

/// In released builds there is nothing to ask.
#[cfg(not(debug_assertions))]
pub fn panic_point(_: &str) {}
