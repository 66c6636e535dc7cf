//! The database file as this process holds it: one true path, a lock on the file itself, and a look whether it is still the
//! file at that path.
//!
//! SQLite's own locks are POSIX locks, and closing any descriptor of the file in this process would drop them: the
//! descriptor here is open until the last connection is closed.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::companions::{companion, owner_only};
use super::header::{self, Header};
use super::{cannot_start, inspect};
use crate::error::{Error, Result};
use crate::store::log::{SALT_IN_LOG, Salt};
use crate::store::mark::Mark;

/// Code of what is refused while the file is not where it was.
pub const FILE_LOST: &str = "storage_moved";

/// The pages among which the table of the mark begins: in a file with incremental vacuum, as ours are, tables and indexes
/// begin on its first pages.
const MARK_WITHIN: usize = 64;

/// Marks and schema cookies of the file that are remembered.
const MAX_KNOWN: usize = 64;

/// The file's content may be looked at while a page of it is being written: a second look then tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long a start tries to get the lock.
const ENDS_WITHIN: Duration = Duration::from_millis(200);

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
    _lock: Option<CompanionLock>,
}

#[derive(Debug, Default)]
struct State {
    lost: Option<Lost>,
    /// Where in the file the mark lies.
    mark_at: Option<u64>,
    /// Marks that the file may carry; none before the first.
    marks: Vec<Mark>,
    /// Schema cookies that it may have: other programs may change its schema.
    cookies: Vec<u32>,
    /// The log that the last mark is in.
    log: Option<Salt>,
    /// The write thread is to make a mark: another program has begun a log, or changed the schema.
    mark_wanted: bool,
}

/// What the file itself holds.
enum Content {
    /// What it should.
    Own,
    /// A mark that it may carry, but another schema: another program has changed that, or it is a copy that SQLite made.
    OtherSchema(u32),
    /// Something else.
    Other,
    /// It cannot be read.
    Unknown,
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
        let lock = lock(&file, &path)?;
        let (companions, state) = (OnceLock::new(), Mutex::default());
        let held = Self { path, file, id: id(&meta), companions, state, _lock: lock };
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

    /// Like [`HeldFile::check`], and whether the file's content is still the one that this process writes. For the write
    /// thread, which knows whether others have written.
    ///
    /// # Errors
    /// Unavailable: what is wrong, and what to do.
    pub fn check_content(&self, others_have_written: impl FnOnce() -> bool) -> Result<()> {
        let (content, gone) = self.seen();
        self.note(match content {
            Content::OtherSchema(cookie) if others_have_written() => {
                remember(&mut self.state().cookies, cookie);
                gone
            }
            Content::OtherSchema(_) | Content::Other => Some(Lost::Content),
            Content::Own | Content::Unknown => gone,
        })
    }

    /// The same for others than the write thread. Where that has to decide, a mark is wanted from it.
    ///
    /// # Errors
    /// Unavailable: what is wrong; for now, where the write thread has to decide.
    pub fn watch_content(&self) -> Result<()> {
        let (content, gone) = self.seen();
        match content {
            Content::Other => self.note(Some(Lost::Content)),
            Content::OtherSchema(_) => {
                self.state().mark_wanted = true;
                Err(Lost::Content.error())
            }
            Content::Own | Content::Unknown => self.note(gone),
        }
    }

    /// Whether [`HeldFile::watch_content`] or [`HeldFile::wants_mark`] have found that the write thread is to make a mark.
    pub fn wants_mark_of_others(&self) -> bool {
        self.state().mark_wanted
    }

