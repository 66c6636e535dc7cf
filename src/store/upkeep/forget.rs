//! Makes a file whose key is lost need that key no longer. No server may use the file meanwhile. Everything but the
//! secrets of destinations works again then; what becomes of those is in `operations/lost_key.rs`.
//!
//! First the file is copied beside itself. That copy needs the key, as all backups do.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{cannot_forget, cannot_read};
use crate::domain::ids::DestinationId;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::error::sql;
use crate::store::file::checkpoints::Checkpoints;
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
    /// The copy of the file as it was.
    pub copy: PathBuf,
    /// Destinations whose secrets no key opens any more, oldest first.
    pub destinations: Vec<DestinationId>,
    /// What the operator should know.
    pub remark: Option<String>,
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
    let keys = Arc::new(SecretsKeys::new(key));
    let held = opening::hold_with(database, Checkpoints::Own)?.with_keys(Arc::clone(&keys));
    match state::fit_of_held(&held, &keys)?.0 {
        Fit::NoKey | Fit::OtherKey | Fit::Unfinished => {}
        Fit::Plain | Fit::ToBeSealed => {
            return Err(cannot_forget(held.path(), "it needs no key: its secrets are not sealed"));
        }
        Fit::Sealed | Fit::Rotating | Fit::ToBeRotated => {
            let why = "the key that was given is the right one; start the server with it";
            return Err(cannot_forget(held.path(), why));
        }
    }
    let (connection, mut marker) = opening::open(&held, now)?;
    wal::install_hook(&connection);
    let forgotten = functions::install(&connection, &keys).map_err(sql).and_then(|()| {
        let copy = keep_copy(held.path(), &connection, "before-forget", now)
            .map_err(|error| cannot_forget(held.path(), error))?;
        let remark = give_to_owner(&copy, held.path());
        kill_point("forget-copied");
        let destinations = lost_key::forget(&held, &connection, &mut marker)?;
        Ok(Forgotten { path: held.path().to_owned(), copy, destinations, remark })
    });
    closing::close(&held, marker, Some(connection));
    forgotten
}

/// Gives the copy to the owner of the database, where root forgets the key: a server looks into copies at its start.
fn give_to_owner(copy: &Path, database: &Path) -> Option<String> {
    let (own, owner) = (copy.metadata().ok()?, database.metadata().ok()?);
    let given = File::open(copy).and_then(|copy| owner::give(&copy, &owner));
    given.is_err().then(|| {
        format!("{} belongs to user {}, and the database to user {}; run chown", copy.display(), own.uid(), owner.uid())
    })
}
