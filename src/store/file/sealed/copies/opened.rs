//! Opens a copy that was sealed as a whole into a new file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::domain::sealing::file::open;
use crate::domain::sealing::key::SecretsKeys;
use crate::store::file::companions::{owner_only, remove_if_there, sync_folder};

/// Why a sealed copy was not opened into a file.
#[derive(Debug)]
pub enum NotOpened {
    /// It cannot be read, is damaged, or of another key.
    Copy(io::Error),
    /// The new file cannot be made or written. There may be one already.
    Target(io::Error),
}

/// Opens a sealed copy into a new file for its owner only.
///
/// # Errors
/// Says which of the two files is the reason. Then nothing is left at `to`, unless there was a file already.
pub fn open_copy(copy: &Path, to: &Path, keys: &SecretsKeys) -> Result<(), NotOpened> {
    let mut from = File::open(copy).map_err(NotOpened::Copy)?;
    let file = owner_only(OpenOptions::new().create_new(true).write(true)).open(to).map_err(NotOpened::Target)?;
    let mut target = Target { file, failed: false };
    let opened = open(keys, &mut from, &mut target, || Ok(()));
    let opened = opened.map_err(|error| if target.failed { NotOpened::Target(error) } else { NotOpened::Copy(error) });
    let opened = opened.and_then(|()| target.file.sync_all().and_then(|()| sync_folder(to)).map_err(NotOpened::Target));
    if opened.is_err() {
        let _ = remove_if_there(to);
    }
    opened
}

/// Knows whether an error came from writing.
struct Target {
    file: File,
    failed: bool,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.failed |= written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
