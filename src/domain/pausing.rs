//! When the outcome of an attempt pauses the destination, and why. Pauses by hand do not come through here.

use std::time::Duration;

use super::delivery::Next;
use super::destination::{DeliveryOrder, OnExhausted, PausedReason};

/// What counts for a pause, after an outcome was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// What follows the attempt.
    pub next: Next,
    /// Whether the delivery became exhausted by it. Not so where the delivery was cancelled or opened again meanwhile.
    pub is_exhausted: bool,
    /// For how long attempts have only failed. `None` if the attempt says nothing about the destination.
    pub failing_for: Option<Duration>,
}

/// The settings that count for a pause.
#[derive(Debug, Clone, Copy)]
pub struct PauseRules {
    /// A destination that has only failed for this long is paused.
    pub pause_after: Duration,
    /// What follows when a delivery is exhausted.
    pub on_exhausted: OnExhausted,
    /// Order of deliveries.
    pub ordering: DeliveryOrder,
}

impl PauseRules {
    /// Why the destination is to be paused; `None` if it goes on. The cause that names the delivery comes before the
    /// one that only counts time: it says what has to be looked at.
    pub fn reason(self, recorded: Recorded) -> Option<PausedReason> {
        let exhausted = match self.ordering {
            DeliveryOrder::Strict => PausedReason::OrderBlocked,
            DeliveryOrder::None => PausedReason::Exhausted,
        };
        match recorded.failing_for {
            _ if recorded.next == Next::PauseDestination => Some(PausedReason::Gone),
            _ if recorded.is_exhausted && self.on_exhausted == OnExhausted::Pause => Some(exhausted),
            Some(failing) if failing >= self.pause_after => Some(PausedReason::Failing),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    const DAY: Duration = Duration::from_secs(86_400);
    const RETRY: Next = Next::Retry { at: Timestamp::EPOCH, retry_step: 1 };

    fn rules(on_exhausted: OnExhausted, ordering: DeliveryOrder) -> PauseRules {
        PauseRules { pause_after: DAY, on_exhausted, ordering }
    }

    fn exhausted(failing_for: Option<Duration>) -> Recorded {
        Recorded { next: Next::Exhausted, is_exhausted: true, failing_for }
    }

    #[test]
    fn an_exhausted_delivery_pauses_only_where_that_is_asked_for_and_says_whether_order_is_the_cause() {
        for failing_for in [None, Some(Duration::ZERO), Some(DAY * 2)] {
            let none = rules(OnExhausted::Pause, DeliveryOrder::None).reason(exhausted(failing_for));
            let strict = rules(OnExhausted::Pause, DeliveryOrder::Strict).reason(exhausted(failing_for));
            assert_eq!((none, strict), (Some(PausedReason::Exhausted), Some(PausedReason::OrderBlocked)));
        }
        for ordering in DeliveryOrder::ALL {
            assert_eq!(rules(OnExhausted::Continue, ordering).reason(exhausted(Some(Duration::ZERO))), None);
        }
    }

    #[test]
    fn a_delivery_that_was_cancelled_or_opened_again_meanwhile_pauses_nothing() {
        let recorded = Recorded { is_exhausted: false, ..exhausted(Some(Duration::ZERO)) };
        assert_eq!(rules(OnExhausted::Pause, DeliveryOrder::Strict).reason(recorded), None);
    }

    #[test]
    fn nothing_but_failures_pause_after_their_time_and_a_410_at_once() {
        for (on_exhausted, ordering) in
            [(OnExhausted::Continue, DeliveryOrder::None), (OnExhausted::Pause, DeliveryOrder::Strict)]
        {
            let rules = rules(on_exhausted, ordering);
            let failed = |failing_for| Recorded { next: RETRY, is_exhausted: false, failing_for };
            assert_eq!(rules.reason(failed(Some(DAY - Duration::from_millis(1)))), None);
            assert_eq!(rules.reason(failed(Some(DAY))), Some(PausedReason::Failing));
            assert_eq!(rules.reason(failed(None)), None, "it says nothing about the destination");
            let gone = Recorded { next: Next::PauseDestination, is_exhausted: false, failing_for: Some(DAY) };
            assert_eq!(rules.reason(gone), Some(PausedReason::Gone));
        }
    }
}
