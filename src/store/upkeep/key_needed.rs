//! Which key a database file needs, and what a restore says about that. Whether a key that was given is the right one is
//! decided in `file/sealed/state.rs`.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::domain::sealing::key::KeyId;
use crate::store::file::opening::immutable_uri;
use crate::store::file::sealed::state;
use crate::store::operations::lost_key;

/// What a file needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNeeded {
    /// No key: no secret is sealed.
    None,
    /// No key, but secrets are sealed with one that is lost.
    GivenUp,
    /// This key.
    One(KeyId),
    /// Both keys of a rotation that is not complete: the new one, and the one before.
    Two(KeyId, KeyId),
}

/// Reads what the file needs, without its log. `None` if it cannot be read.
pub fn of(path: &Path) -> Option<KeyNeeded> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let file = Connection::open_with_flags(immutable_uri(path), flags).ok()?;
    read(&file).ok()?
}

fn read(file: &Connection) -> rusqlite::Result<Option<KeyNeeded>> {
    let Some(sealing) = state::read(file)? else {
        // A file of an earlier version has fewer columns, and nothing that is sealed.
        let is_given_up = lost_key::has_sealed(file).unwrap_or(false);
        return Ok(Some(if is_given_up { KeyNeeded::GivenUp } else { KeyNeeded::None }));
    };
    Ok(sealing.key().map(|key| match sealing.key_before() {
        Some(before) => KeyNeeded::Two(key, before),
        None => KeyNeeded::One(key),
    }))
}

/// What the operator must know of the key after a restore. `before` is what stood there.
pub fn remark(restored: KeyNeeded, before: Option<KeyNeeded>) -> Option<String> {
    match (restored, before) {
        (KeyNeeded::None, Some(KeyNeeded::One(_) | KeyNeeded::Two(..))) => Some(
            "its secrets are plain, and those of the file that stood there are sealed; the next start with \
             --secrets-key-file seals them"
                .to_owned(),
        ),
        (KeyNeeded::One(key), Some(KeyNeeded::One(other))) if key != other => Some(format!(
            "its secrets are sealed with the key {key}, and those of the file that stood there with the key {other}; start the \
             server with the key {key}, or first run data-pusher key rotate from {key} to {other}"
        )),
        (KeyNeeded::GivenUp, _) => Some(
            "secrets of its destinations are sealed with a key that was given up by data-pusher key forget; start the server \
             with that key if you have it, or set these destinations again"
                .to_owned(),
        ),
        (KeyNeeded::One(key), None | Some(KeyNeeded::None | KeyNeeded::GivenUp | KeyNeeded::Two(..))) => Some(format!(
            "its secrets are sealed with the key {key}; start the server with that key in --secrets-key-file"
        )),
        (KeyNeeded::Two(new, old), _) => Some(format!(
            "the rotation of its key from {old} to {new} is not complete; run data-pusher key rotate with these two keys"
        )),
        (KeyNeeded::None, None | Some(KeyNeeded::None | KeyNeeded::GivenUp)) | (KeyNeeded::One(_), Some(KeyNeeded::One(_))) => None,
    }
}
