//! Strict order: whether a delivery that is settled may be sent again by hand.

use super::delivery::DeliveryState;

/// So many later deliveries that were never tried are enough to know that none behind them was.
const ENOUGH_WAITING: usize = 1_000;

/// What was found of the deliveries of a destination that come after a certain one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Later {
    was_sent: bool,
    waiting: usize,
}

impl Later {
    /// Adds a later delivery, in order of ids.
    pub fn add(&mut self, state: DeliveryState, attempts: u32) {
        if state == DeliveryState::Pending && attempts == 0 {
            self.waiting += 1;
        } else {
            self.was_sent = true;
        }
    }

    /// Whether further deliveries would change nothing.
    pub fn is_enough(self, is_paused: bool) -> bool {
        self.is_overtaken(is_paused) || self.waiting >= ENOUGH_WAITING
    }

    /// Whether a later delivery was sent, or settled without. One that waits may be on its way right now, unless the
    /// destination is paused.
    pub fn is_overtaken(self, is_paused: bool) -> bool {
        self.was_sent || (self.waiting > 0 && !is_paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(found: &[(DeliveryState, u32)]) -> Later {
        let mut later = Later::default();
        found.iter().for_each(|(state, attempts)| later.add(*state, *attempts));
        later
    }

    #[test]
    fn the_newest_delivery_overtakes_nothing() {
        assert!(!later(&[]).is_overtaken(false) && !later(&[]).is_overtaken(true));
    }

    #[test]
    fn what_was_tried_or_settled_later_counts_though_the_destination_is_paused() {
        use DeliveryState::{Cancelled, Exhausted, Pending, Succeeded};
        for found in [(Pending, 1), (Succeeded, 1), (Exhausted, 0), (Cancelled, 0)] {
            let later = later(&[(Pending, 0), found]);
            assert!(later.is_overtaken(true) && later.is_overtaken(false) && later.is_enough(true), "{found:?}");
        }
    }

    #[test]
    fn what_waits_later_may_be_on_its_way_unless_the_destination_is_paused() {
        let one = later(&[(DeliveryState::Pending, 0)]);
        assert!(one.is_overtaken(false) && !one.is_overtaken(true) && !one.is_enough(true));
        let many = later(&[(DeliveryState::Pending, 0); ENOUGH_WAITING]);
        assert!(!many.is_overtaken(true) && many.is_enough(true));
    }
}
