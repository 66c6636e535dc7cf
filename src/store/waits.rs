//! Who waits for the first attempts of an event (`Prefer: wait`).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::change::Change;
use crate::domain::ids::{DeliveryId, DestinationKey};

/// A wait for the first outcomes of some deliveries.
pub struct Wait {
    /// Those that have none yet.
    pub deliveries: Vec<(DeliveryId, DestinationKey)>,
    /// Told when there is none left.
    pub done: oneshot::Sender<()>,
}

struct Open {
    left: HashSet<DeliveryId>,
    done: oneshot::Sender<()>,
}

/// All waits that are not over.
#[derive(Default)]
pub struct Waits {
    /// Spares the lock while nobody waits, which is most of the time.
    count: AtomicUsize,
    open: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Nothing is attempted any more.
    ended: bool,
    next: u64,
    waits: HashMap<u64, Open>,
    by_delivery: HashMap<DeliveryId, Vec<(u64, DestinationKey)>>,
}

impl Waits {
    /// Ends all waits, and all that come later: the server stops, and no attempt begins any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.waits.clear();
        state.by_delivery.clear();
    }

    /// Adds new waits, and ends those that a commit's changes fulfil. Called on the write thread before the engine
    /// learns of the changes, so no outcome can be missed.
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
                Change::Settled { delivery, .. } | Change::Cancelled { delivery, .. } => state.settled(*delivery),
                Change::Destination(destination) if destination.pause.is_some() => state.left(destination.key),
                Change::Gone(destination) => state.left(*destination),
                _ => {}
            }
        }
        state.forget_abandoned();
        self.count.store(state.waits.len(), Ordering::Relaxed);
    }

    /// Adds a wait of what was read from the file, to be followed by [`Waits::keep_only`]; gives its number.
    pub fn wait(&self, wait: Wait) -> u64 {
        let mut state = self.state();
        let number = state.add(wait);
        self.count.store(state.waits.len(), Ordering::Relaxed);
        number
    }

    /// Waits for no others of a wait's deliveries than these.
    pub fn keep_only(&self, number: u64, deliveries: HashSet<DeliveryId>) {
        let mut state = self.state();
        let Some(open) = state.waits.get(&number) else { return };
        let over: Vec<DeliveryId> = open.left.difference(&deliveries).copied().collect();
        // Whoever else waits for one of them misses nothing: it is over for all.
        over.into_iter().for_each(|delivery| state.settled(delivery));
        self.count.store(state.waits.len(), Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, wait: Wait) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.ended {
            return number;
        }
        if wait.deliveries.is_empty() {
            let _ = wait.done.send(());
            return number;
        }
        for (delivery, destination) in &wait.deliveries {
            self.by_delivery.entry(*delivery).or_default().push((number, *destination));
        }
        let left = wait.deliveries.iter().map(|(delivery, _)| *delivery).collect();
        self.waits.insert(number, Open { left, done: wait.done });
        number
    }

    fn settled(&mut self, delivery: DeliveryId) {
        for (number, _) in self.by_delivery.remove(&delivery).unwrap_or_default() {
            if let Some(open) = self.waits.get_mut(&number) {
                open.left.remove(&delivery);
                if open.left.is_empty()
                    && let Some(open) = self.waits.remove(&number)
                {
                    let _ = open.done.send(());
                }
            }
        }
    }

    /// A paused or deleted destination is not waited for.
    fn left(&mut self, destination: DestinationKey) {
        let gone: Vec<DeliveryId> = self
            .by_delivery
            .iter()
            .filter(|(_, waits)| waits.iter().any(|(_, of)| *of == destination))
            .map(|(delivery, _)| *delivery)
            .collect();
        gone.into_iter().for_each(|delivery| self.settled(delivery));
    }

    /// Those whose time ran out have dropped their end.
    fn forget_abandoned(&mut self) {
        let abandoned: Vec<u64> =
            self.waits.iter().filter(|(_, open)| open.done.is_closed()).map(|(number, _)| *number).collect();
        for number in abandoned {
            if let Some(open) = self.waits.remove(&number) {
                for delivery in open.left {
                    if let Some(waits) = self.by_delivery.get_mut(&delivery) {
                        waits.retain(|(of, _)| *of != number);
                        if waits.is_empty() {
                            self.by_delivery.remove(&delivery);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(ids: &[i64]) -> (Wait, oneshot::Receiver<()>) {
        let (done, receiver) = oneshot::channel();
        (Wait { deliveries: ids.iter().map(|id| (DeliveryId(*id), DestinationKey(*id))).collect(), done }, receiver)
    }

    fn settled(id: i64) -> Change {
        Change::Settled { destination: DestinationKey(id), delivery: DeliveryId(id), due: None }
    }

    #[test]
    fn a_wait_ends_with_its_last_first_attempt() {
        let waits = Waits::default();
        let (wait, mut done) = wait(&[1, 2]);
        waits.after_commit(vec![wait], &[]);
        waits.after_commit(vec![], &[settled(1)]);
        assert!(done.try_recv().is_err());
        waits.after_commit(vec![], &[settled(2)]);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn what_was_attempted_before_a_wait_was_there_is_not_waited_for() {
        let waits = Waits::default();
        let (wait, mut done) = wait(&[1, 2]);
        let number = waits.wait(wait);
        waits.keep_only(number, HashSet::from([DeliveryId(2)]));
        assert!(done.try_recv().is_err());
        waits.after_commit(vec![], &[settled(2)]);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn a_deleted_destination_is_not_waited_for() {
        let waits = Waits::default();
        let (wait, mut done) = wait(&[1]);
        waits.after_commit(vec![wait], &[]);
        waits.after_commit(vec![], &[Change::Gone(DestinationKey(1))]);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn abandoned_waits_leave_nothing_behind() {
        let waits = Waits::default();
        let (wait, done) = wait(&[1, 2]);
        waits.after_commit(vec![wait], &[]);
        drop(done);
        waits.after_commit(vec![], &[settled(9)]);
        let state = waits.open.lock().unwrap();
        assert!(state.waits.is_empty() && state.by_delivery.is_empty());
    }
}
