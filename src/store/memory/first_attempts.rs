//! Callers that wait for the first attempts of an event (`Prefer: wait`). An event may go to 1,000 destinations, and
//! 1,000 clients may wait. So an awaited delivery takes only 17 bytes here.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::ids::{DeliveryId, DestinationKey, EventId};
use crate::store::change::Change;

/// A caller's wait for the first outcomes of some deliveries of an event.
pub struct Wait {
    /// The event.
    pub event: EventId,
    /// The event's deliveries that have no outcome yet, by ascending id.
    pub deliveries: Vec<(DeliveryId, DestinationKey)>,
    /// Gets a message when no delivery is left to wait for.
    pub done: oneshot::Sender<()>,
}

/// Event and number of a wait. The ids of an event's deliveries lie between its own id and the next event's, so a
/// delivery's id leads to its waits.
type Key = (EventId, u64);

struct OpenWait {
    deliveries: Box<[(DeliveryId, DestinationKey)]>,
    /// For each delivery, whether the wait for it is over.
    over: Box<[bool]>,
    left: usize,
    done: oneshot::Sender<()>,
}

impl OpenWait {
    fn new(wait: Wait) -> Self {
        let Wait { deliveries, done, .. } = wait;
        debug_assert!(deliveries.is_sorted(), "they are looked for by id");
        let left = deliveries.len();
        Self { deliveries: deliveries.into(), over: vec![false; left].into(), left, done }
    }

    /// Ends the wait for the delivery at this index.
    fn pass(&mut self, at: usize) {
        self.left -= usize::from(!std::mem::replace(&mut self.over[at], true));
    }

    /// Ends the wait for all deliveries that `fits` accepts.
    fn pass_all(&mut self, fits: impl Fn(DeliveryId, DestinationKey) -> bool) {
        for at in 0..self.deliveries.len() {
            let (delivery, destination) = self.deliveries[at];
            if fits(delivery, destination) {
                self.pass(at);
            }
        }
    }
}

/// All waits that are not over.
#[derive(Default)]
pub struct FirstAttempts {
    /// Number of open waits. Avoids the lock while nobody waits, which is most of the time.
    count: AtomicUsize,
    open: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The server stops, and no attempt begins any more.
    ended: bool,
    next: u64,
    waits: BTreeMap<Key, OpenWait>,
}

