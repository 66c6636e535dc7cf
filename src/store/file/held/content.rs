//! Checks whether the database file still holds what this process writes, since people copy other files over it while
//! the server runs. The mark and the schema cookie of the file show that. Whether the file is at its path is checked in
//! `held/mod.rs`.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::{HeldFile, Lost};
use crate::error::{Error, Result, Unavailable};
use crate::store::file::identity::mark::Mark;
use crate::store::file::wal::{SALT_OFFSET, Salt};

/// Maximum number of marks, and of schema cookies, that are remembered. The oldest is forgotten first.
const MAX_KNOWN: usize = 512;

/// The content may be read while one of its pages is being written. A second look after this time decides.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the file itself holds.
enum Content {
    /// What this process writes.
    Own,
    /// A mark that the file may have, but another schema cookie. Another program has changed the schema, or the file is
    /// a copy that SQLite made.
    OtherSchema(u32),
    /// Something else.
    Other,
    /// The file cannot be read.
    Unknown,
}

impl HeldFile {
    /// Like [`HeldFile::check`], and checks that the file's content is still what this process writes. For the write
    /// thread, which knows whether other programs have written.
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

    /// The same check for other threads. If only the write thread can decide, that thread is asked to make a mark.
    ///
    /// # Errors
    /// Unavailable: what is wrong. If the write thread has to decide, the error only lasts until then.
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

    /// Whether [`HeldFile::watch_content`] or [`HeldFile::wants_mark`] found that the write thread has to make a mark.
    pub fn wants_mark_of_others(&self) -> bool {
        self.state().mark_wanted
    }

    /// Whether the write thread has to make a mark, for example because another program has started the WAL again.
    pub fn wants_mark(&self) -> bool {
        let mut state = self.state();
        if let Some(known) = state.log
            && !state.mark_wanted
        {
            let mut salt = Salt::default();
            let read = File::open(self.log_path()).and_then(|log| log.read_exact_at(&mut salt, SALT_OFFSET));
            state.mark_wanted = read.is_ok() && salt != known;
        }
        state.mark_wanted
    }

    /// What the file itself holds, and what is not at its path. The content of a file that is somewhere else does not
    /// count.
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

    /// Finds the mark where it was last, or where it is now: another program may have moved its page.
    fn find_mark(&self, at: Option<u64>) -> std::io::Result<Option<(Mark, u64)>> {
        if let Some(at) = at {
            let mut bytes = Mark::first(0).bytes();
            match self.file.read_exact_at(&mut bytes, at) {
                Ok(()) => {}
                // The file is shorter now.
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

    /// The file may have this mark from now on, since the WAL has it.
    pub fn expect(&self, mark: Mark) {
        let mut state = self.state();
        remember(&mut state.marks, mark);
        remember(&mut state.cookies, mark.cookie_before);
        remember(&mut state.cookies, mark.cookie);
    }

    /// Writes a mark that the WAL has into the file, and syncs the file. A file without a mark gets its first one when
    /// the WAL is copied.
    ///
    /// # Errors
    /// Unavailable: the disk failed.
    pub fn write_mark(&self, mark: &Mark) -> Result<()> {
        self.write_mark_bytes(mark).map_err(|error| {
            Error::unavailable(Unavailable::Io, format!("The database cannot be written now: {error}."))
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

    /// The file has `mark`, and the salt of its WAL is `log`. With `anew` the WAL has just started again, so that no
    /// earlier mark can come back.
    pub fn carries(&self, mark: Mark, log: Salt, anew: bool) {
        let mut state = self.state();
        state.log = Some(log);
        state.mark_wanted = false;
        if anew {
            state.marks = vec![mark];
            state.cookies = vec![mark.cookie_before, mark.cookie];
        }
    }
}

/// Remembers `one`. The oldest is forgotten beyond [`MAX_KNOWN`].
fn remember<T: PartialEq>(known: &mut Vec<T>, one: T) {
    if !known.contains(&one) {
        if known.len() >= MAX_KNOWN {
            known.remove(0);
        }
        known.push(one);
    }
}
