//! Deliveries that were settled (no longer pending) after retention had passed their events. Retention walks over the
//! events once, oldest first, and leaves behind what is pending. Each commit notes here which of those it settled, so
//! that retention comes back for exactly these. Otherwise it would walk over all pending deliveries again and again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::change::Change;

/// Maximum number of ids that wait for retention, 8 bytes each. If more come, retention walks again from the lowest id
/// that did not fit.
const MAX_LATE: usize = 16_384;

/// What retention has to come back for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LateEvents {
    /// Deliveries that were settled.
    pub deliveries: Vec<i64>,
    /// Set if more came than fit: all ids from this one on are to be looked at again.
    pub again_from: Option<i64>,
}

/// Written by commits, read by retention.
#[derive(Default)]
pub struct Late {
    passed: AtomicI64,
    noted: Mutex<LateEvents>,
}

impl Late {
    /// Retention is about to look at all ids below `id`. It must call this before it reads. Then everything is noted
    /// that a later commit settles, which the read does not see.
    pub fn passed(&self, id: i64) {
        self.passed.store(id, Ordering::SeqCst);
    }

    /// Notes what a commit has settled. Called when the commit is on disk.
    pub fn after_commit(&self, changes: &[Change]) {
        self.outcome_recorded(changes.iter().filter_map(|change| match change {
            Change::OutcomeRecorded { delivery, due: None, .. } | Change::Cancelled { delivery, .. } => {
                Some(delivery.0)
            }
            _ => None,
        }));
    }

    /// Notes deliveries that were settled or deleted. Called when that is on disk.
    pub fn outcome_recorded(&self, deliveries: impl IntoIterator<Item = i64>) {
        let passed = self.passed.load(Ordering::SeqCst);
        let mut late = deliveries.into_iter().filter(|id| *id < passed).peekable();
        if late.peek().is_none() {
            return;
        }
        let mut noted = self.noted();
        for id in late {
            if noted.deliveries.len() < MAX_LATE {
                noted.deliveries.push(id);
            } else {
                noted.again_from = Some(noted.again_from.map_or(id, |from| from.min(id)));
            }
        }
    }

    /// What was noted since the last call.
    pub fn take(&self) -> LateEvents {
        std::mem::take(&mut self.noted())
    }

    fn noted(&self) -> MutexGuard<'_, LateEvents> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DeliveryId, DestinationKey};
    use crate::domain::time::Timestamp;

    fn settled(id: i64, due: Option<Timestamp>) -> Change {
        Change::OutcomeRecorded { destination: DestinationKey(1), delivery: DeliveryId(id), due }
    }

    #[test]
    fn what_is_settled_behind_retention_is_noted_once() {
        let late = Late::default();
        late.after_commit(&[settled(5, None)]);
        assert_eq!(late.take(), LateEvents::default(), "it has passed nothing yet");
        late.passed(10);
        let cancelled = Change::Cancelled { destination: DestinationKey(1), delivery: DeliveryId(7) };
        late.after_commit(&[settled(5, None), settled(6, Some(Timestamp::EPOCH)), cancelled, settled(10, None)]);
        assert_eq!(late.take(), LateEvents { deliveries: vec![5, 7], again_from: None });
        assert_eq!(late.take(), LateEvents::default());
    }

    #[test]
    fn of_too_many_the_lowest_is_where_retention_begins_again() {
        let late = Late::default();
        late.passed(i64::MAX);
        late.outcome_recorded((0..MAX_LATE as i64 + 3).rev());
        let noted = late.take();
        assert_eq!((noted.deliveries.len(), noted.again_from), (MAX_LATE, Some(0)));
    }
}
