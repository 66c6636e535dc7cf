//! `data-pusher key rotate`: what it says. How a file is sealed with another key is in `store/upkeep/rotate.rs`.

use std::path::Path;

use crate::commands::secrets_key::KeyFile;
use crate::delivery::clock;
use crate::domain::sealing::key::SecretsKeys;
use crate::error::{Error, Kind, Result};
use crate::store::upkeep::rotate::{Rotated, rotate};

/// Text at the end of the help.
pub const CODES: &str =
    "The server must be stopped. Copies beside the database whose names end in .sealed are sealed with \
the new key too. Other sealed copies and backups keep needing the old key; those beside the database are named. If \
the command is killed or fails halfway, run it again with the same two keys: until then the server refuses the file, \
and both keys are needed. Then start the server with the new key.

Exit codes: 0 everything is sealed with the new key; 1 it is not, and one line says why; 2 a flag is wrong.";

/// Rotates the key from `old` to `new`. Returns what is to be said.
///
/// # Errors
/// Says in one line what failed.
pub fn run(database: &Path, old: KeyFile, new: KeyFile) -> Result<String> {
    if old.key.id() == new.key.id() {
        let why = format!("both files hold the same key, {}; data-pusher key new FILE makes another one", new.key.id());
        return Err(Error::new(Kind::Internal, "key_failed", why));
    }
    let said = (old.to_string(), new.to_string());
    let rotated = rotate(database, &SecretsKeys::rotating(new.key, old.key), clock::wall())?;
    Ok(notes(&rotated, &said.0, &said.1))
}

/// `old` and `new` name the keys and their files.
fn notes(rotated: &Rotated, old: &str, new: &str) -> String {
    let Rotated { path, was_rotated, values, copies, .. } = rotated;
    let path = path.display();
    let mut notes = match (was_rotated, values, copies) {
        (true, 0, 0) => format!(
            "nothing to do: {path} needs the new key already, {new}, and not the old one, {old}; if you meant the other \
             direction, swap the two files\n"
        ),
        (true, 0, copies) => format!(
            "{path} needs the new key already, {new}; {copies} sealed copies beside it need it now too; the old key, {old}, opens \
             only older backups\n"
        ),
        _ => format!(
            "all secrets of {path} are sealed with the new key, {new} ({values} sealed now); the old key, {old}, opens only \
             older backups\n"
        ),
    };
    for other in &rotated.others {
        let needed = other.needed.map_or_else(|| "an older key".to_owned(), |key| format!("an older key, {key}"));
        notes += &format!(
            "warning: the copy {} beside it stays sealed with {needed}; keep that key as long as the copy, or delete the copy\n",
            other.copy.display()
        );
    }
    if rotated.unopened > 0 {
        notes += &format!(
            "warning: secrets of {} destinations open with neither key; data-pusher check names them\n",
            rotated.unopened
        );
    }
    notes
}
