//! Free space on the file system. A reserve is kept free of new events, so that the outcomes of accepted events can
//! still be written on a full disk. This file only measures; who is refused is decided elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

/// Reserve on a large file system, in bytes (64 MiB). On a small one it is a sixteenth of the file system.
const RESERVE: u64 = 64 * 1024 * 1024;

/// With more free bytes than this (512 MiB) the WAL may grow long.
const AMPLE: u64 = 512 * 1024 * 1024;

/// How long one measurement is used, so that not every write asks the file system.
const TTL: Duration = Duration::from_millis(100);

const _: () = assert!(RESERVE < AMPLE, "a disk below the reserve has no ample space");

/// How much space a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeSpace {
    /// Enough for everything.
    Ample,
    /// Enough for events, but not for a long WAL.
    Little,
    /// Nothing beyond the reserve.
    Low,
}

/// Sizes of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Free for this process.
    pub free: u64,
    /// Kept free of new events.
    pub reserve: u64,
}

/// Measures the file system of `path`. `None` if it gives no answer.
pub fn measure(path: &Path) -> Option<DiskSpace> {
    sizes(path).map(|(free, total)| DiskSpace { free, reserve: reserve(total) })
}

fn reserve(total: u64) -> u64 {
    RESERVE.min(total / 16)
}

impl FreeSpace {
    fn of(free: u64, total: u64) -> Self {
        match free {
            _ if free <= reserve(total) => Self::Low,
            _ if free <= AMPLE => Self::Little,
            _ => Self::Ample,
        }
    }
}

/// Whether free space on the file system of `path` is below the reserve.
pub fn is_low(path: &Path) -> bool {
    sizes(path).is_some_and(|(free, total)| FreeSpace::of(free, total) == FreeSpace::Low)
}

/// Whether free space on the file system of `path` is less than twice the reserve. What only helps the server must end
/// there, so that the server can go on.
pub fn is_near_reserve(path: &Path) -> bool {
    sizes(path).is_some_and(|(free, total)| free <= 2 * RESERVE.min(total / 16))
}

/// Free bytes on the file system of `path`, if it says so.
pub fn free(path: &Path) -> Option<u64> {
    sizes(path).map(|(free, _)| free)
}

/// Measures the free space, at most once in [`TTL`].
#[derive(Default)]
pub struct Monitor {
    looked: Option<(Instant, FreeSpace)>,
}

impl Monitor {
    /// Free space on the file system of `path`. Ample if the file system gives no answer: then the write itself
    /// decides.
    pub fn free_space(&mut self, path: &Path) -> FreeSpace {
        match self.looked {
            Some((at, room)) if at.elapsed() < TTL => room,
            before => {
                let room = sizes(path).map_or(FreeSpace::Ample, |(free, total)| FreeSpace::of(free, total));
                if before.is_none_or(|(_, was)| was != room) && room == FreeSpace::Low {
                    tracing::error!("disk space is below the reserve; events are refused until there is room");
                }
                self.looked = Some((Instant::now(), room));
                room
            }
        }
    }
}

/// Free and total bytes of the file system that holds `path`.
fn sizes(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is NUL-terminated, and `stat` has room for one `statvfs`, which the call fills when it returns 0.
    let stat = unsafe {
        if libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return None;
        }
        stat.assume_init()
    };
    #[allow(clippy::unnecessary_cast, reason = "the widths of these fields differ between platforms")]
    let (block, free, total) = (stat.f_frsize as u64, stat.f_bavail as u64, stat.f_blocks as u64);
    (total > 0).then(|| (free.saturating_mul(block), total.saturating_mul(block)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_smaller_on_a_small_file_system() {
        assert_eq!(FreeSpace::of(2 << 20, 24 << 20), FreeSpace::Little);
        assert_eq!(FreeSpace::of(1 << 20, 24 << 20), FreeSpace::Low);
        assert_eq!(FreeSpace::of(RESERVE, 1 << 40), FreeSpace::Low);
        assert_eq!(FreeSpace::of(AMPLE, 1 << 40), FreeSpace::Little);
        assert_eq!(FreeSpace::of(AMPLE + 1, 1 << 40), FreeSpace::Ample);
    }
}
