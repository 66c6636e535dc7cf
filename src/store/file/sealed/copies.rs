//! Copies beside the database that were made while its secrets were plain: those of upgrades, and what stood there before a
//! restore. Each is sealed as a whole under a name that ends in [`ENDING`], and only then removed. Copies that are
//! themselves sealed databases stay as they are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::state;
use crate::domain::sealing::file::{BEGIN, SealingWriter, open, sealed_by};
use crate::domain::sealing::key::{KeyId, SecretsKey, SecretsKeys};
use crate::process::critical::kill_point;
use crate::store::file::companions::{owner_only, remove_if_there, sibling_path, sync_folder};
use crate::store::file::opening::immutable_uri;
use crate::store::file::start;

/// Ending of the name of a sealed copy.
pub const ENDING: &str = ".sealed";

/// How a file begins that is a SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Bytes that are read at once.
const AT_ONCE: usize = 256 << 10;

/// Whether the name of a file says that it is a copy of the database `name`, and what follows that.
fn is_copy(name: &str, file: &str) -> bool {
    let Some(rest) = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let of_upgrade = rest
        .strip_prefix('v')
        .and_then(|rest| rest.split_once(['-', '.']))
        .is_some_and(|(version, _)| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()));
    of_upgrade
        || ["before-restore-", "before-restore-partial-", "restoring-"].iter().any(|begin| rest.starts_with(begin))
}

/// Copies of the database, whether sealed or not.
fn copies(database: &Path) -> io::Result<Vec<PathBuf>> {
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

/// Whether a file is a database whose secrets are all sealed. One with a log is taken for plain.
fn is_sealed_database(path: &Path) -> bool {
    let has_log = ["-wal", "-journal"].iter().any(|ending| sibling_path(path, ending).exists());
    if has_log || !begins_with(path, SQLITE.len()).is_ok_and(|begin| begin == SQLITE) {
        return false;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let read = Connection::open_with_flags(immutable_uri(path), flags).and_then(|file| state::read(&file));
    read.is_ok_and(|sealing| sealing.is_some_and(|sealing| sealing.complete))
}

fn is_sealed_name(path: &Path) -> bool {
    path.to_string_lossy().ends_with(ENDING)
}

/// Seals every plain copy beside the database. Says in the log what was done, and what was not: a copy that cannot be
/// sealed stays plain until the next start.
pub fn seal_all(database: &Path, key: &SecretsKey) {
    each(database, |copy| {
        if is_sealed_name(copy) {
            return Ok(None);
        }
        if is_part_of_ours(copy) {
            // What a kill left of this work is made again.
            remove_if_there(copy)?;
            return Ok(None);
        }
        if key_of(copy)?.is_some() || is_sealed_database(copy) {
            return Ok(None);
        }
        seal_one(copy, key).map(Some)
    });
}

/// Seals every sealed copy beside the database anew that the key before has sealed. Says in the log what was done.
/// Returns those that could not be sealed anew.
pub fn seal_all_anew(database: &Path, keys: &SecretsKeys) -> Vec<PathBuf> {
    let (Some(current), Some(previous)) = (keys.current(), keys.previous()) else { return Vec::new() };
    each(database, |copy| {
        if key_of(copy)? != Some(previous.id()) || is_part_of_ours(copy) {
            return Ok(None);
        }
        let part = sibling_path(copy, ".part");
        let digest = |keys: &SecretsKeys, path: &Path| {
            let mut digest = Digesting(Sha256::new());
            open(keys, &mut File::open(path)?, &mut digest, goes_on).map(|()| digest.0.finalize())
        };
        write_part(&part, |to| {
            let mut writer = SealingWriter::new(current, to)?;
            open(keys, &mut File::open(copy)?, &mut writer, goes_on)?;
            writer.finish()
        })?;
        if digest(keys, &part)? != digest(keys, copy)? {
            return Err(io::Error::other("it was not written as it should be"));
        }
        std::fs::rename(&part, copy)?;
        sync_folder(copy)?;
        Ok(Some(copy.to_owned()))
    })
}

/// Does something with each copy. Returns those where it failed.
fn each(database: &Path, act: impl Fn(&Path) -> io::Result<Option<PathBuf>>) -> Vec<PathBuf> {
    let found = copies(database).unwrap_or_else(|error| {
        tracing::warn!(%error, "the folder of the database cannot be searched for plain copies");
        Vec::new()
    });
    let mut failed = Vec::new();
    for copy in found {
        match act(&copy) {
            Ok(Some(sealed)) => tracing::info!(copy = %sealed.display(), "copy sealed; data-pusher key open opens it"),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(copy = %copy.display(), %error, "this copy could not be sealed");
                failed.push(copy);
            }
        }
    }
    failed
}

/// Whether a file is one that this work was writing when it was killed.
fn is_part_of_ours(path: &Path) -> bool {
    path.to_string_lossy().ends_with(&format!("{ENDING}.part"))
}

fn goes_on() -> io::Result<()> {
    if start::is_ended() { Err(io::Error::other("the start was told to end")) } else { Ok(()) }
}

/// Seals a copy, and removes it once what was written opens to the same bytes.
fn seal_one(copy: &Path, key: &SecretsKey) -> io::Result<PathBuf> {
    let sealed = sibling_path(copy, ENDING);
    let part = sibling_path(copy, &format!("{ENDING}.part"));
    let mut read = Digesting(Sha256::new());
    write_part(&part, |to| {
        let mut writer = SealingWriter::new(key, to)?;
        let (mut from, mut bytes) = (File::open(copy)?, vec![0; AT_ONCE]);
        loop {
            goes_on()?;
            let filled = from.read(&mut bytes)?;
            if filled == 0 {
                break;
            }
            read.write_all(&bytes[..filled])?;
            writer.write_all(&bytes[..filled])?;
        }
        writer.finish()
    })?;
    kill_point("copy-sealed");
    let mut written = Digesting(Sha256::new());
    open(&SecretsKeys::new(Some(key.clone())), &mut File::open(&part)?, &mut written, goes_on)?;
    if written.0.finalize() != read.0.finalize() {
        return Err(io::Error::other("it was not written as it should be"));
    }
    // What a kill left under this name was made of the same copy.
    std::fs::rename(&part, &sealed)?;
    sync_folder(&sealed)?;
    kill_point("copy-moved");
    std::fs::remove_file(copy)?;
    sync_folder(copy)?;
    Ok(sealed)
}

/// Writes a file for its owner only, and sends it to the disk. After an error nothing is left of it.
fn write_part(part: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    remove_if_there(part)?;
    let mut file = owner_only(OpenOptions::new().create_new(true).write(true)).open(part)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = remove_if_there(part);
    }
    written
}

