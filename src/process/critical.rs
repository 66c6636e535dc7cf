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
