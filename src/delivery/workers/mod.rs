//! Everything that runs on threads that may block: reads missing documents, sends, decides what follows, and keeps the
//! outcomes. Who sends next is decided in `scheduler`, not here.

pub mod batch;
pub mod context;
pub mod deliver;
pub mod job;
pub mod pace;
mod shape;
pub mod threads;
