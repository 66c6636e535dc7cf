//! The database file as this process holds it: one canonical path, a lock on the file itself, and a check that the file
//! is still at that path. What SQLite does with the file is not in here.
//!
//! SQLite's own locks are POSIX locks, and closing any descriptor of the file in this process would drop them. So the
//! descriptor here stays open until the last connection is closed.

pub mod content;
pub mod lock;

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::checkpoints::Checkpoints;
use super::companions::{owner_only, remove_if_there, sibling_path};
use super::error::cannot_start;
use super::identity::header::Header;
use super::identity::mark::Mark;
use super::identity::raw_file::RawFile;
use super::wal::Salt;
use crate::domain::sealing::key::SecretsKeys;
use crate::error::{Error, Result, Unavailable};
use lock::{CompanionLock, lock, options};

type FileId = (u64, u64);

/// How often a file is opened that is another one by the time it is locked.
const MAX_TRIES: u32 = 10;

/// Why the file cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Another file, or none, is at the path of the file.
    File,
    /// The WAL or its index is not at its path.
    Log,
    /// Other content was written over the file.
    Content,
}

impl Lost {
    fn what(self) -> &'static str {
        match self {
            Self::File => "the database file was moved, replaced or removed; put it back, or stop the server",
            Self::Log => {
                "the database's log or its index was removed; stop the server, which saves what it holds, and start it again"
            }
            Self::Content => {
                "the database file was written over by another program; stop the server, then restore the file again"
            }
        }
    }

    pub(super) fn error(self) -> Error {
        Error::unavailable(Unavailable::FileLost, format!("Nothing can be stored now: {}.", self.what()))
    }
}

/// The database file, locked.
#[derive(Debug)]
pub struct HeldFile {
    path: PathBuf,
    /// Who copies the WAL into the file.
    checkpoints: Checkpoints,
    /// The keys that seal secrets in the file.
    keys: Arc<SecretsKeys>,
    /// Whether this process created the file: nobody else has written to it before it was locked.
    made: bool,
    pub(super) file: File,
    id: FileId,
    /// The WAL and its index, once they exist.
    companions: OnceLock<[FileId; 2]>,
    state: Mutex<State>,
    _lock: Option<CompanionLock>,
}

/// What is known of the file and what should be in it.
#[derive(Debug, Default)]
pub struct State {
    pub(super) lost: Option<Lost>,
    /// Offset of the mark in the file, in bytes.
    pub(super) mark_at: Option<u64>,
    /// Marks that the file may have; empty before the first one.
    pub(super) marks: Vec<Mark>,
    /// Schema cookies that the file may have: other programs may change its schema.
    pub(super) cookies: Vec<u32>,
    /// Salt of the WAL that contains the last mark.
    pub(super) log: Option<Salt>,
    /// The write thread has to make a mark: another program has started the WAL again, or changed the schema.
    pub(super) mark_wanted: bool,
}

impl HeldFile {
    /// Opens or creates the file, and takes the lock that keeps a second server off it, whatever name, link or mount
    /// that server uses. Who has the lock knows that no server runs, so a login file that a crash left is removed.
    ///
    /// # Errors
    /// Says in one line who holds the file, or why it cannot be used.
    pub fn take(database: &Path, checkpoints: Checkpoints) -> Result<Self> {
        let mut tries = 0;
        let held = loop {
            tries += 1;
            // Between opening and locking, somebody may have removed the file, or put another one at the path.
            match Self::open_and_lock(database, checkpoints)? {
                Some(held) if held.look().is_none() || tries == MAX_TRIES => break held,
                _ if tries == MAX_TRIES => return Err(cannot_start(database, "it does not stay at its path")),
                _ => {}
            }
        };
        held.check().map_err(|error| cannot_start(database, error))?;
        // Commands would take whatever listens at its address for the server.
        let _ = remove_if_there(&sibling_path(&held.path, ".login"));
        Ok(held)
    }

