//! A number that several processes share: how many events have been delivered. The generator reads the number before
//! every event, so a read must cost almost nothing.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Result;

/// Length of the shared file, in bytes.
const SIZE: usize = 4_096;

/// A number in a file that is mapped into memory.
pub struct Tally(NonNull<AtomicU64>);

// SAFETY: the pointer leads to an atomic number that does not move until the value is dropped.
unsafe impl Send for Tally {}
// SAFETY: as above.
unsafe impl Sync for Tally {}

impl Tally {
    /// Opens the number in the file `path`, and creates the file if there is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        file.set_len(SIZE as u64)?;
        // SAFETY: a new mapping of an open file of this size, at an address that the system chooses.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if place == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(Self(NonNull::new(place.cast()).ok_or("mapped to nowhere")?))
    }

    fn number(&self) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned, larger than the number, and stays until the value is dropped.
        unsafe { self.0.as_ref() }
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.number().load(Ordering::Relaxed)
    }

    /// Sets the number. Only one process may write.
    pub fn set(&self, number: u64) {
        self.number().store(number, Ordering::Relaxed);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from the mapping any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE) };
    }
}
