//! Work on whole database files beside the server: copies, checks, restoring. It reads files that a server uses, and
//! never writes to those. What the server itself does to its file is in `store/file`.

pub mod backup;
pub mod check;
mod copy;
mod error;
mod partial;
mod progress;
pub mod restore;
mod source;

pub use progress::{Progress, Step};
