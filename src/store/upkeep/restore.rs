//! Puts a copy in the place of a database file. What stood there is kept under a name of its own.
//!
//! A kill at any moment leaves what stood there, or what was restored, and either can be started. A file and its log
//! cannot be renamed at once. So the old log is first moved into the old file, as a stop does; then the two files change
//! places in one step. Where the old file cannot be started anyway, its log is moved away first: nothing may ever play
//! it onto the restored file.

use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::backup::{Copied, checked_copy};
use super::error::cannot_restore;
use super::key_needed;
use super::partial::{Partial, numbered};
use super::progress::Progress;
use super::source::Source;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::file::checkpoints::Checkpoints;
use crate::store::file::companions::{change_places, move_to_new_name, remove_if_there, sibling_path, sync_folder};
use crate::store::file::held::HeldFile;
use crate::store::file::identity::inspect;
use crate::store::file::identity::marker::Marker;
use crate::store::file::schema::MARKED_SINCE;
use crate::store::file::{opening, owner};

/// Files beside a database that belong to its content. The index of the log is made anew.
const LOGS: [&str; 2] = ["-wal", "-journal"];

/// What to restore, and where.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The place of the database file. No server may use it.
    pub database: PathBuf,
    /// The copy. It stays as it is.
    pub from: PathBuf,
}

/// What was done.
#[derive(Debug)]
pub struct Restored {
    /// The file that now stands at its place.
    pub file: Copied,
    /// Where the file is that stood there before, if there was one.
    pub before: Option<PathBuf>,
    /// What the operator should know.
    pub remarks: Vec<String>,
}

/// Puts a copy of the file `from` in the place of `database`, after a check. `now` goes into names.
///
/// # Errors
/// Says in one line what failed. What stood there stays.
pub fn restore(options: &RestoreOptions, now: Timestamp, progress: Progress<'_>) -> Result<Restored> {
    let source = Source::find(&options.from)?;
    if let Some(refusal) = source.refusal() {
        return Err(refusal.clone());
    }
    let held = take_place(&options.database, &source)?;
    let restored = restore_over(&held, &source, now, progress);
    if restored.is_err() {
        held.refuse();
    }
    restored
}

/// Puts a copy of `source` in the place of the file that is held.
fn restore_over(held: &HeldFile, source: &Source, now: Timestamp, progress: Progress<'_>) -> Result<Restored> {
    let place = held.path();
    let mut remarks = leftovers(place);
    let partial = Partial::create(place, "restoring", now)?;
    let mut file = checked_copy(source, &partial, now, progress)?;
    remarks.extend(file.remark());
    remarks.extend(give_to_owner(&partial, held));
    fold_log(held)?;
    kill_point("restore-folded");
    // Neither file is in use yet, or any more.
    let needed_before = if is_empty(held) { None } else { key_needed::of(place) };
    remarks.extend(key_needed::of(partial.path()).and_then(|needed| key_needed::remark(needed, needed_before)));
    let before = put(partial, held, now)?;
    if before.file.is_none() {
        remarks.extend(before.logs.iter().filter_map(|log| orphan_remark(log)));
    }
    file.path = place.to_owned();
    Ok(Restored { file, before: before.file, remarks })
}

