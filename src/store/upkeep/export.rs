//! Reads the accounts of a file, whether a server uses it or not. What is read is in `operations/transfer`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::backup;
use super::error::{cannot_copy, cannot_read, unreadable};
use super::partial::Partial;
use super::source::{Reading, Source};
use crate::domain::export::Export;
use crate::domain::ids::AccountId;
use crate::domain::sealing::key::SecretsKeys;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::error::sql;
use crate::store::file::schema::VERSION;
use crate::store::file::sealed::state;
use crate::store::operations::transfer::export::exported;

/// The first bytes of a SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// The accounts of the file with all that is taken along, oldest first; with `only` this account alone. They are those of
/// one moment. `keys` open secrets that are sealed.
///
/// # Errors
/// Says in one line why the file cannot be read, that it is sealed with another key, or that there is no account `only`.
pub fn export(database: &Path, only: Option<&AccountId>, now: Timestamp, keys: &SecretsKeys) -> Result<Export> {
    let source = Source::find(database)?;
    let reading = source.read()?;
    check_current(&source, &reading)?;
    reading.use_keys(keys)?;
    let transaction = reading.connection().unchecked_transaction().map_err(sql)?;
    exported(&transaction, only, now)
}

/// What an import finds at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nothing, or an empty file.
    New,
    /// A database whose secrets are plain.
    Plain,
    /// A database whose secrets are sealed, at least in part.
    Sealed,
}

/// Looks at the file that is to get what is imported. Refuses one of an earlier version: only a start of the server may
/// change it so that the program before cannot use it any more. Also refuses what a start would refuse.
///
/// # Errors
/// Says in one line what is wrong, and what to do.
pub fn import_target(database: &Path) -> Result<Target> {
    if database.metadata().map_or(true, |meta| meta.len() == 0) {
        return Ok(Target::New);
    }
    let source = Source::find(database)?;
    let reading = source.read()?;
    check_current(&source, &reading)?;
    let sealing = state::read(reading.connection()).map_err(|error| unreadable(source.path(), &error))?;
    Ok(if sealing.is_some() { Target::Sealed } else { Target::Plain })
}

fn check_current(source: &Source, reading: &Reading<'_>) -> Result<()> {
    let version = reading.version()?;
    if version < VERSION {
        let why =
            format!("its schema has version {version}, and this program reads {VERSION}; start the server on it once");
        return Err(cannot_read(source.path(), why));
    }
    Ok(())
}

/// Writes what was exported from `database` to `to`, readable by its owner only: whole, or not at all. `now` goes into
/// the name that the file has until then.
///
/// # Errors
/// Says in one line why nothing was written: another file stands there and is not to be replaced, or is a database.
pub fn write_export(database: &Path, to: &Path, replace: bool, text: &str, now: Timestamp) -> Result<()> {
    let source = Source::find(database)?;
    let place = backup::place(to, replace, &source)?;
    let is_database = File::open(&place).and_then(|mut file| {
        let mut begin = [0; SQLITE.len()];
        file.read_exact(&mut begin).map(|()| begin == *SQLITE)
    });
    if is_database.unwrap_or(false) {
        return Err(cannot_copy(&place, "it is a SQLite database; name another file"));
    }
    let mut partial = Partial::create(&place, "partial", now)?;
    partial.file.write_all(text.as_bytes()).map_err(|error| cannot_copy(partial.path(), error))?;
    partial.sync()?;
    backup::move_to(partial, &place, replace)
}
