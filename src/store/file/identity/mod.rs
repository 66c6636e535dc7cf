//! Which WAL belongs to which file, since people put other files where a database was. See `docs/design/wal.md`.

pub mod header;
pub mod inspect;
pub mod mark;
pub mod marker;
pub mod raw_file;
pub mod raw_wal;
