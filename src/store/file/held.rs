//! The database file as this process holds it: one true path, a lock on the file itself, and a look whether it is still the
//! file at that path.
//!
//! SQLite's own locks are POSIX locks, and closing any descriptor of the file in this process would drop them: the
//! descriptor here is open until the last connection is closed.

use std::collections::VecDeque;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::companions::{companion, owner_only};
use super::header::{self, Header};
use super::{cannot_start, inspect};
use crate::error::{Error, Result};
use crate::store::mark::Mark;

/// Code of what is refused while the file is not where it was.
pub const FILE_LOST: &str = "storage_moved";

/// The pages among which the table of the mark begins: in a file with incremental vacuum, as ours are, tables and indexes
/// begin on its first pages.
const MARK_WITHIN: usize = 64;

/// Marks that the file may carry just now. The log's index may not be asked for more than it.
const MARKS: usize = 64;

/// The file's content may be looked at while a page of it is being written: a second look then tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

type FileId = (u64, u64);

/// Why the file cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Another file, or none, is at its path.
    File,
    /// Its log or the log's index is not at its path.
    Log,
    /// Other content was written over it.
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

    fn error(self) -> Error {
        Error::unavailable(FILE_LOST, format!("Nothing can be stored now: {}.", self.what()))
    }
}

/// The file, locked.
#[derive(Debug)]
pub struct HeldFile {
    path: PathBuf,
    file: File,
    id: FileId,
    /// Log and index, once they are there.
    companions: OnceLock<[FileId; 2]>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lost: Option<Lost>,
    /// Where in the file the mark lies.
    mark_at: Option<u64>,
    /// Marks that it may carry, oldest first; none before the first.
    marks: VecDeque<Mark>,
    /// More of them than are kept here.
    many: bool,
}

