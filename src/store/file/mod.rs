//! The database as a file: opening and locking, the write-ahead log (WAL), read-only connections, and disk space.
//! Nothing here knows accounts or deliveries, except the migrations.

pub mod checkpointer;
pub mod checkpoints;
pub mod companions;
pub mod disk_space;
pub mod error;
pub mod held;
pub mod identity;
pub mod kept_copy;
pub mod lock_wait;
pub mod migrations;
pub mod opening;
pub mod owner;
pub mod readers;
pub mod schema;
pub mod sealed;
pub mod shell_word;
pub mod start;
pub mod wal;