/// Takes the digest of what is written.
struct Digesting(Sha256);

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a sealed copy into a new file for its owner only.
///
/// # Errors
/// There is a file at `to` already, the copy is damaged or of another key, or those of the file system. Then nothing is
/// left at `to`.
pub fn open_copy(copy: &Path, to: &Path, keys: &SecretsKeys) -> io::Result<()> {
    let mut from = File::open(copy)?;
    let mut file = owner_only(OpenOptions::new().create_new(true).write(true)).open(to)?;
    let opened =
        open(keys, &mut from, &mut file, || Ok(())).and_then(|()| file.sync_all()).and_then(|()| sync_folder(to));
    if opened.is_err() {
        let _ = remove_if_there(to);
    }
    opened
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

    #[test]
    fn a_copy_is_sealed_and_opens_to_the_same_bytes_and_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [database, copy, other, back] =
            ["a.db", "a.db.v6-1", "a.db.notes", "back"].map(|name| folder.path().join(name));
        let plain = b"canary ".repeat(50_000);
        std::fs::write(&copy, &plain).unwrap();
        std::fs::write(&other, "canary").unwrap();
        let (key, next) = (SecretsKey::generate(), SecretsKey::generate());
        let sealed = folder.path().join("a.db.v6-1.sealed");
        // What a kill left.
        std::fs::write(sibling_path(&sealed, ".part"), "half").unwrap();
        seal_all(&database, &key);
        assert!(!copy.exists() && other.exists() && !sibling_path(&sealed, ".part").exists());
        assert_eq!(key_of(&sealed).unwrap(), Some(key.id()));
        assert!(!std::fs::read(&sealed).unwrap().windows(6).any(|part| part == b"canary"));
        let keys = SecretsKeys::rotating(next.clone(), key.clone());
        assert!(seal_all_anew(&database, &keys).is_empty());
        let new = SecretsKeys::new(Some(next));
        assert!(open_copy(&sealed, &back, &SecretsKeys::new(Some(key))).is_err() && !back.exists());
        open_copy(&sealed, &back, &new).unwrap();
        assert!(std::fs::read(&back).unwrap() == plain);
        assert!(open_copy(&sealed, &back, &new).is_err(), "never over a file");
        assert!(std::fs::read(&back).unwrap() == plain);
    }
}
