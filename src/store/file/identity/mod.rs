//! Which write-ahead log belongs to which file: people put other files where a database stood.

pub mod header;
pub mod inspect;
pub mod mark;
pub mod marker;
pub mod raw_wal;
