//! The number of open files that the operating system allows the process.

/// The limit of open files is raised at most to this, where the system allows so many.
const MAX_OPEN_FILES: libc::rlim_t = 1_048_576;

/// Limit of open files that is assumed where the system does not report its limit.
const DEFAULT_OPEN_FILES: libc::rlim_t = 1_024;

/// Raises the limit of open files, and returns the limit that is then in force. Connections to each host are kept, so a
/// thousand hosts would reach the usual soft limit of 1,024.
pub fn raise_open_files(workers: usize) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return DEFAULT_OPEN_FILES;
    }
    // macOS refuses its own value for "unlimited".
    let wanted = limit.rlim_max.min(MAX_OPEN_FILES);
    if limit.rlim_cur < wanted {
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a complete `rlimit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit.rlim_cur = wanted;
        }
    }
    if limit.rlim_cur < 2 * workers as libc::rlim_t + 256 {
        tracing::warn!(limit = limit.rlim_cur, workers, "few open files are allowed; raise it with ulimit -n");
    }
    limit.rlim_cur
}