/// Takes the place, and keeps servers off it. Where no file stands there, an empty one does from now on: a server that is
/// started meanwhile is refused, and no log can begin there that would then be moved away under it.
fn take_place(database: &Path, source: &Source) -> Result<HeldFile> {
    let failed = |error: io::Error| cannot_restore(database, error);
    let names_folder = ["/", "/."].iter().any(|end| database.as_os_str().as_bytes().ends_with(end.as_bytes()));
    let Some(name) = database.file_name() else {
        return Err(cannot_restore(database, "this names no file"));
    };
    match database.symlink_metadata() {
        Ok(_) => {
            let place = database.canonicalize().map_err(failed)?;
            let (meta, original) = (place.metadata().map_err(failed)?, source.path().metadata().map_err(failed)?);
            if (meta.dev(), meta.ino()) == (original.dev(), original.ino()) {
                return Err(cannot_restore(database, "it is the very file to restore from"));
            }
            if !meta.is_file() {
                return Err(cannot_restore(database, "it is no ordinary file"));
            }
            HeldFile::take(&place, Checkpoints::Own)
        }
        Err(error) if error.kind() == ErrorKind::NotFound && names_folder => {
            Err(cannot_restore(database, "it is a folder; name a file in it"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder =
                folder.canonicalize().map_err(|error| cannot_restore(database, format!("its folder: {error}")))?;
            HeldFile::take(&folder.join(name), Checkpoints::Own)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether no database stands there: the file was made for the restore, also by an earlier one that was killed.
fn is_empty(held: &HeldFile) -> bool {
    held.raw().length().is_ok_and(|length| length == 0)
}

/// Says where a log is now that lay at the place without its database. Its server may have acknowledged what it holds.
fn orphan_remark(log: &Path) -> Option<String> {
    let bytes = log.metadata().ok()?.len();
    (bytes > 0).then(|| {
        format!(
            "a log lay here without its database, and is now {} ({bytes} bytes); it may hold the last events of a database \
             that was moved away: data-pusher check on that one says so",
            log.display()
        )
    })
}

/// Files that earlier restores left that were killed. One of them may be what stood here before.
fn leftovers(place: &Path) -> Vec<String> {
    let Some((folder, name)) = place.parent().zip(place.file_name()) else { return Vec::new() };
    let begin = format!("{}.restoring-", name.to_string_lossy());
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let left = entries.flatten().map(|entry| entry.path());
    let left = left.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin)));
    left.map(|path| {
        format!("{} was left by a restore that was killed; data-pusher check says what it is", path.display())
    })
    .collect()
}

/// Gives the new file to the owner of the old one, or else of the folder, where root restores. Returns a remark if it
/// now belongs to somebody else.
fn give_to_owner(partial: &Partial, held: &HeldFile) -> Option<String> {
    let existed = !is_empty(held);
    let place = held.path();
    let owner = if existed { place } else { place.parent().unwrap_or(Path::new("/")) }.metadata().ok()?;
    let own = partial.file.metadata().ok()?;
    // A folder may belong to somebody else than the server, such as root.
    if owner::is_same(&own, &owner) || !existed && own.uid() != 0 {
        return None;
    }
    owner::give(&partial.file, &owner)
        .is_err()
        .then(|| format!("the file belongs to user {} now, and belonged to user {}; run chown", own.uid(), owner.uid()))
}

/// Moves the log of the old file into it, as a stop does. A file that a server would refuse is left as it is.
fn fold_log(held: &HeldFile) -> Result<()> {
    let path = held.path();
    let has = |ending: &str| sibling_path(path, ending).exists();
    let failed = |error: &dyn std::fmt::Display| {
        cannot_restore(path, format!("the log of the file that stands there cannot be moved into it: {error}"))
    };
    if !has("-wal") && !has("-shm")
        || inspect::inspect(held.raw(), held.raw().checkpoints()).is_err()
        || held.raw().length().unwrap_or(0) == 0
    {
        return Ok(());
    }
    let connection = opening::connect(path).map_err(|error| failed(&error))?;
    opening::keep_log(&connection, true).map_err(|error| failed(&error))?;
    let version: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| failed(&error))?;
    if version >= MARKED_SINCE {
        // A damaged file has perhaps no mark. It is then kept with its log.
        let Ok(mut marker) = Marker::new(&connection) else { return Ok(()) };
        marker.commit(&connection, held, false).map_err(|error| failed(&error))?;
    }
    opening::keep_log(&connection, false).map_err(|error| failed(&error))?;
    drop(connection);
    opening::leave_alone(held);
    if has("-wal") {
        return Err(cannot_restore(path, "another program is using it; end that program first"));
    }
    Ok(())
}

/// Where that is now what stood at the place.
struct Before {
    /// The database; `None` if there was none.
    file: Option<PathBuf>,
    /// What may be its logs.
    logs: Vec<PathBuf>,
}

/// Puts the new file in the place of the one that is held. Returns where the old one is.
fn put(partial: Partial, held: &HeldFile, now: Timestamp) -> Result<Before> {
    let place = held.path();
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::ResourceBusy => cannot_restore(
            place,
            "it is a mount of its own, as a file that is given to a container, and cannot be replaced; mount its folder \
             instead, or restore it from outside",
        ),
        _ => cannot_restore(place, error),
    };
    let before = unused(place, now);
    let moved = move_logs(place, &before).map_err(failed)?;
    kill_point("restore-logs-moved");
    let put = partial.move_by(|new| match is_empty(held) {
        true => std::fs::rename(new, place).map(|()| None),
        false => exchange(new, place, &before, now).map(Some),
    });
    if put.is_err() {
        // What stands there must not lack its log.
        for ending in &moved {
            let _ = std::fs::rename(sibling_path(&before, ending), sibling_path(place, ending));
        }
    }
    let file = put.map_err(failed)?;
    sync_folder(place).map_err(failed)?;
    Ok(Before { file, logs: moved.iter().map(|ending| sibling_path(&before, ending)).collect() })
}

/// A name that no file has, and whose log's name no file has.
fn unused(place: &Path, now: Timestamp) -> PathBuf {
    let is_free =
        |path: &PathBuf| [""].iter().chain(&LOGS).all(|ending| sibling_path(path, ending).symlink_metadata().is_err());
    let mut names = (1..).map(|number| numbered(place, "before-restore", now, number));
    names.find(is_free).unwrap_or_else(|| unreachable!("there is a name that is not taken"))
}

/// Moves what may be a log of the old file to the name that the old file will have. Returns the endings of what was
/// moved.
fn move_logs(place: &Path, before: &Path) -> io::Result<Vec<&'static str>> {
    let mut moved = Vec::new();
    for ending in LOGS {
        match std::fs::rename(sibling_path(place, ending), sibling_path(before, ending)) {
            Ok(()) => moved.push(ending),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    remove_if_there(&sibling_path(place, "-shm"))?;
    sync_folder(place)?;
    Ok(moved)
}

/// Puts the file at `new` in the place of the file at `place`, which goes to `before`. Returns where that file is. After
/// an error, all is as it was.
fn exchange(new: &Path, place: &Path, before: &Path, now: Timestamp) -> io::Result<PathBuf> {
    match change_places(new, place) {
        Ok(()) => {
            kill_point("restore-exchanged");
            // The old file is at the name of the new one, and stays there if it cannot be renamed.
            let renamed = std::fs::rename(new, before);
            return Ok(if renamed.is_ok() { before } else { new }.to_owned());
        }
        Err(error) if error.kind() == ErrorKind::ResourceBusy => return Err(error),
        Err(_) => {}
    }
    // Some file systems cannot do that. Then the old file is copied, so that its place is never empty.
    let copy = Partial::create(place, "before-restore-partial", now).map_err(io::Error::other)?;
    std::fs::copy(place, copy.path())?;
    copy.file.sync_all()?;
    copy.move_by(|from| move_to_new_name(from, before))?;
    kill_point("restore-kept");
    if let Err(error) = std::fs::rename(new, place) {
        let _ = std::fs::remove_file(before);
        return Err(error);
    }
    Ok(before.to_owned())
}
