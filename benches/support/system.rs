//! Queries to the operating system: the clock that all processes share, file descriptors, memory, and the end of
//! children.

use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Microseconds on the clock that all processes of the machine share.
pub fn now_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // The widths of these fields differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    let micros = time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000;
    micros
}

/// Raises the limit of open files as far as allowed, and returns the limit. Children inherit it.
pub fn many_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`, and setting reads it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            // macOS does not accept an unlimited number.
            limit.rlim_cur = limit.rlim_max.min(65_536);
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
    limit.rlim_cur
}

/// Makes the listener's queue of waiting connections longer than the standard library does: 4,096.
pub fn long_backlog(listener: &std::net::TcpListener) {
    // SAFETY: the descriptor is open as long as `listener` is. Listening again only changes the length of the queue.
    unsafe { libc::listen(listener.as_raw_fd(), 4096) };
}

/// Closes a connection with a reset.
pub fn reset(stream: TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the descriptor is open as long as `stream` is, and the option's value is one `linger`.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const at_once).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        );
    }
}

/// Makes the child end with this process, also if this process is killed.
pub fn ends_with_us(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt as _;
        // SAFETY: between fork and exec only one system call is made, with plain numbers.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Sends SIGTERM to a child.
pub fn terminate(child: &Child) {
    // SAFETY: plain numbers. The child was not waited for, so its process id is not used again.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
}

/// Resident memory of a process, in bytes.
pub fn resident(process: u32) -> Option<u64> {
    let kib: u64 = match std::fs::read_to_string(format!("/proc/{process}/status")) {
        Ok(status) => {
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        }
        Err(_) => {
            let asked =
                Command::new("ps").args(["-o", "rss=", "-p", &process.to_string()]).stderr(Stdio::null()).output();
            String::from_utf8(asked.ok()?.stdout).ok()?.trim().parse().ok()
        }
    }?;
    Some(kib * 1024)
}

/// Processor time that a process has used, in seconds; `None` where the system does not tell.
pub fn processor_time(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold spaces. Counted from its end, these are fields 14 and 15 of the line: user and system time.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // SAFETY: asks for a constant of the system.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ticks / a_second as f64)
}

/// Processor time that this process has used, in seconds; NaN where the system does not tell.
pub fn own_processor_time() -> f64 {
    processor_time(std::process::id()).unwrap_or(f64::NAN)
}

/// Cargo's target folder into which this program was built; the working directory if there is none.
pub fn target_folder() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    let target = here.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.map_or_else(|| PathBuf::from("."), Path::to_owned)
}