impl HeldFile {
    /// Opens the file, or makes it, and takes the lock that keeps a second server off it, whatever name, link or mount it
    /// comes by. What stands there is looked at before SQLite is let near it, and nothing in it is changed.
    ///
    /// # Errors
    /// One line that says who holds it, or why it cannot be used, and what to do.
    pub fn take(database: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| cannot_start(database, error);
        let (file, made) = match options().open(database) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (owner_only(options().create(true)).open(database).map_err(failed)?, true)
            }
            opened => (opened.map_err(failed)?, false),
        };
        let path = database.canonicalize().map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(cannot_start(database, "it is no ordinary file"));
        }
        lock(&file, &path)?;
        let held = Self { path, file, id: id(&meta), companions: OnceLock::new(), state: Mutex::default() };
        // Between opening and locking, somebody may have put another file there.
        held.check().map_err(|error| cannot_start(database, error))?;
        inspect::inspect(&held).inspect_err(|_| {
            if made {
                // Nothing was there, and nothing stays.
                let _ = std::fs::remove_file(&held.path);
            }
        })?;
        Ok(held)
    }

    /// Its one true path: no link, and never SQLite's `:memory:` or `file:` URI, since it is absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of its write-ahead log.
    pub fn log_path(&self) -> PathBuf {
        companion(&self.path, "-wal")
    }

    /// Its length.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn length(&self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// As much of its beginning as the pages take that the mark may be on; less where it is shorter.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn beginning(&self, pages: usize, page_size: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; pages * page_size];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Its header; `None` where it is not SQLite's.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn header(&self) -> std::io::Result<Option<Header>> {
        Ok(Header::parse(&self.beginning(1, header::NEEDED)?))
    }

    /// The mark in the file itself, whatever the log says, and where it lies.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn mark(&self, page_size: usize) -> std::io::Result<Option<(Mark, u64)>> {
        let pages = self.beginning(MARK_WITHIN, page_size)?;
        let found = pages
            .chunks_exact(page_size)
            .enumerate()
            .find_map(|(number, page)| Mark::of_page(page).map(|(mark, at)| (mark, (number * page_size + at) as u64)));
        Ok(found)
    }

    /// The log and its index are there now.
    pub fn log_is_open(&self) {
        let ids = ["-wal", "-shm"].map(|ending| companion(&self.path, ending).metadata().map(|meta| id(&meta)));
        if let [Ok(log), Ok(index)] = ids {
            let _ = self.companions.set([log, index]);
        }
    }

    /// Whether all is where it was. Says so in the log when that changes.
    ///
    /// # Errors
    /// Unavailable: what is missing, and what to do.
    pub fn check(&self) -> Result<()> {
        self.note(self.look())
    }

    /// Like [`HeldFile::check`], and whether the content is still the one that this process writes.
    ///
    /// # Errors
    /// Unavailable: what is wrong, and what to do.
    pub fn check_content(&self) -> Result<()> {
        // First of all: a log that was removed would be moved over what was written there.
        let seen = if self.is_written_over() { Some(Lost::Content) } else { self.look() };
        self.note(seen)
    }

    /// To be called before anything is moved into the file: that would damage what somebody else has written over it, and
    /// hide that it was.
    ///
    /// # Errors
    /// Unavailable: it was written over.
    pub fn check_before_move(&self) -> Result<()> {
        match self.check_content() {
            Err(error) if self.lost() == Some(Lost::Content) => Err(error),
            _ => Ok(()),
        }
    }

    /// What is wrong, as far as was seen.
    pub fn lost(&self) -> Option<Lost> {
        self.state().lost
    }

    /// Like [`HeldFile::check`], as far as was seen.
    ///
    /// # Errors
    /// Unavailable.
    pub fn usable(&self) -> Result<()> {
        self.lost().map_or(Ok(()), |lost| Err(lost.error()))
    }

    fn note(&self, seen: Option<Lost>) -> Result<()> {
        let mut state = self.state();
        let before = state.lost;
        // What was written over does not come back.
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

    fn look(&self) -> Option<Lost> {
        let is = |path: &Path, known: FileId| path.metadata().is_ok_and(|meta| id(&meta) == known);
        if !is(&self.path, self.id) {
            return Some(Lost::File);
        }
        let [log, index] = self.companions.get()?;
        let there = is(&self.log_path(), *log) && is(&companion(&self.path, "-shm"), *index);
        (!there).then_some(Lost::Log)
    }

    fn is_written_over(&self) -> bool {
        if self.has_its_content() {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
        !self.has_its_content()
    }

    fn has_its_content(&self) -> bool {
        let state = self.state();
        let (Some(at), Some(expected)) = (state.mark_at, state.marks.back().copied()) else { return true };
        let known: Vec<Mark> = if state.many { Vec::new() } else { state.marks.iter().copied().collect() };
        drop(state);
        let (Ok(Some(header)), Ok(Some(mark))) = (self.header(), self.mark_at(at)) else { return false };
        header.is_ours() && header.cookie == expected.cookie && mark.open && (known.is_empty() || known.contains(&mark))
    }

    fn mark_at(&self, at: u64) -> std::io::Result<Option<Mark>> {
        let mut bytes = Mark::first().bytes();
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(Mark::parse(&bytes))
    }

    /// The file may carry this mark from now on, since the log is about to have it.
    pub fn expect_mark(&self, mark: Mark) {
        let mut state = self.state();
        state.marks.push_back(mark);
        if state.marks.len() > MARKS {
            state.marks.pop_front();
            state.many = true;
        }
    }

    /// Writes the mark of a log that has just begun into the file, and syncs that. A file that has no mark yet gets its first
    /// one with the log.
    ///
    /// # Errors
    /// Unavailable: the disk failed, or the file was written over.
    pub fn write_mark(&self, mark: &Mark) -> Result<()> {
        self.check_before_move()?;
        self.write_mark_bytes(mark).map_err(|error| {
            Error::unavailable(crate::store::IO_FAILURE, format!("The database cannot be written now: {error}."))
        })
    }

    fn write_mark_bytes(&self, mark: &Mark) -> std::io::Result<()> {
        let known = self.state().mark_at;
        let at = match known {
            Some(at) if self.mark_at(at)?.is_some() => Some(at),
            _ => {
                let page_size = self.header()?.map(|header| header.page_size);
                page_size.map(|size| self.mark(size)).transpose()?.flatten().map(|(_, at)| at)
            }
        };
        let Some(at) = at else { return Ok(()) };
        self.file.write_all_at(&mark.bytes(), at)?;
        self.file.sync_data()?;
        let mut state = self.state();
        state.mark_at = Some(at);
        // The file has this one or later ones.
        state.many = false;
        while state.marks.front().is_some_and(|first| first != mark) {
            state.marks.pop_front();
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

fn id(meta: &Metadata) -> FileId {
    (meta.dev(), meta.ino())
}

fn taken(path: &Path) -> Error {
    cannot_start(path, "another data-pusher server is using it")
}

/// `flock` on the file itself; SQLite's own locks do not see it.
#[cfg(target_os = "linux")]
fn lock(file: &File, path: &Path) -> Result<()> {
    lock_one(file, path)?;
    // Servers of earlier versions lock a companion; theirs may run, or have left it.
    let earlier = companion(path, ".lock");
    if let Ok(file) = options().open(&earlier) {
        lock_one(&file, path)?;
        let _ = std::fs::remove_file(&earlier);
    }
    Ok(())
}

/// Elsewhere `flock` and SQLite's locks are one and the same, so that a companion is locked.
#[cfg(not(target_os = "linux"))]
fn lock(_: &File, path: &Path) -> Result<()> {
    let lock = companion(path, ".lock");
    let file = owner_only(options().create(true)).open(&lock).map_err(|error| cannot_start(path, error))?;
    lock_one(&file, path)?;
    // Held until the process ends.
    std::mem::forget(file);
    Ok(())
}

fn lock_one(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(taken(path)),
        Err(TryLockError::Error(error)) => Err(cannot_start(path, error)),
    }
}
