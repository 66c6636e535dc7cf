//! Memory for the bodies that are being read, of all connections together: however many clients send at once, however
//! slowly, they fill no more than this.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// For all bodies, unless the longest one needs more.
const BYTES: usize = 64 * 1024 * 1024;

/// What a body may take whatever others do, up to the whole; beyond it only three quarters are to be had. So a few that
/// are long and slow keep nobody from sending what most events are.
const SMALL: usize = 4 * 1024;

/// Memory that bodies share. Clones share it too.
#[derive(Debug, Clone)]
pub struct Room {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

/// One body's part of it, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    room: Room,
}

/// There is no room now.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Room {
    /// For bodies that are at most `longest` bytes long; two of those always fit.
    pub fn new(longest: usize) -> Self {
        Self { bytes: BYTES.max(longest.saturating_mul(3)), taken: Arc::default() }
    }

    /// Whether a body of so many bytes fits now. Nothing is kept for it: who only says that much is to come takes nothing
    /// from others.
    pub fn fits(&self, bytes: usize) -> bool {
        self.taken.load(Ordering::Relaxed).saturating_add(bytes) <= self.most(bytes)
    }

    /// A part of so many bytes for one body.
    ///
    /// # Errors
    /// They are not there.
    pub fn hold(&self, bytes: usize) -> Result<Held, Full> {
        let mut held = Held { bytes: 0, room: self.clone() };
        held.grow_to(bytes)?;
        Ok(held)
    }

    /// How far a body of so many bytes may fill it.
    fn most(&self, bytes: usize) -> usize {
        if bytes <= SMALL { self.bytes } else { self.bytes / 4 * 3 }
    }
}

impl Held {
    /// Takes more, up to `bytes` in all.
    ///
    /// # Errors
    /// They are not there; what was held before still is.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.room.taken.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > self.room.most(bytes) {
            self.room.taken.fetch_sub(more, Ordering::Relaxed);
            return Err(Full);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_and_what_is_refused_is_not_taken() {
        let room = Room::new(1 << 20);
        let mut first = room.hold(1).unwrap();
        first.grow_to(BYTES / 2).unwrap();
        assert_eq!(first.grow_to(BYTES), Err(Full));
        assert!(room.fits(BYTES / 4) && !room.fits(BYTES / 4 + 1));
        assert_eq!(room.hold(BYTES / 2).unwrap_err(), Full);
        let second = room.hold(BYTES / 4).unwrap();
        drop((first, second));
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn long_bodies_leave_room_for_short_ones() {
        let room = Room::new(1 << 20);
        let long: Vec<_> = std::iter::from_fn(|| room.hold(1 << 20).ok()).collect();
        assert_eq!(long.len(), 48);
        let short: Vec<_> = std::iter::from_fn(|| room.hold(SMALL).ok()).collect();
        assert_eq!(short.len(), 16 * 256);
    }

    #[test]
    fn two_of_the_longest_fit_whatever_they_are() {
        let room = Room::new(1 << 30);
        let _first = room.hold((1 << 30) + 1).unwrap();
        assert!(room.fits(1 << 30));
    }
}