    /// Whether the write thread is to make a mark, as of a log that another program has begun.
    pub fn wants_mark(&self) -> bool {
        let mut state = self.state();
        if let Some(known) = state.log
            && !state.mark_wanted
        {
            let mut salt = Salt::default();
            let read = File::open(self.log_path()).and_then(|log| log.read_exact_at(&mut salt, SALT_IN_LOG));
            state.mark_wanted = read.is_ok() && salt != known;
        }
        state.mark_wanted
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

    /// What the file itself holds, and what is not at its path. Of a file that is somewhere else the content does not count.
    fn seen(&self) -> (Content, Option<Lost>) {
        let gone = self.look();
        if gone == Some(Lost::File) {
            return (Content::Unknown, gone);
        }
        let content = match self.content() {
            Content::Other => {
                std::thread::sleep(LOOK_AGAIN);
                self.content()
            }
            content => content,
        };
        (content, gone)
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

    fn content(&self) -> Content {
        let state = self.state();
        if state.marks.is_empty() {
            return Content::Own;
        }
        let (at, marks, cookies) = (state.mark_at, state.marks.clone(), state.cookies.clone());
        drop(state);
        let (Ok(header), Ok(found)) = (self.header(), self.find_mark(at)) else { return Content::Unknown };
        match (header, found) {
            (Some(header), Some((mark, _))) if header.is_ours() && marks.iter().any(|known| known.is(&mark)) => {
                if cookies.contains(&header.cookie) {
                    Content::Own
                } else {
                    Content::OtherSchema(header.cookie)
                }
            }
            _ => Content::Other,
        }
    }

    /// The mark where it was last, or where it is now: another program may have moved its page.
    fn find_mark(&self, at: Option<u64>) -> std::io::Result<Option<(Mark, u64)>> {
        if let Some(at) = at {
            let mut bytes = Mark::first(0).bytes();
            match self.file.read_exact_at(&mut bytes, at) {
                Ok(()) => {}
                // It is shorter now.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(mark) = Mark::parse(&bytes) {
                return Ok(Some((mark, at)));
            }
        }
        match self.header()? {
            Some(header) => self.mark(header.page_size),
            None => Ok(None),
        }
    }

    /// The file may carry this mark from now on, since the log has it.
    pub fn expect(&self, mark: Mark) {
        let mut state = self.state();
        remember(&mut state.marks, mark);
        remember(&mut state.cookies, mark.cookie_before);
        remember(&mut state.cookies, mark.cookie);
    }

    /// Writes a mark that the log has into the file, on disk. A file that has none yet gets its first one with the log.
    ///
    /// # Errors
    /// Unavailable: the disk failed.
    pub fn write_mark(&self, mark: &Mark) -> Result<()> {
        self.write_mark_bytes(mark).map_err(|error| {
            Error::unavailable(crate::store::IO_FAILURE, format!("The database cannot be written now: {error}."))
        })
    }

    fn write_mark_bytes(&self, mark: &Mark) -> std::io::Result<()> {
        let known = self.state().mark_at;
        let Some((_, at)) = self.find_mark(known)? else { return Ok(()) };
        self.file.write_all_at(&mark.bytes(), at)?;
        self.file.sync_data()?;
        self.state().mark_at = Some(at);
        Ok(())
    }

    /// The file carries `mark`, and the log is the one with this salt; `anew` where it has just begun, so that no earlier mark
    /// can come back.
    pub fn carries(&self, mark: Mark, log: Salt, anew: bool) {
        let mut state = self.state();
        state.log = Some(log);
        state.mark_wanted = false;
        if anew {
            state.marks = vec![mark];
            state.cookies = vec![mark.cookie_before, mark.cookie];
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the newest.
fn remember<T: PartialEq>(known: &mut Vec<T>, one: T) {
    if !known.contains(&one) {
        if known.len() >= MAX_KNOWN {
            known.remove(0);
        }
        known.push(one);
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

/// A file beside the database that is locked, and goes with the lock.
#[derive(Debug)]
struct CompanionLock {
    path: PathBuf,
    _file: File,
}

impl CompanionLock {
    fn take(path: PathBuf, options: &mut OpenOptions, database: &Path) -> Result<Self> {
        let file = options.open(&path).map_err(|error| cannot_start(database, error))?;
        lock_one(&file, database)?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for CompanionLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `flock` on the file itself; SQLite's own locks do not see it. Servers of earlier versions lock a companion: theirs may run,
/// or have left it, and one that starts later is to find it locked.
#[cfg(target_os = "linux")]
fn lock(file: &File, path: &Path) -> Result<Option<CompanionLock>> {
    lock_one(file, path)?;
    let earlier = companion(path, ".lock");
    if earlier.exists() { CompanionLock::take(earlier, &mut options(), path).map(Some) } else { Ok(None) }
}

/// Elsewhere `flock` and SQLite's locks are one and the same, so that a companion is locked.
#[cfg(not(target_os = "linux"))]
fn lock(_: &File, path: &Path) -> Result<Option<CompanionLock>> {
    let path_of_lock = companion(path, ".lock");
    CompanionLock::take(path_of_lock, owner_only(options().create(true)), path).map(Some)
}

/// A server that is just ending gives its lock back in a moment.
fn lock_one(file: &File, path: &Path) -> Result<()> {
    let end = Instant::now() + ENDS_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(taken(path)),
            Err(TryLockError::Error(error)) => return Err(cannot_start(path, error)),
        }
    }
}
