//! Threads and tasks that the server needs. Where one of them panics, the process ends, so that a supervisor starts it
//! again. Otherwise the server could accept events and deliver none. Acknowledged events are in the file.

use super::end;

/// Exit code after a panic; a Rust program whose main thread panics has the same.
const PANICKED: i32 = 101;

/// Ends the process if it is dropped during a panic. A thread or task keeps one for as long as it runs.
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

/// Panics where a test asks for it, only in debug builds. The test puts a file `name` into the folder that
/// `DATA_PUSHER_TEST_PANICS` names, and this function removes the file before it panics.
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

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
pub fn panic_point(_: &str) {}

/// Ends the process as a kill does, or stops it until SIGCONT, where a test asks for that, only in debug builds. The
/// test names the point in the variable `DATA_PUSHER_TEST_KILL` or `DATA_PUSHER_TEST_STOP`.
#[cfg(debug_assertions)]
pub fn kill_point(name: &str) {
    let is_asked = |variable| std::env::var_os(variable).is_some_and(|asked| asked == name);
    if is_asked("DATA_PUSHER_TEST_KILL") {
        // SAFETY: the call only ends the process, and runs no destructor.
        unsafe { libc::_exit(137) };
    }
    if is_asked("DATA_PUSHER_TEST_STOP") {
        // SAFETY: the call only stops the process.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
}

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
pub fn kill_point(_: &str) {}
