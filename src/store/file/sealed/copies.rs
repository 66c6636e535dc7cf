//! Copies beside the database that were made while its secrets were plain: those of upgrades, and what stood there
//! before a restore. Each is sealed as a whole under a name that ends in [`ENDING`], and only then removed. Copies that
//! are themselves sealed databases stay as they are.

pub mod anew;
mod found;
mod left;
pub mod opened;
mod part;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write};
use std::path::{Path, PathBuf};

use self::found::{ENDING, copies, is_part_of_ours, is_plain, is_sealed_name};
pub use self::left::Left;
use self::part::{Digesting, WRITTEN_WRONG, digest_of, part_of, write_part};
use crate::domain::sealing::file::SealingWriter;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::process::critical::kill_point;
use crate::store::file::companions::{remove_if_there, sibling_path, sync_folder};
use crate::store::file::start;

/// Bytes that are read at once.
const AT_ONCE: usize = 256 << 10;

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
    let part = part_of(&sealed);
    let mut read = Digesting::default();
    write_part(&part, copy, |to| {
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
    if digest_of(&part, &SecretsKeys::new(Some(key.clone())), goes_on)? != read.end() {
        return Err(io::Error::other(WRITTEN_WRONG));
    }
    // What a kill left under this name was made of the same copy.
    std::fs::rename(&part, &sealed)?;
    sync_folder(&sealed)?;
    kill_point("copy-moved");
    std::fs::remove_file(copy)?;
    sync_folder(copy)?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::found::key_of;
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
        assert!(!line.contains("make room"), "no disk is full: {line}");
        assert!(copy.exists() && !next.exists(), "the others are sealed nevertheless");
        assert_eq!(plain(&database).unwrap(), std::slice::from_ref(&copy));
        std::fs::remove_dir(&part).unwrap();
        seal_all(&database, &key).unwrap();
        assert!(plain(&database).unwrap().is_empty());
        std::fs::write(&copy, "canary").unwrap();
        let gone = each(&database, |copy| std::fs::remove_file(copy).and_then(|()| key_of(copy)).map(|_| None));
        gone.unwrap();
    }
}
