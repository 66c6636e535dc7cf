//! Lanes that wait for their rate. Such a lane is in no ready set, so that it costs neither a permit nor a thread.

use std::cmp::Reverse;

use super::Scheduler;
use crate::domain::ids::DestinationKey;
use crate::domain::time::Timestamp;

impl Scheduler {
    /// Whether a lane must wait for its rate. Then it is looked at again when its next token comes.
    pub(super) fn wait_for_rate(&mut self, key: DestinationKey, now: Timestamp) -> bool {
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        let Some(at) = lane.waits_for_rate(now) else { return false };
        if lane.rate_wakes_at.is_none_or(|wakes_at| at < wakes_at) {
            lane.rate_wakes_at = Some(at);
            self.timers.push(Reverse((at, key)));
        }
        true
    }

    /// When each destination may send next, where nothing but its rate holds it back.
    pub(super) fn next_sends(&self, destinations: &[DestinationKey], now: Timestamp) -> Vec<Option<Timestamp>> {
        let next = |key: &DestinationKey| {
            let lane = self.lanes.get(key).filter(|lane| self.may_send(lane, now))?;
            lane.waits_for_rate(now)
        };
        destinations.iter().map(next).collect()
    }
}
