//! What runs on threads that may block: reads what is missing, sends, decides what follows, and keeps the outcomes. Who sends
//! next is not decided here.

pub mod batch;
pub mod deliver;
pub mod job;
pub mod threads;
