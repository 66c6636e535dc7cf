//! Makes a checked copy of a database file, whole at its place or not there at all.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::check::{self, Counts};
use super::copy;
use super::error::{cannot_copy, interrupted, not_whole};
use super::partial::Partial;
use super::progress::Progress;
use super::source::Source;
use crate::domain::sealing::key::SecretsKeys;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::process::interrupt;
use crate::process::priority::{self, Rank};
use crate::store::file::companions::{move_to_new_name, sibling_path, sync_folder};
use crate::store::file::held::lock;
use crate::store::file::shell_word::word;

/// Endings of files that belong to the database beside which they lie.
const COMPANIONS: [&str; 6] = ["-wal", "-shm", "-journal", ".lock", ".login", ".admin-token"];

/// What to copy, and where to.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// The database file. A server may use it.
    pub database: PathBuf,
    /// Place of the copy.
    pub to: PathBuf,
    /// Whether an existing file at that place is replaced.
    pub replace: bool,
}

/// A copy that was made.
#[derive(Debug)]
pub struct Copied {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Version of its schema.
    pub version: i64,
    /// What it holds.
    pub counts: Option<Counts>,
    /// The first fault of its rows, and how many there are. The original has them too.
    pub fault: Option<(String, usize)>,
}

impl Copied {
    /// Says that the rows have faults, if they have.
    pub fn remark(&self) -> Option<String> {
        let (first, count) = self.fault.as_ref()?;
        let more = if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        Some(format!(
            "every row is there, but one is wrong, in the original too: {first}{more}; data-pusher check says what to do"
        ))
    }
}

/// Copies a database file, whether a server uses it or not, and checks the copy. `now` goes into the name that the copy
/// has until it is whole.
///
/// # Errors
/// Says in one line what failed. Nothing is left at the place of the copy.
pub fn back_up(options: &BackupOptions, now: Timestamp, progress: Progress<'_>) -> Result<Copied> {
    let source = Source::find(&options.database)?;
    if let Some(refusal) = source.refusal() {
        return Err(refusal.clone());
    }
    let place = place(&options.to, options.replace, &source)?;
    let partial = Partial::create(&place, "partial", now)?;
    let mut copied = checked_copy(&source, &partial, now, progress)?;
    kill_point("backup-checked");
    move_to(partial, &place, options.replace)?;
    copied.path = place;
    Ok(copied)
}

/// Moves a whole file to its place.
pub(super) fn move_to(partial: Partial, place: &Path, replace: bool) -> Result<()> {
    let moved = partial.move_by(|from| match replace {
        true => std::fs::rename(from, place).and_then(|()| sync_folder(place)),
        false => move_to_new_name(from, place),
    });
    moved.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(place),
        _ => cannot_copy(place, error),
    })
}

/// Copies `source` into `partial` and checks the copy.
///
/// # Errors
/// Says in one line what failed, or what is wrong with the copy.
pub fn checked_copy(source: &Source, partial: &Partial, now: Timestamp, progress: Progress<'_>) -> Result<Copied> {
    let version = copy::copy(source, partial, progress)?;
    kill_point("copied");
    // The copy was made as fast as possible, for the sake of the server's log. Now the server comes first.
    priority::lower(Rank::Reading);
    let report = check::check(partial.path(), now, &SecretsKeys::default(), progress)?;
    // The server shows these destinations to whoever must set them again. A backup that failed each day until then would
    // hide that one day it really fails.
    let mut faults = report.faults;
    faults.retain(|fault| ![check::SEALED_WITHOUT_KEY, check::SEALED_WITH_OTHER_KEY].contains(&fault.code));
    let count = faults.len() + report.more_faults;
    if let Some(first) = faults.first().filter(|_| !report.is_sound) {
        return Err(not_whole(source.path(), &first.text, count));
    }
    // A short file is copied and checked in one go.
    if interrupt::is_asked() {
        return Err(interrupted());
    }
    let meta = partial.file.metadata().map_err(|error| cannot_copy(partial.path(), error))?;
    Ok(Copied {
        path: partial.path().to_owned(),
        bytes: meta.len(),
        version,
        counts: report.counts,
        fault: faults.into_iter().next().map(|first| (first.text, count)),
    })
}

fn exists(place: &Path) -> crate::error::Error {
    cannot_copy(place, "there is a file already; name another one, or replace it with --force")
}

/// Where the copy will stand, or why it must not stand there.
pub(super) fn place(to: &Path, replace: bool, source: &Source) -> Result<PathBuf> {
    let failed = |error: std::io::Error| cannot_copy(to, error);
    let names_folder = to.as_os_str().as_bytes().ends_with(b"/");
    let Some(name) = to.file_name().filter(|_| !names_folder) else {
        return Err(cannot_copy(to, "it is a folder; name a file in it"));
    };
    let place = match to.symlink_metadata() {
        Ok(_) => {
            // The target of a link is what is replaced.
            let real = to.canonicalize().map_err(failed)?;
            check_existing(&real, source, replace)?;
            real
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            folder.canonicalize().map_err(|error| cannot_copy(to, format!("its folder: {error}")))?.join(name)
        }
        Err(error) => return Err(failed(error)),
    };
    if COMPANIONS.iter().any(|ending| sibling_path(source.path(), ending) == place) {
        return Err(cannot_copy(&place, "this name belongs to the database"));
    }
    let has_content = |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.len() > 0);
    if let Some(log) =
        ["-wal", "-journal"].map(|ending| sibling_path(&place, ending)).iter().find(|log| has_content(log))
    {
        let log = word(log);
        return Err(cannot_copy(
            &place,
            format!("{log} would be taken for the copy's log; move it away, or name another file"),
        ));
    }
    Ok(place)
}

fn check_existing(place: &Path, source: &Source, replace: bool) -> Result<()> {
    let failed = |error: std::io::Error| cannot_copy(place, error);
    let meta = place.metadata().map_err(failed)?;
    let original = source.path().metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(cannot_copy(place, "it is a folder; name a file in it"));
    }
    if !meta.is_file() {
        return Err(cannot_copy(place, "it is no ordinary file"));
    }
    if (meta.dev(), meta.ino()) == (original.dev(), original.ino()) {
        return Err(cannot_copy(place, "it is the database itself"));
    }
    if !replace {
        return Err(exists(place));
    }
    // What cannot be read is no server's file that this user could harm.
    if let Ok(file) = File::open(place)
        && lock::is_taken(&file, place)?
    {
        return Err(cannot_copy(place, "a data-pusher server is using it"));
    }
    Ok(())
}
