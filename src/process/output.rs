//! Writes to the standard streams. A reader of the log may be slow, stopped or gone, and a disk may be full: no caller
//! may wait or fail because of a log line. So a separate thread writes the lines. Lines that cannot be queued or
//! written are dropped.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::critical::panic_point;

/// Whether colours and progress may go to `stream`: only to a terminal that can show them, and not with `NO_COLOR`.
pub fn is_rich(stream: &impl IsTerminal) -> bool {
    // https://no-color.org: set and not empty. A dumb terminal shows escape sequences as they are.
    let is_set =
        |name, wanted: fn(&std::ffi::OsStr) -> bool| std::env::var_os(name).is_some_and(|value| wanted(&value));
    stream.is_terminal() && !is_set("NO_COLOR", |value| !value.is_empty()) && !is_set("TERM", |value| value == "dumb")
}

/// Most bytes of log lines that may wait to be written. Further lines are dropped and counted.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

struct State {
    waiting: Vec<u8>,
    /// Lines that were dropped since the last report.
    dropped: u64,
    /// Whether the thread is writing now.
    writing: bool,
    /// Whether the thread was started. Without the thread, lines are written at once.
    started: bool,
}

static STATE: Mutex<State> = Mutex::new(State { waiting: Vec::new(), dropped: 0, writing: false, started: false });
static CHANGED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that writes lines to standard error.
///
/// # Errors
/// The operating system cannot start a thread.
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

/// Writes without the standard library's lock of the stream: a thread that waits for a slow reader may hold the lock.
/// Failures are ignored, because there is no place to report them.
fn write_to_stderr(bytes: &[u8]) {
    // SAFETY: the descriptor stays open as long as the process, because `ManuallyDrop` keeps it from being closed here.
    let mut stream = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDERR_FILENO) });
    let mut left = bytes;
    while !left.is_empty() {
        match stream.write(left) {
            Ok(0) => return,
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process that shares the stream may have made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wait = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
                // SAFETY: `wait` is one `pollfd`, and outlives the call.
                unsafe { libc::poll(&raw mut wait, 1, -1) };
            }
            Err(_) => return,
        }
    }
}

/// Queues one or more complete lines for standard error. Lines are dropped if the queue is full, and written at once if
/// the thread is not started.
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

/// Waits until all lines are written, but at most for `timeout`.
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

/// Accepts the lines of a logger. Each write is one line.
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

/// Writes the result of a command to standard output. A reader that stops reading early, such as `head`, is no error.
///
/// # Errors
/// The text cannot be written, for example because the disk is full.
pub fn print(text: &str) -> io::Result<()> {
    let mut stream = io::stdout().lock();
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Whether nobody can read standard output any more: the other end of the pipe, socket or terminal is gone. A file
/// always has a reader.
pub fn is_closed() -> bool {
    poll_closed(0).unwrap_or(false)
}

/// Waits until nobody can read standard output any more. Returns false if the system cannot tell.
pub fn wait_until_closed() -> bool {
    loop {
        match poll_closed(-1) {
            Ok(is_closed) => return is_closed,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Asks, and waits up to so many milliseconds for yes; -1 is without end.
fn poll_closed(millis: libc::c_int) -> io::Result<bool> {
    // Errors and hang-ups are reported without being asked for.
    let mut polled = libc::pollfd { fd: libc::STDOUT_FILENO, events: 0, revents: 0 };
    // SAFETY: `polled` is one `pollfd`, and outlives the call.
    if unsafe { libc::poll(&raw mut polled, 1, millis) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.revents & (libc::POLLERR | libc::POLLHUP) != 0)
}
