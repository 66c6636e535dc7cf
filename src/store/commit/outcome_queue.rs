//! Outcomes that wait, in the order in which they go.

use std::collections::VecDeque;

use crate::store::outcome::FinishedAttempt;

/// Outcomes that wait.
#[derive(Default)]
pub struct OutcomeQueue {
    /// Those of destinations that get what comes as it comes.
    pub normal: VecDeque<FinishedAttempt>,
    /// Those of destinations for which much waits anyway.
    pub low_priority: VecDeque<FinishedAttempt>,
}

impl OutcomeQueue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.normal.len() + self.low_priority.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `most`, of which at most `behind` are of destinations that are behind. Gives how many, and how many of those.
    pub fn drain(&mut self, most: usize, low_priority: usize, to: &mut VecDeque<FinishedAttempt>) -> (usize, usize) {
        let first = self.normal.len().min(most);
        to.extend(self.normal.drain(..first));
        let low_priority = self.low_priority.len().min(low_priority).min(most - first);
        to.extend(self.low_priority.drain(..low_priority));
        (first + low_priority, low_priority)
    }
}
