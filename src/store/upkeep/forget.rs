//! Makes a file whose key is lost need that key no longer. No server may use the file meanwhile. Everything but the
//! secrets of destinations works again then; what becomes of those is in `operations/lost_key.rs`.
//!
//! First the file is copied beside itself. That copy needs the key, as all backups do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{cannot_forget, cannot_read};
use super::key_needed::{self, KeyNeeded};
use crate::domain::ids::DestinationId;
use crate::domain::sealing::key::{KeyId, SecretsKey, SecretsKeys};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::error::sql;
use crate::store::file::checkpoints::Checkpoints;
use crate::store::file::held::HeldFile;
use crate::store::file::kept_copy::keep_copy;
use crate::store::file::sealed::functions;
use crate::store::file::sealed::state::{self, Fit};
use crate::store::file::{opening, owner, wal};
use crate::store::operations::lost_key;
use crate::store::write_thread::closing;

/// What was done.
#[derive(Debug)]
pub struct Forgotten {
    /// Canonical path of the file.
    pub path: PathBuf,
    /// The copy of the file as it was. `None` if the file needed no key before either.
    pub copy: Option<PathBuf>,
    /// The key that was given, if it still opens what it has sealed.
    pub left: Option<KeyId>,
    /// Destinations whose secrets no key opens any more, oldest first.
    pub destinations: Vec<DestinationId>,
}

/// Makes the file need no key, after a copy whose name contains `now`. `key` is one that the operator has: of the two
/// keys of a rotation that is not complete, one may be lost. What it opens is not among
/// [`destinations`](Forgotten::destinations).
///
/// # Errors
/// Says in one line what failed: the file is not sealed, or `key` is the right one. The file is as it was.
pub fn forget(database: &Path, key: Option<SecretsKey>, now: Timestamp) -> Result<Forgotten> {
    if !database.exists() {
        return Err(cannot_read(database, "there is no such file"));
    }
    if let Some(user) = owner::other_than_root(database) {
        let why = format!("it belongs to user {user}; run this as that user, for example with sudo -u '#{user}'");
        return Err(cannot_forget(database, why));
    }
    let keys = Arc::new(SecretsKeys::new(key));
    let held = opening::hold_with(database, Checkpoints::Own)?.with_keys(Arc::clone(&keys));
    let left = match state::sure_fit_of_held(&held, &keys)?.0 {
        Fit::NoKey | Fit::OtherKey => None,
        Fit::Unfinished => keys.current().map(SecretsKey::id),
        // It was done before, and what it printed may be lost.
        Fit::Plain | Fit::ToBeSealed if key_needed::of(held.path()) == Some(KeyNeeded::GivenUp) => {
            return again(&held, &keys, now);
        }
        Fit::Plain | Fit::ToBeSealed => {
            return Err(cannot_forget(held.path(), "it needs no key: its secrets are not sealed"));
        }
        Fit::Sealed | Fit::Rotating | Fit::ToBeRotated => {
            let why = "the key that was given is the right one; start the server with it";
            return Err(cannot_forget(held.path(), why));
        }
    };
    let (connection, mut marker) = opening::open(&held, now)?;
    wal::install_hook(&connection);
    let forgotten = functions::install(&connection, &keys).map_err(sql).and_then(|()| {
        let copy = keep_copy(held.path(), &connection, "before-forget", now)
            .map_err(|error| cannot_forget(held.path(), error))?;
        kill_point("forget-copied");
        let destinations = lost_key::forget(&held, &connection, &mut marker)?;
        Ok(Forgotten { path: held.path().to_owned(), copy: Some(copy), left, destinations })
    });
    closing::close(&held, marker, Some(connection));
    forgotten
}

/// Finds the destinations of a file whose key was forgotten before. Nothing is changed.
fn again(held: &HeldFile, keys: &Arc<SecretsKeys>, now: Timestamp) -> Result<Forgotten> {
    let (connection, marker) = opening::open(held, now)?;
    let found = functions::install(&connection, keys).map_err(sql).and_then(|()| lost_key::still_lost(&connection));
    closing::close(held, marker, Some(connection));
    Ok(Forgotten { path: held.path().to_owned(), copy: None, left: None, destinations: found? })
}
