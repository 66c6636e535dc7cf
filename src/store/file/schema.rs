//! The schema of the file, and what tells a file of this program from others.

/// The current schema.
pub const SCHEMA: &str = include_str!("../../../schema.sql");

/// Version of [`SCHEMA`], kept in `PRAGMA user_version`.
pub const VERSION: i64 = 4;

/// Files of this version and later ones have a mark.
pub const MARKED_SINCE: i64 = 4;

/// Marks a file as ours in `PRAGMA application_id`: "DPsh".
pub const APPLICATION_ID: i64 = 0x4450_7368;

/// A schema cookie unlike that of any other file.
pub fn new_cookie() -> u32 {
    fastrand::u32(1 << 24..(1 << 31) - (1 << 24))
}
