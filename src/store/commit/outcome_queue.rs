//! Outcomes that wait for the write thread.

use std::collections::VecDeque;

use crate::store::outcome::FinishedAttempt;

/// Two queues of outcomes.
#[derive(Default)]
pub struct OutcomeQueue {
    /// Outcomes of destinations without a backlog. They are recorded first.
    pub normal: VecDeque<FinishedAttempt>,
    /// Outcomes of destinations with a backlog, where much waits anyway.
    pub low_priority: VecDeque<FinishedAttempt>,
}

impl OutcomeQueue {
    /// How many outcomes wait.
    pub fn len(&self) -> usize {
        self.normal.len() + self.low_priority.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the first outcomes of both queues to `to`: at most this many of each.
    pub fn drain(&mut self, normal: usize, low_priority: usize, to: &mut VecDeque<FinishedAttempt>) {
        to.extend(self.normal.drain(..normal.min(self.normal.len())));
        to.extend(self.low_priority.drain(..low_priority.min(self.low_priority.len())));
    }
}
