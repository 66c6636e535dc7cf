//! Work on whole database files beside the server: copies, checks, restoring, exports, rotation and loss of the key. It
//! reads files that a server uses, and never writes to those. What the server itself does to its file is in
//! `store/file`.

pub mod backup;
pub mod check;
mod copy;
mod error;
mod export;
pub mod forget;
mod key_needed;
mod partial;
mod progress;
pub mod restore;
pub mod rotate;
mod source;

pub use export::{Target, export, import_target, write_export};
pub use progress::{Progress, Step};
pub use source::{checkpoints_of, is_in_use, owner_remark};
