//! Limits of the system that concern the process: open files and sizes of files.

/// What the limit of open files is raised to where the system allows it.
const MAX_OPEN_FILES: libc::rlim_t = 1_048_576;

/// What the limit is taken for where the system does not tell it.
const DEFAULT_OPEN_FILES: libc::rlim_t = 1_024;

/// A write past the limit of file sizes is to fail like one to a full disk, and not to kill the process.
pub fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no handler that could run at a bad moment.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Each host keeps connections, and the usual soft limit of 1,024 files would be reached by a thousand of them.
/// Returns what the limit is then.
pub fn raise_open_files(workers: usize) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return DEFAULT_OPEN_FILES;
    }
    // macOS refuses its own "unlimited".
    let wanted = limit.rlim_max.min(MAX_OPEN_FILES);
    if limit.rlim_cur < wanted {
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a whole `rlimit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit.rlim_cur = wanted;
        }
    }
    if limit.rlim_cur < 2 * workers as libc::rlim_t + 256 {
        tracing::warn!(limit = limit.rlim_cur, workers, "few open files are allowed; raise it with ulimit -n");
    }
    limit.rlim_cur
}
