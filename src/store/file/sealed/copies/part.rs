//! The file in which a copy is sealed before it takes its place: whose it is, and whether it was written as it should be.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::domain::sealing::file::open;
use crate::domain::sealing::key::SecretsKeys;
use crate::store::file::companions::{owner_only, remove_if_there, sibling_path};
use crate::store::file::owner;

/// What is said where the file does not hold what was sealed.
pub const WRITTEN_WRONG: &str = "it was not written as it should be";

/// The file that takes the place of a sealed copy once it is whole.
pub fn part_of(sealed: &Path) -> PathBuf {
    sibling_path(sealed, ".part")
}

/// Writes a file for its owner only, who is that of `copy`, and sends it to the disk. After an error nothing is left of
/// it.
pub fn write_part(part: &Path, copy: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    remove_if_there(part)?;
    let mut file = owner_only(OpenOptions::new().create_new(true).write(true)).open(part)?;
    let written = write(&mut file).and_then(|()| give_to_owner(&file, copy)).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = remove_if_there(part);
    }
    written
}

/// Gives a file to the owner and the group of another one, so that the same programs can use it. Only root can; for
/// others, who could read the copy, the file stays their own.
fn give_to_owner(file: &File, of: &Path) -> io::Result<()> {
    let owner = of.metadata()?;
    let _ = owner::give(file, &owner);
    Ok(())
}

/// Takes the digest of what is written.
#[derive(Default)]
pub struct Digesting(Sha256);

impl Digesting {
    /// The digest of all.
    pub fn end(self) -> Digest {
        self.0.finalize().into()
    }
}

/// Digest of what a sealed file holds.
pub type Digest = [u8; 32];

/// The digest of what was sealed in a file that was just written.
///
/// # Errors
/// Those of the file system and of `goes_on`, or the file was not written as it should be.
pub fn digest_of(part: &Path, keys: &SecretsKeys, goes_on: impl FnMut() -> io::Result<()>) -> io::Result<Digest> {
    let mut digest = Digesting::default();
    match open(keys, &mut File::open(part)?, &mut digest, goes_on) {
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(io::Error::other(WRITTEN_WRONG)),
        opened => opened.map(|()| digest.end()),
    }
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
