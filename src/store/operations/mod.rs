//! The business steps and reads of the store, with all of the SQL for them: one file for each thing. A step is one
//! write request, and a read is one snapshot, unless its comment says otherwise. How write requests are put together
//! into transactions belongs in `commit`.

pub mod accept;
pub mod access_tokens;
pub mod accounts;
pub mod attempts;
pub mod deliveries;
pub mod delivery_walk;
pub mod destinations;
pub mod due;
pub mod events;
pub mod figures;
#[cfg(test)]
pub mod fixture;
pub mod follow;
pub mod follow_counts;
pub mod id_slot;
pub mod lost_key;
pub mod maintenance;
pub mod manual_actions;
pub mod notices;
pub mod order;
pub mod outcomes;
pub mod overview;
#[cfg(test)]
mod page_times;
pub mod preview;
pub mod reach;
pub mod readiness;
pub mod replay;
pub mod replay_matching;
pub mod rows;
pub mod sealing;
pub mod search;
pub mod stats;
pub mod tally;
pub mod test_sending;
pub mod transfer;
