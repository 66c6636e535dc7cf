//! Copies the database beside itself, before something is changed in it that cannot be undone. Copies for backups are
//! made in `upkeep`.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::companions::{move_to_new_name, owner_only, remove_if_there, sibling_path};
use super::shell_word;
use crate::domain::time::Timestamp;

/// Copies the file at `path` to `PATH.NAME-TIME`, whole or not at all. Earlier copies stay.
///
/// # Errors
/// Those of the file system and of SQLite, with the place that cannot be written.
pub fn keep_copy(path: &Path, connection: &Connection, name: &str, now: Timestamp) -> io::Result<PathBuf> {
    let part = sibling_path(path, &format!(".{name}.part"));
    let failed = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot copy it to {}: {error}", shell_word::word(&part)))
    };
    remove_if_there(&part).map_err(failed)?;
    let made = copy_to(&part, connection).and_then(|()| {
        let time = now.to_string().replace(['-', ':'], "");
        for number in 1.. {
            let again = if number == 1 { String::new() } else { format!("-{number}") };
            let copy = sibling_path(path, &format!(".{name}-{time}{again}"));
            match move_to_new_name(&part, &copy) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                moved => return moved.map(|()| copy),
            }
        }
        unreachable!("there is a name that is not taken")
    });
    made.map_err(|error| {
        // The disk may be full, and what is left of the copy only takes space.
        let _ = remove_if_there(&part);
        failed(error)
    })
}

fn copy_to(part: &Path, connection: &Connection) -> io::Result<()> {
    // SQLite fills an empty file, and would give a new one the mode of the umask.
    let file = owner_only(OpenOptions::new().create_new(true).write(true)).open(part)?;
    // The path is absolute, so SQLite cannot take it for a URI.
    let name = part.to_str().ok_or_else(|| io::Error::other("its path is not UTF-8"))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(io::Error::other)?;
    file.sync_all()
}