    /// `None` if the file was removed meanwhile.
    fn open_and_lock(database: &Path, checkpoints: Checkpoints) -> Result<Option<Self>> {
        let failed = |error: std::io::Error| cannot_start(database, error);
        let (file, made) = match options().open(database) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (owner_only(options().create(true)).open(database).map_err(failed)?, true)
            }
            opened => (opened.map_err(failed)?, false),
        };
        let path = match database.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            path => path.map_err(failed)?,
        };
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(cannot_start(database, "it is no ordinary file"));
        }
        let lock = lock(&file, &path)?;
        // Another process may have locked the new file first, and filled it.
        let made = made && file.metadata().map_err(failed)?.len() == 0;
        let (keys, companions, state) = (Arc::default(), OnceLock::new(), Mutex::default());
        Ok(Some(Self { path, checkpoints, keys, made, file, id: id(&meta), companions, state, _lock: lock }))
    }

    /// A number that copies of the file do not share: made of its number in the file system and of when it was created
    /// there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn place(&self) -> std::io::Result<i64> {
        let meta = self.file.metadata()?;
        // Not every file system says when.
        let created = meta.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let nanos = created.map_or(0, |at| at.as_nanos() as i64);
        Ok((meta.ino() as i64).rotate_left(40) ^ nanos)
    }

    /// Gives up a file that is not to be used. If this process created the file, removes it.
    pub fn refuse(self) {
        if self.is_made_here() {
            let _ = remove_if_there(&self.path);
        }
    }

    /// Removes the file with its log, if this process created the file. No connection may be open, and the log may hold
    /// nothing of another file.
    pub fn remove_made(&self) {
        if self.is_made_here() {
            for ending in ["-wal", "-shm", "-journal", ""] {
                let _ = remove_if_there(&sibling_path(&self.path, ending));
            }
        }
    }

    /// Whether this process created the file.
    pub fn is_made(&self) -> bool {
        self.made
    }

    fn is_made_here(&self) -> bool {
        self.made && self.look() != Some(Lost::File)
    }

    /// The canonical path: no link, and absolute. So SQLite never takes it for `:memory:` or for a `file:` URI.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who copies the WAL into the file.
    pub fn checkpoints(&self) -> Checkpoints {
        self.checkpoints
    }

    /// Sets the keys that seal secrets in the file.
    pub fn with_keys(self, keys: Arc<SecretsKeys>) -> Self {
        Self { keys, ..self }
    }

    /// The keys that seal secrets in the file.
    pub fn keys(&self) -> &Arc<SecretsKeys> {
        &self.keys
    }

    /// The path of the write-ahead log.
    pub fn log_path(&self) -> PathBuf {
        sibling_path(&self.path, "-wal")
    }

    /// The file as it lies on disk.
    pub fn raw(&self) -> RawFile<'_> {
        RawFile { path: &self.path, file: &self.file }
    }

    /// The header of the file; `None` if that is not SQLite's.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn header(&self) -> std::io::Result<Option<Header>> {
        self.raw().header()
    }

    /// The mark in the file itself, whatever the WAL says, and its offset.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn mark(&self, page_size: usize) -> std::io::Result<Option<(Mark, u64)>> {
        self.raw().mark(page_size)
    }

    /// Whether the file itself has a mark, and not only its WAL.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn has_mark(&self) -> std::io::Result<bool> {
        match self.raw().header()? {
            Some(header) => Ok(self.raw().mark(header.page_size)?.is_some()),
            None => Ok(false),
        }
    }

    /// The WAL and its index exist now.
    pub fn log_is_open(&self) {
        let ids = ["-wal", "-shm"].map(|ending| sibling_path(&self.path, ending).metadata().map(|meta| id(&meta)));
        if let [Ok(log), Ok(index)] = ids {
            let _ = self.companions.set([log, index]);
        }
    }

    /// Checks that the file, the WAL and the index are at their paths. Logs when that changes.
    ///
    /// # Errors
    /// Unavailable: what is missing, and what to do.
    pub fn check(&self) -> Result<()> {
        self.note(self.look())
    }

    /// What was wrong at the last check.
    pub fn lost(&self) -> Option<Lost> {
        self.state().lost
    }

    /// Like [`HeldFile::check`], but with the result of the last check.
    ///
    /// # Errors
    /// Unavailable: what was wrong.
    pub fn usable(&self) -> Result<()> {
        self.lost().map_or(Ok(()), |lost| Err(lost.error()))
    }

    pub(super) fn note(&self, seen: Option<Lost>) -> Result<()> {
        let mut state = self.state();
        let before = state.lost;
        // Content that was written over does not come back.
        let now = if before == Some(Lost::Content) { before } else { seen };
        state.lost = now;
        drop(state);
        let database = self.path.display();
        match now {
            Some(lost) if before != now => tracing::error!(%database, "nothing is stored any more: {}", lost.what()),
            None if before.is_some() => tracing::info!(%database, "the database file is back"),
            _ => {}
        }
        now.map_or(Ok(()), |lost| Err(lost.error()))
    }

    pub(super) fn look(&self) -> Option<Lost> {
        let is = |path: &Path, known: FileId| path.metadata().is_ok_and(|meta| id(&meta) == known);
        if !is(&self.path, self.id) {
            return Some(Lost::File);
        }
        let [log, index] = self.companions.get()?;
        let there = is(&self.log_path(), *log) && is(&sibling_path(&self.path, "-shm"), *index);
        (!there).then_some(Lost::Log)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(meta: &Metadata) -> FileId {
    (meta.dev(), meta.ino())
}
