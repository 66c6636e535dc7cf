//! The schema of the file, and what distinguishes a file of this program from others. Changes of older schemas are in
//! `migrations.rs`.

/// The current schema.
pub const SCHEMA: &str = include_str!("../../../schema.sql");

/// Version of [`SCHEMA`], kept in `PRAGMA user_version`.
pub const VERSION: i64 = 7;

/// First version whose files have a mark.
pub const MARKED_SINCE: i64 = 4;

/// Identifies a file of this program in `PRAGMA application_id`: "DPsh".
pub const APPLICATION_ID: i64 = 0x4450_7368;

const _: () = assert!(MARKED_SINCE <= VERSION, "files of the current version have a mark");

/// A random schema cookie, so unlike that of any other file.
pub fn new_cookie() -> u32 {
    fastrand::u32(1 << 24..(1 << 31) - (1 << 24))
}
