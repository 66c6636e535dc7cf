//! Copies beside the database that were made while its secrets were plain: those of upgrades, and what stood there
//! before a restore. Each is sealed as a whole under a name that ends in [`ENDING`], and only then removed. Copies that
//! are themselves sealed databases stay as they are.

mod found;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use self::found::{ENDING, copies, is_part_of_ours, is_plain, is_sealed_name, key_of, needs_another_key};
use crate::domain::sealing::file::{SealingWriter, open};
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::process::critical::kill_point;
use crate::store::file::companions::{owner_only, remove_if_there, sibling_path, sync_folder};
use crate::store::file::shell_word::word;
use crate::store::file::start;

/// Bytes that are read at once.
const AT_ONCE: usize = 256 << 10;

/// Why copies could not all be sealed.
#[derive(Debug)]
pub struct Left {
    /// The first of them. `None` if none of them is the reason.
    copy: Option<PathBuf>,
    why: io::Error,
    more: usize,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copy, why, more } = self;
        let Some(copy) = copy else { return why.fmt(f) };
        let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, "the copy {}{more} beside it cannot be sealed: {why}; make room, or move it away", word(copy))
    }
}

/// Seals every plain copy beside the database. Says in the log what was done.
///
/// # Errors
/// A copy cannot be sealed. It stays as it is.
pub fn seal_all(database: &Path, key: &SecretsKey) -> Result<(), Left> {
    each(database, |copy| {
        if is_sealed_name(copy) || !is_plain(copy)? {
            return Ok(None);
        }
        seal_one(copy, key).map(Some)
    })
}

/// What became of copies that were to be sealed anew.
#[derive(Debug, Default)]
pub struct Anew {
    /// How many were sealed anew.
    pub sealed: usize,
    /// Those that need another key than the current one nevertheless: sealed databases, and what still other keys have
    /// sealed.
    pub others: Vec<PathBuf>,
}

/// Seals every sealed copy beside the database anew that the key before has sealed as a whole. Says in the log what was
/// done.
///
/// # Errors
/// A copy cannot be sealed anew. It stays as it is.
pub fn seal_all_anew(database: &Path, keys: &SecretsKeys) -> Result<Anew, Left> {
    let (Some(current), Some(previous)) = (keys.current(), keys.previous()) else { return Ok(Anew::default()) };
    let mut anew = Anew::default();
    each(database, |copy| {
        if key_of(copy)? != Some(previous.id()) {
            if needs_another_key(copy, current)? {
                anew.others.push(copy.to_owned());
            }
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
        anew.sealed += 1;
        Ok(Some(copy.to_owned()))
    })?;
    Ok(anew)
}

/// Plain copies beside the database.
///
/// # Errors
/// The folder of the database cannot be read.
pub fn plain(database: &Path) -> io::Result<Vec<PathBuf>> {
    let is_open = |copy: &PathBuf| !is_sealed_name(copy) && is_plain(copy).unwrap_or(false);
    Ok(copies(database)?.into_iter().filter(is_open).collect())
}

/// Does something with each copy, and goes on where that fails.
fn each(database: &Path, mut act: impl FnMut(&Path) -> io::Result<Option<PathBuf>>) -> Result<(), Left> {
    let found = copies(database).map_err(|error| {
        let why = format!("its folder cannot be searched for copies to seal: {error}");
        Left { copy: None, why: io::Error::other(why), more: 0 }
    })?;
    let mut left: Option<Left> = None;
    for copy in found {
        // What a kill left of this work is made again.
        let done = if is_part_of_ours(&copy) { remove_if_there(&copy).map(|()| None) } else { act(&copy) };
        match done {
            Ok(Some(sealed)) => tracing::info!(copy = %sealed.display(), "copy sealed; data-pusher key open opens it"),
            Ok(None) => {}
            // Somebody moved it away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && !copy.exists() => {}
            Err(why) if start::is_ended() => return Err(Left { copy: None, why, more: 0 }),
            Err(why) => match &mut left {
                Some(left) => {
                    tracing::warn!(copy = %copy.display(), error = %why, "this copy could not be sealed either");
                    left.more += 1;
                }
                None => left = Some(Left { copy: Some(copy), why, more: 0 }),
            },
        }
    }
    left.map_or(Ok(()), Err)
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
    fn a_copy_that_cannot_be_sealed_is_named_and_stays_and_one_that_went_away_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [database, copy, next] = ["a.db", "a.db.v6-1", "a.db.v6-2"].map(|name| folder.path().join(name));
        let key = SecretsKey::generate();
        std::fs::write(&copy, "canary").unwrap();
        std::fs::write(&next, "canary").unwrap();
        let part = sibling_path(&copy, ".sealed.part");
        std::fs::create_dir(&part).unwrap();
        let line = seal_all(&database, &key).unwrap_err().to_string();
        assert!(line.contains("a.db.v6-1 beside it cannot be sealed") && line.contains("move it away"), "{line}");
        assert!(copy.exists() && !next.exists(), "the others are sealed nevertheless");
        assert_eq!(plain(&database).unwrap(), std::slice::from_ref(&copy));
        std::fs::remove_dir(&part).unwrap();
        seal_all(&database, &key).unwrap();
        assert!(plain(&database).unwrap().is_empty());
        std::fs::write(&copy, "canary").unwrap();
        let gone = each(&database, |copy| std::fs::remove_file(copy).and_then(|()| key_of(copy)).map(|_| None));
        gone.unwrap();
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
        seal_all(&database, &key).unwrap();
        assert!(!copy.exists() && other.exists() && !sibling_path(&sealed, ".part").exists());
        assert_eq!(key_of(&sealed).unwrap(), Some(key.id()));
        assert!(!std::fs::read(&sealed).unwrap().windows(6).any(|part| part == b"canary"));
        let keys = SecretsKeys::rotating(next.clone(), key.clone());
        let anew = seal_all_anew(&database, &keys).unwrap();
        assert!(anew.sealed == 1 && anew.others.is_empty(), "{anew:?}");
        let new = SecretsKeys::new(Some(next));
        assert!(open_copy(&sealed, &back, &SecretsKeys::new(Some(key))).is_err() && !back.exists());
        open_copy(&sealed, &back, &new).unwrap();
        assert!(std::fs::read(&back).unwrap() == plain);
        assert!(open_copy(&sealed, &back, &new).is_err(), "never over a file");
        assert!(std::fs::read(&back).unwrap() == plain);
    }
}
