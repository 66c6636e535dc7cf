//! The limit of the size of a file (`ulimit -f`).

/// Makes a write past the limit of file sizes fail like a write to a full disk. By default the signal ends the process.
pub fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no handler, so no code can run at a wrong moment.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
