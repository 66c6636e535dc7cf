//! The business steps and reads, by thing. Each is one transaction or one snapshot; how transactions are put together is for
//! `commit`.

pub mod accounts;
pub mod attempts;
pub mod deliveries;
pub mod destinations;
pub mod due;
pub mod events;
#[cfg(test)]
pub mod fixture;
pub mod follow;
pub mod maintenance;
pub mod outcomes;
pub mod readiness;
pub mod replay;
pub mod rows;
pub mod stats;
pub mod tally;
