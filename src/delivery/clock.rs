//! The engine's clock, and the wall clock. People, signatures and HTTP dates need the wall clock. Due times must not
//! use the wall clock: whoever sets that clock would stop all retries, or start them all.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// The clock of due times. Starts at the wall clock's time and then counts the time that really passed, including sleep
/// of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall_at_start: i64,
    steady_at_start: i64,
}

impl Clock {
    /// Starts the clock at the wall clock's time.
    pub fn start() -> Self {
        Self { wall_at_start: wall().millis(), steady_at_start: steady_millis() }
    }

    /// The time on this clock.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_at_start + (steady_millis() - self.steady_at_start))
    }

    /// How far the wall clock is ahead of this clock, in milliseconds: 0 until somebody sets the wall clock.
    pub fn skew(&self) -> i64 {
        wall().millis() - self.now().millis()
    }
}

/// The time on the wall clock.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds on a clock that nobody can set and that goes on while the machine sleeps.
fn steady_millis() -> i64 {
    // On Linux only the boot-time clock counts sleep. On macOS the monotonic clock does.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing one `timespec`.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    #[allow(clippy::unnecessary_cast, reason = "the widths of these fields differ between platforms")]
    let millis = time.tv_sec as i64 * 1_000 + time.tv_nsec as i64 / 1_000_000;
    millis
}
