//! The standard streams. Whoever reads them may be slow, stopped or gone, and the disk behind them full: nothing may wait
//! for a line of the log, or fail for one. So a thread of its own writes them, and what it cannot write is dropped.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::critical::panic_point;

/// Bytes of lines that may wait to be written; further ones are dropped and counted.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

struct State {
    waiting: Vec<u8>,
    /// Lines that did not fit.
    dropped: u64,
    /// Whether the thread is at a write.
    writing: bool,
    /// Whether there is a thread; without one lines are written at once.
    started: bool,
}

static STATE: Mutex<State> = Mutex::new(State { waiting: Vec::new(), dropped: 0, writing: false, started: false });
static CHANGED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on lines for standard error are written by a thread.
///
/// # Errors
/// The operating system gives no thread.
pub fn start() -> io::Result<()> {
    std::thread::Builder::new().name("log".to_owned()).spawn(write_lines)?;
    state().started = true;
    Ok(())
}

fn write_lines() {
    let mut lines = Vec::new();
    loop {
        let mut state = state();
        while state.waiting.is_empty() {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut lines, &mut state.waiting);
        let dropped = std::mem::take(&mut state.dropped);
        state.writing = true;
        drop(state);
        panic_point("log");
        write_to_stderr(&lines);
        lines.clear();
        if dropped > 0 {
            tracing::warn!(lines = dropped, "lines of the log were dropped, as nobody read them in time");
        }
        self::state().writing = false;
        CHANGED.notify_all();
    }
}

/// Past the standard library's lock of the stream, which somebody who waits for a reader might hold. There is nobody to
/// tell of a failure.
fn write_to_stderr(bytes: &[u8]) {
    // SAFETY: the descriptor is there for as long as the process, as it is not closed here.
    let mut stream = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDERR_FILENO) });
    let mut left = bytes;
    while !left.is_empty() {
        match stream.write(left) {
            Ok(0) => return,
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares the stream may have it return at once.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wait = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
                // SAFETY: `wait` is one `pollfd`, and outlives the call.
                unsafe { libc::poll(&raw mut wait, 1, -1) };
            }
            Err(_) => return,
        }
    }
}

/// Writes a whole line, or several, to standard error: soon, unless nobody reads it.
pub fn log_line(line: &[u8]) {
    let mut state = state();
    if !state.started {
        drop(state);
        return write_to_stderr(line);
    }
    if state.waiting.len() + line.len() > MAX_WAITING_BYTES {
        state.dropped += 1;
        return;
    }
    state.waiting.extend_from_slice(line);
    drop(state);
    CHANGED.notify_all();
}

/// Waits until all lines are written, but no longer than `patience`.
pub fn flush(timeout: Duration) {
    let end = Instant::now() + timeout;
    let mut state = state();
    while state.started && (state.writing || !state.waiting.is_empty()) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        state = CHANGED.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Takes the lines of a logger, each as one write.
#[derive(Debug, Clone, Copy)]
pub struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        log_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what a command was asked for to standard output. A reader that wants no more, such as `head`, is no failure.
///
/// # Errors
/// It cannot be written, as to a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut stream = io::stdout().lock();
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
