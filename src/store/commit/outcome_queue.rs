//! Outcomes that wait for the write thread. How many of them go into a transaction is decided in `pacing`.

use std::collections::VecDeque;

use crate::store::outcome::FinishedAttempt;

/// Two queues of outcomes, by priority.
#[derive(Default)]
pub struct OutcomeQueue {
    /// Outcomes of destinations without a backlog. They are recorded first.
    pub normal: VecDeque<FinishedAttempt>,
    /// Outcomes of destinations with a backlog. They are recorded last, since much waits for these destinations anyway.
    pub low_priority: VecDeque<FinishedAttempt>,
}

impl OutcomeQueue {
    /// How many outcomes wait.
    pub fn len(&self) -> usize {
        self.normal.len() + self.low_priority.len()
    }

    /// Whether no outcome waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the oldest outcomes of both queues to `to`: at most `normal` and `low_priority` of them.
    pub fn drain(&mut self, normal: usize, low_priority: usize, to: &mut VecDeque<FinishedAttempt>) {
        to.extend(self.normal.drain(..normal.min(self.normal.len())));
        to.extend(self.low_priority.drain(..low_priority.min(self.low_priority.len())));
    }
}
