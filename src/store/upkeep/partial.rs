//! A file that is being written beside the place where it will stand, under a name that shows this. It goes to its
//! place whole, or not at all. What is written into it is decided elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::cannot_copy;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::file::companions::{owner_only, sibling_path};

/// Most files with the same time in their name.
const MAX_SAME_NAMES: u32 = 100;

/// The file. It is removed when this value is dropped, unless it was moved away before.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    /// Open for reading and writing. No SQLite connection of this process may be open when this is closed.
    pub file: File,
}

impl Partial {
    /// Creates the file `FINAL.ENDING-TIME` for the place `place`, readable by its owner only.
    ///
    /// # Errors
    /// Says in one line why it cannot be created.
    pub fn create(place: &Path, ending: &str, now: Timestamp) -> Result<Self> {
        for number in 1..=MAX_SAME_NAMES {
            let path = numbered(place, ending, now, number);
            match owner_only(OpenOptions::new().create_new(true).read(true).write(true)).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot_copy(&path, error)),
            }
        }
        Err(cannot_copy(place, "too many others are being written"))
    }

    /// Where the file is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends what was written to the disk.
    ///
    /// # Errors
    /// Says in one line what failed.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| cannot_copy(&self.path, error))
    }

    /// Moves the file away by `act`, which is given its path. From then on it is not removed any more.
    ///
    /// # Errors
    /// Those of `act`. The file is then removed.
    pub fn move_by<T>(mut self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let moved = act(&self.path)?;
        self.path = PathBuf::new();
        Ok(moved)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            for ending in ["", "-journal", "-wal", "-shm"] {
                let _ = std::fs::remove_file(sibling_path(&self.path, ending));
            }
        }
    }
}

/// `PLACE.ENDING-TIME`, such as `data.db.before-restore-20261127T040738.928Z`. From the second `number` on, that follows.
pub fn numbered(place: &Path, ending: &str, now: Timestamp, number: u32) -> PathBuf {
    let time = now.to_string().replace(['-', ':'], "");
    let again = if number == 1 { String::new() } else { format!("-{number}") };
    sibling_path(place, &format!(".{ending}-{time}{again}"))
}
