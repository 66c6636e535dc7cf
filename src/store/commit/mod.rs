//! Group commit: what waits for the write thread, how much of it goes together, and the transaction. Nothing here may
//! know a table; business steps are in `operations`.

pub mod budget;
pub mod group;
pub mod limits;
pub mod outcome_queue;
pub mod pacing;
pub mod queue;
pub mod transaction;
pub mod write_request;
pub mod writer;
