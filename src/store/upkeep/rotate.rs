//! Seals the secrets of a file with another key. No server may use the file meanwhile.
//!
//! A kill at any moment leaves a file that says which two keys it needs, and the same command goes on. Each value tells
//! which key sealed it, so none is ever without its key. The key before is needed until all is done. Copies beside the
//! file that were sealed as a whole are sealed anew too; copies that are sealed databases stay as they are, and are
//! named.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{cannot_copy, cannot_open_copy, cannot_read, cannot_rotate};
use crate::domain::sealing::key::SecretsKeys;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::error::sql;
use crate::store::file::checkpoints::Checkpoints;
use crate::store::file::sealed::copies::anew::{self, Anew, Other};
use crate::store::file::sealed::copies::opened::{self, NotOpened};
use crate::store::file::sealed::functions;
use crate::store::file::sealed::ids::named;
use crate::store::file::sealed::state::{self, Fit};
use crate::store::file::{opening, wal};
use crate::store::open::connect_again;
use crate::store::operations::sealing;
use crate::store::write_thread::closing;

/// What a rotation did.
#[derive(Debug)]
pub struct Rotated {
    /// Canonical path of the file.
    pub path: PathBuf,
    /// Whether the file needed the new key already, and no other one.
    pub was_rotated: bool,
    /// Values that were sealed anew now.
    pub values: u64,
    /// Copies beside the file that were sealed anew now.
    pub copies: usize,
    /// Destinations with a value that neither key opens. It stays as it is.
    pub unopened: u64,
    /// Copies beside the file that need another key than the new one: the one before, or one before that.
    pub others: Vec<Other>,
}

/// Seals all secrets of the file, and copies beside it that were sealed as a whole, with the current key of `keys`. The
/// previous key is needed only for [`others`](Rotated::others) then.
///
/// # Errors
/// Says in one line why not all was done. The same keys go on where it ended.
pub fn rotate(database: &Path, keys: &SecretsKeys, now: Timestamp) -> Result<Rotated> {
    if !database.exists() {
        return Err(cannot_read(database, "there is no such file"));
    }
    let held = opening::hold_with(database, Checkpoints::Own)?.with_keys(Arc::new(keys.clone()));
    let (fit, ids) = state::sure_fit_of_held(&held, keys)?;
    match fit {
        Fit::Sealed | Fit::Rotating | Fit::ToBeRotated => {}
        Fit::Plain | Fit::ToBeSealed | Fit::NoKey => {
            let why = "its secrets are not sealed; start the server with --secrets-key-file, which seals them";
            return Err(cannot_rotate(held.path(), why));
        }
        Fit::OtherKey => {
            let why = format!(
                "its secrets are sealed with neither of the two keys: they need {}, and {} and {} were given",
                named(ids.needed),
                named(ids.previous),
                named(ids.current)
            );
            return Err(cannot_rotate(held.path(), why));
        }
        Fit::Unfinished => {
            let why = format!(
                "another rotation of its key is not complete, from {} to {}; give the same two keys as then",
                named(ids.before),
                named(ids.needed)
            );
            return Err(cannot_rotate(held.path(), why));
        }
    }
    // Otherwise the work could end halfway, and the server would be without a file that it can use.
    anew::look_at_all(held.path(), keys).map_err(|left| cannot_rotate(held.path(), left))?;
    let (mut connection, mut marker) = opening::open(&held, now)?;
    wal::install_hook(&connection);
    let mut copies = Anew::default();
    let sealed = functions::install(&connection, held.keys()).map_err(sql).and_then(|()| {
        let again = || connect_again(&held);
        sealing::seal_file(&held, &mut connection, &mut marker, again, || {
            copies = anew::seal_all_anew(held.path(), keys).map_err(|left| cannot_rotate(held.path(), left))?;
            Ok(())
        })
    });
    closing::close(&held, marker, Some(connection));
    let sealed = sealed?;
    Ok(Rotated {
        path: held.path().to_owned(),
        was_rotated: fit == Fit::Sealed,
        values: sealed.values,
        copies: copies.sealed,
        unopened: sealed.unopened,
        others: copies.others,
    })
}

/// Opens a sealed copy into a new file, readable by its owner only.
///
/// # Errors
/// Says in one line what failed. Then nothing is left at `to`.
pub fn open_copy(copy: &Path, to: &Path, keys: &SecretsKeys) -> Result<()> {
    opened::open_copy(copy, to, keys).map_err(|error| match error {
        NotOpened::Copy(error) => cannot_open_copy(copy, error),
        NotOpened::Target(error) if error.kind() == ErrorKind::AlreadyExists => {
            cannot_copy(to, "there is a file already; name another one")
        }
        NotOpened::Target(error) => cannot_copy(to, error),
    })
}
