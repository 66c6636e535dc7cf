//! Which files beside the database are copies of it, and what is in each: plain, a sealed database, or sealed as a whole.
//! Nothing is changed here.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::domain::sealing::file::{BEGIN, sealed_by};
use crate::domain::sealing::key::{KeyId, SecretsKey, SecretsKeys};
use crate::store::file::companions::sibling_path;
use crate::store::file::opening::immutable_uri;
use crate::store::file::sealed::state::{self, Fit};

/// Ending of the name of a sealed copy.
pub const ENDING: &str = ".sealed";

/// How a file begins that is a SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Whether the name of a file says that it is a copy of the database `name`, and what follows that.
fn is_copy(name: &str, file: &str) -> bool {
    let Some(rest) = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let of_upgrade = rest
        .strip_prefix('v')
        .and_then(|rest| rest.split_once(['-', '.']))
        .is_some_and(|(version, _)| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()));
    of_upgrade
        || ["before-restore-", "before-forget", "before-restore-partial-", "restoring-"]
            .iter()
            .any(|begin| rest.starts_with(begin))
}

/// Copies of the database, whether sealed or not.
///
/// # Errors
/// The folder of the database cannot be read.
pub fn copies(database: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (database.parent(), database.file_name()) else { return Ok(Vec::new()) };
    let name = name.to_string_lossy();
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
        if is_file && path.file_name().is_some_and(|file| is_copy(&name, &file.to_string_lossy())) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn begins_with(path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    File::open(path)?.take(bytes as u64).read_to_end(&mut begin)?;
    Ok(begin)
}

/// The key that sealed a file as a whole. `None` if it is plain.
///
/// # Errors
/// Those of the file system.
pub fn key_of(path: &Path) -> io::Result<Option<KeyId>> {
    Ok(sealed_by(&begins_with(path, BEGIN)?))
}

/// Whether a file is neither sealed as a whole nor a database whose secrets are all sealed.
///
/// # Errors
/// Those of the file system.
pub fn is_plain(path: &Path) -> io::Result<bool> {
    Ok(key_of(path)?.is_none() && !is_sealed_database(path))
}

/// Whether a file is a database whose secrets are all sealed. One with a log is taken for plain.
fn is_sealed_database(path: &Path) -> bool {
    let has_log = ["-wal", "-journal"].iter().any(|ending| sibling_path(path, ending).exists());
    !has_log && read(path, state::read).flatten().is_some_and(|sealing| sealing.complete)
}

/// A copy that needs another key.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    /// Where it is.
    pub copy: PathBuf,
    /// The key that it needs, if it says so.
    pub needed: Option<KeyId>,
}

/// Says if another key than `key` is needed for a copy: it is sealed as a whole with that, or its secrets are.
///
/// # Errors
/// Those of the file system.
pub fn other(copy: &Path, key: &SecretsKey) -> io::Result<Option<Other>> {
    let other = |needed| Some(Other { copy: copy.to_owned(), needed });
    if let Some(needed) = key_of(copy)? {
        return Ok(if needed == key.id() { None } else { other(Some(needed)) });
    }
    let keys = SecretsKeys::new(Some(key.clone()));
    Ok(match read(copy, |file| state::fit_and_ids(file, &keys)) {
        None | Some((Fit::Sealed | Fit::ToBeSealed, _)) => None,
        Some((_, ids)) => other(ids.needed),
    })
}

/// Reads a database without its log. `None` if the file is none, or damaged.
fn read<T>(path: &Path, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
    if !begins_with(path, SQLITE.len()).is_ok_and(|begin| begin == SQLITE) {
        return None;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(immutable_uri(path), flags).and_then(|file| act(&file)).ok()
}

/// Whether the name of a file is that of a sealed copy.
pub fn is_sealed_name(path: &Path) -> bool {
    path.to_string_lossy().ends_with(ENDING)
}

/// Whether a copy is one that was being written when its program was killed: by sealing, or before it (`keep_copy`).
pub fn is_part_of_ours(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".part")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_known_by_their_names() {
        for name in
            ["v6-2026", "v12-2026-2", "before-restore-2026", "before-restore-2026-wal", "v6-2026.sealed", "v6.part"]
        {
            assert!(is_copy("a.db", &format!("a.db.{name}")), "{name}");
        }
        for name in
            ["a.db", "a.db-wal", "a.db.login", "a.db.admin-token", "a.db.v-1", "a.db.vx-1", "a.db.version", "b.db.v6-1"]
        {
            assert!(!is_copy("a.db", name), "{name}");
        }
    }
}
