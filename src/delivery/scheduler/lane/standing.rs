//! How a lane's destination stands, for `/metrics`. What the lane may do is decided elsewhere.

use super::{Health, Lane};
use crate::delivery::standing::Standing;
use crate::domain::time::Timestamp;

impl Lane {
    /// How the destination stands. Of several that apply, the first of
    /// [`STANDINGS`](crate::delivery::standing::STANDINGS).
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.is_paused() {
            return Standing::Paused;
        }
        if self.destination.held_until.is_some_and(|until| until > now) {
            return Standing::Held;
        }
        match self.health {
            Health::Failing => Standing::Failing,
            _ if self.is_suspect() => Standing::Suspect,
            Health::New => Standing::New,
            Health::Good => Standing::Good,
        }
    }
}
