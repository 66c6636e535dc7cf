//! Group commit: what waits for the write thread, how much of it goes together, and the transaction that it goes in. Nothing
//! here knows a table.

pub mod budget;
pub mod group;
pub mod limits;
pub mod outcome_queue;
pub mod pacing;
pub mod queue;
pub mod transaction;
pub mod write_request;
pub mod writer;
