//! The memory budget for documents and responses of all clients and destinations together. However many clients and
//! destinations there are, and however slow, they use no more memory than the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Size in bytes up to which a reservation may use the whole budget. Larger ones may fill only three quarters. So a few
/// long and slow documents do not block short events, and most events are short.
const SMALL_BYTES: usize = 4 * 1024;

/// Default budget in bytes. The help text of `--memory` gives the same value.
const DEFAULT_BYTES: usize = 256 << 20;

/// The budget is at least this many times the longest body. Then two of the longest bodies fit into the three quarters
/// that long ones may fill.
const MIN_LONGEST_BODIES: usize = 3;

/// A number of bytes that all clients and destinations share. Clones share the same number.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

/// A reserved part of the budget, released when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    budget: MemoryBudget,
}

/// Not so many bytes are free now.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

impl MemoryBudget {
    /// A budget of `bytes`, or more where bodies may be `longest` bytes long: two of the longest bodies always fit.
    pub fn new(bytes: usize, longest: usize) -> Self {
        Self { bytes: bytes.max(longest.saturating_mul(MIN_LONGEST_BODIES)), taken: Arc::default() }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Size of the budget in bytes.
    pub fn limit(&self) -> usize {
        self.bytes
    }

    /// Whether `bytes` bytes fit now. Nothing is reserved, so a client that only announces a long body takes no memory
    /// from others.
    pub fn fits(&self, bytes: usize) -> bool {
        self.taken.load(Ordering::Relaxed).saturating_add(bytes) <= self.most(bytes)
    }

    /// Reserves `bytes` bytes.
    ///
    /// # Errors
    /// So many are not free.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, NoMemory> {
        let mut reservation = Reservation { bytes: 0, budget: self.clone() };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// How much of the budget may be in use after a reservation of `bytes` bytes.
    fn most(&self, bytes: usize) -> usize {
        if bytes <= SMALL_BYTES { self.bytes } else { self.bytes / 4 * 3 }
    }
}

impl Default for MemoryBudget {
    /// The budget that the server uses by default.
    fn default() -> Self {
        Self::new(DEFAULT_BYTES, 0)
    }
}

impl Reservation {
    /// Number of reserved bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows the reservation to `bytes` in all.
    ///
    /// # Errors
    /// So many are not free. The earlier reservation stays.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let more = bytes.saturating_sub(self.bytes);
        let most = self.budget.most(bytes);
        // The sum must not exceed the limit even for a moment. Otherwise a request that is refused could make another
        // one fail.
        let fits = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= most);
        self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| NoMemory)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 64 << 20;

    #[test]
    fn what_is_reserved_is_given_back_and_what_is_refused_is_not_taken() {
        let budget = MemoryBudget::new(BYTES, 1 << 20);
        let mut first = budget.reserve(1).unwrap();
        first.grow_to(BYTES / 2).unwrap();
        assert_eq!(first.grow_to(BYTES), Err(NoMemory));
        assert!(budget.fits(BYTES / 4) && !budget.fits(BYTES / 4 + 1));
        assert_eq!(budget.reserve(BYTES / 2).unwrap_err(), NoMemory);
        let second = budget.reserve(BYTES / 4).unwrap();
        drop((first, second));
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn long_ones_leave_room_for_short_ones() {
        let budget = MemoryBudget::new(BYTES, 1 << 20);
        let long: Vec<_> = std::iter::from_fn(|| budget.reserve(1 << 20).ok()).collect();
        assert_eq!(long.len(), 48);
        let short: Vec<_> = std::iter::from_fn(|| budget.reserve(SMALL_BYTES).ok()).collect();
        assert_eq!(short.len(), 16 * 256);
    }

    #[test]
    fn two_of_the_longest_fit_whatever_they_are() {
        let budget = MemoryBudget::new(BYTES, 1 << 30);
        let _first = budget.reserve((1 << 30) + 1).unwrap();
        assert!(budget.fits(1 << 30));
    }
}
