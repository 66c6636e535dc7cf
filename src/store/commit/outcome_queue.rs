//! Outcomes that wait, in the order in which they go.

use std::collections::VecDeque;

use crate::store::outcome::FinishedAttempt;

/// Outcomes that wait.
#[derive(Default)]
pub struct Outcomes {
    /// Those of destinations that get what comes as it comes.
    pub first: VecDeque<FinishedAttempt>,
    /// Those of destinations for which much waits anyway.
    pub behind: VecDeque<FinishedAttempt>,
}

impl Outcomes {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.first.len() + self.behind.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `most`, of which at most `behind` are of destinations that are behind. Gives how many, and how many of those.
    pub fn take(&mut self, most: usize, behind: usize, to: &mut VecDeque<FinishedAttempt>) -> (usize, usize) {
        let first = self.first.len().min(most);
        to.extend(self.first.drain(..first));
        let behind = self.behind.len().min(behind).min(most - first);
        to.extend(self.behind.drain(..behind));
        (first + behind, behind)
    }
}
