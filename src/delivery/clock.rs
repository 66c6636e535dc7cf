//! Two clocks. People, signatures and HTTP dates want the wall's. Due times want one that nobody can set: a wall clock
//! that jumps would freeze all retries, or fire them all.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// The engine's clock: the wall clock's time at start, and from then on what really passed, sleep of the machine
/// included.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall_at_start: i64,
    steady_at_start: i64,
}

impl Clock {
    /// Starts it at the wall clock's time.
    pub fn start() -> Self {
        Self { wall_at_start: wall().millis(), steady_at_start: steady_millis() }
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_at_start + (steady_millis() - self.steady_at_start))
    }

    /// How far the wall clock is before this one, in milliseconds: 0 until somebody sets it.
    pub fn skew(&self) -> i64 {
        wall().millis() - self.now().millis()
    }
}

/// The wall clock.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds on a clock that nobody sets and that goes on while the machine sleeps.
fn steady_millis() -> i64 {
    // On macOS the monotonic clock counts sleep; on Linux that is the boot-time one.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one `timespec`.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    #[allow(clippy::unnecessary_cast, reason = "the widths of these fields differ between platforms")]
    let millis = time.tv_sec as i64 * 1_000 + time.tv_nsec as i64 / 1_000_000;
    millis
}
