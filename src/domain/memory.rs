//! Memory for documents and answers, of all clients and destinations together: however many there are, and however slow,
//! they fill no more than this.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Up to so many bytes are to be had whatever others hold, up to the whole; beyond it only three quarters are. So a few
/// that are long and slow keep nobody from sending what most events are.
const SMALL_BYTES: usize = 4 * 1024;

/// What the server takes where nothing is said; the help of `--memory` says so too.
const DEFAULT_BYTES: usize = 256 << 20;

/// The budget is at least this many of the longest bodies: two fit into the three quarters that long ones may fill.
const MIN_LONGEST_BODIES: usize = 3;

/// A number of bytes that everybody shares. Clones share it too.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    budget: MemoryBudget,
}

/// So much is not free now.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

impl MemoryBudget {
    /// Of so many bytes, or more where bodies may be `longest` bytes long: two of those always fit.
    pub fn new(bytes: usize, longest: usize) -> Self {
        Self { bytes: bytes.max(longest.saturating_mul(MIN_LONGEST_BODIES)), taken: Arc::default() }
    }

    /// Whether something of so many bytes fits now. Nothing is kept for it: who only says that much is to come takes nothing
    /// from others.
    pub fn fits(&self, bytes: usize) -> bool {
        self.taken.load(Ordering::Relaxed).saturating_add(bytes) <= self.most(bytes)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// They are not free.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, NoMemory> {
        let mut reservation = Reservation { bytes: 0, budget: self.clone() };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// How far something of so many bytes may fill it.
    fn most(&self, bytes: usize) -> usize {
        if bytes <= SMALL_BYTES { self.bytes } else { self.bytes / 4 * 3 }
    }
}

impl Default for MemoryBudget {
    /// As much as the server takes where nothing is said.
    fn default() -> Self {
        Self::new(DEFAULT_BYTES, 0)
    }
}

impl Reservation {
    /// So many it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, up to `bytes` in all.
    ///
    /// # Errors
    /// They are not free; what was reserved before still is.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let more = bytes.saturating_sub(self.bytes);
        let most = self.budget.most(bytes);
        // Not even for a moment more than there is: others would be refused for the sake of what is refused.
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