impl FirstAttempts {
    /// Ends all waits, also later ones: the server stops, and no attempt begins any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.waits.clear();
    }

    /// Adds new waits, and ends those that a commit's changes complete. The write thread calls this before the engine
    /// gets the changes, so no outcome can be missed.
    pub fn after_commit(&self, new: Vec<Wait>, changes: &[Change]) {
        if new.is_empty() && self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.state();
        for wait in new {
            state.add(wait);
        }
        for change in changes {
            match change {
                Change::OutcomeRecorded { delivery, .. } | Change::Cancelled { delivery, .. } => {
                    state.outcome_recorded(*delivery)
                }
                Change::DestinationChanged(destination) if destination.pause.is_some() => {
                    state.abandon(destination.key)
                }
                Change::DestinationDeleted(destination) => state.abandon(*destination),
                _ => {}
            }
        }
        // Callers whose time ran out have dropped their receiver.
        state.waits.retain(|_, open| !open.done.is_closed());
        self.count.store(state.waits.len(), Ordering::Relaxed);
    }

    /// Adds a wait for deliveries that were read from the file, and returns its key. [`FirstAttempts::keep_only`] must
    /// follow, since outcomes may have been recorded between that read and this call.
    pub fn wait(&self, wait: Wait) -> Key {
        let mut state = self.state();
        let key = state.add(wait);
        self.count.store(state.waits.len(), Ordering::Relaxed);
        key
    }

    /// Limits a wait to `deliveries`: the others are not awaited any more.
    pub fn keep_only(&self, key: Key, deliveries: &HashSet<DeliveryId>) {
        let mut state = self.state();
        if let Some(open) = state.waits.get_mut(&key) {
            open.pass_all(|delivery, _| !deliveries.contains(&delivery));
        }
        state.end_if_over(&[key]);
        self.count.store(state.waits.len(), Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, wait: Wait) -> Key {
        let key = (wait.event, self.next);
        self.next += 1;
        if !self.ended {
            self.waits.insert(key, OpenWait::new(wait));
            self.end_if_over(&[key]);
        }
        key
    }

    fn outcome_recorded(&mut self, delivery: DeliveryId) {
        let Some((event, _)) = self.waits.range(..(EventId(delivery.0), 0)).next_back().map(|(key, _)| *key) else {
            return;
        };
        let mut over = Vec::new();
        for (key, open) in self.waits.range_mut((event, 0)..=(event, u64::MAX)) {
            let Ok(at) = open.deliveries.binary_search_by_key(&delivery, |(id, _)| *id) else { continue };
            open.pass(at);
            over.push(*key);
        }
        self.end_if_over(&over);
    }

    /// Ends the wait for all deliveries of a destination that was paused or deleted.
    fn abandon(&mut self, destination: DestinationKey) {
        self.waits.values_mut().for_each(|open| open.pass_all(|_, of| of == destination));
        let all: Vec<Key> = self.waits.keys().copied().collect();
        self.end_if_over(&all);
    }

    fn end_if_over(&mut self, keys: &[Key]) {
        for key in keys {
            if self.waits.get(key).is_some_and(|open| open.left == 0)
                && let Some(open) = self.waits.remove(key)
            {
                let _ = open.done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait for deliveries of event 10.
    fn wait(ids: &[i64]) -> (Wait, oneshot::Receiver<()>) {
        wait_for(10, ids)
    }

    fn wait_for(event: i64, ids: &[i64]) -> (Wait, oneshot::Receiver<()>) {
        let (done, receiver) = oneshot::channel();
        let deliveries = ids.iter().map(|id| (DeliveryId(*id), DestinationKey(*id))).collect();
        (Wait { event: EventId(event), deliveries, done }, receiver)
    }

    fn settled(id: i64) -> Change {
        Change::OutcomeRecorded { destination: DestinationKey(id), delivery: DeliveryId(id), due: None }
    }

    #[test]
    fn a_wait_ends_with_its_last_first_attempt() {
        let waits = FirstAttempts::default();
        let (wait, mut done) = wait(&[11, 12]);
        waits.after_commit(vec![wait], &[]);
        waits.after_commit(vec![], &[settled(11)]);
        assert!(done.try_recv().is_err());
        waits.after_commit(vec![], &[settled(12)]);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn what_was_attempted_before_a_wait_was_there_is_not_waited_for() {
        let waits = FirstAttempts::default();
        let (wait, mut done) = wait(&[11, 12]);
        let key = waits.wait(wait);
        waits.keep_only(key, &HashSet::from([DeliveryId(12)]));
        assert!(done.try_recv().is_err());
        waits.after_commit(vec![], &[settled(12)]);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn a_deleted_destination_is_not_waited_for() {
        let waits = FirstAttempts::default();
        let (wait, mut done) = wait(&[11]);
        waits.after_commit(vec![wait], &[]);
        waits.after_commit(vec![], &[Change::DestinationDeleted(DestinationKey(11))]);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn abandoned_waits_leave_nothing_behind() {
        let waits = FirstAttempts::default();
        let (wait, done) = wait(&[11, 12]);
        waits.after_commit(vec![wait], &[]);
        drop(done);
        waits.after_commit(vec![], &[settled(19)]);
        let state = waits.open.lock().unwrap();
        assert!(state.waits.is_empty());
    }

    #[test]
    fn each_of_many_waits_ends_with_its_own_event_and_several_may_wait_for_one() {
        let waits = FirstAttempts::default();
        let (first, mut first_done) = wait_for(10, &[11, 12]);
        let (second, mut second_done) = wait_for(20, &[21]);
        let (again, mut again_done) = wait_for(10, &[12]);
        let (nothing, mut at_once) = wait_for(30, &[]);
        waits.after_commit(vec![first, second, again, nothing], &[settled(13), settled(9), settled(12), settled(12)]);
        assert_eq!((at_once.try_recv(), again_done.try_recv()), (Ok(()), Ok(())));
        assert!(first_done.try_recv().is_err() && second_done.try_recv().is_err());
        waits.after_commit(vec![], &[settled(21), settled(11)]);
        assert_eq!((first_done.try_recv(), second_done.try_recv()), (Ok(()), Ok(())));
    }
}
