//! What a database file and the log beside it are, before SQLite opens them: SQLite would take a foreign file's log into it,
//! and play a log over whatever file stands beside it.

use std::io::Read as _;
use std::path::PathBuf;

use super::companions::companion;
use super::header::Header;
use super::held::HeldFile;
use super::raw_log::RawLog;
use super::{MARKED_SINCE, VERSION, cannot_start, pasted};
use crate::error::{Error, Result};
use crate::store::mark::Mark;

/// What a rollback journal begins with.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Refuses what is not to be opened.
///
/// # Errors
/// One line that says why, and what to do.
pub fn inspect(held: &HeldFile) -> Result<()> {
    let path = held.path();
    let failed = |error: std::io::Error| cannot_start(path, error);
    let log_path = held.log_path();
    let log =
        RawLog::read(&log_path).map_err(|error| cannot_start(path, format!("{}: {error}", pasted::word(&log_path))))?;
    let in_log = log.as_ref().filter(|log| log.commits > 0);
    let Some(header) = held.header().map_err(failed)? else {
        return match (held.length().map_err(failed)?, in_log) {
            (0, None) => Ok(()),
            (0, Some(_)) => Err(empty_with_log(held)),
            _ => Err(cannot_start(path, "it is not a SQLite database")),
        };
    };
    if !header.is_ours() {
        let ours_in_log = in_log.and_then(|log| log.first_pages).is_some_and(|(_, last)| last.is_ours());
        let is_new = header.application == 0 && !header.has_tables;
        return if is_new && (ours_in_log || in_log.is_none()) { Ok(()) } else { Err(foreign(held)) };
    }
    let version = in_log.and_then(|log| log.first_pages).map_or(header.version, |(_, last)| last.version);
    if !(1..=VERSION).contains(&i64::from(version)) {
        return Err(unknown_version(held, i64::from(version)));
    }
    if has_journal(held) {
        return Err(foreign_journal(held));
    }
    let mark = held.mark(header.page_size).map_err(failed)?.map(|(mark, _)| mark);
    match (in_log, mark) {
        (Some(log), mark) if !belongs(&header, mark, log) => Err(foreign_log(held)),
        (None, Some(mark)) if mark.open && mark.cookie == header.cookie => match log {
            None => Err(log_is_missing(held)),
            // Somebody took care of it: SQLite cuts a log to nothing once all of it is in the file.
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a log belongs to the file with this header and mark.
fn belongs(header: &Header, mark: Option<Mark>, log: &RawLog) -> bool {
    let Some(mark) = mark else {
        // Of a version without marks, or made in this very log. The count of the first page's writes never goes back, and at
        // most one is between the file's and the first of the log.
        let fits = |(first, last): (Header, Header)| {
            header.changes.wrapping_add(1).wrapping_sub(first.changes) <= last.changes.wrapping_sub(first.changes) + 1
        };
        let older = i64::from(header.version) < MARKED_SINCE;
        return older
            && match log.marks.first() {
                Some(mark) => mark.is_first() && log.first_pages.is_some_and(fits),
                None => log.first_pages.is_none_or(fits),
            };
    };
    let Some(first) = log.marks.first() else { return false };
    // A copy that SQLite made gets a mark and a cookie of its own with its first log.
    let renews = log.commits == 1 && log.first_pages.is_some_and(|(_, last)| last.cookie == first.cookie);
    let just_begun = first.before == mark.own && log.first_mark_is_last;
    (just_begun && (first.cookie == header.cookie || renews))
        || (log.marks.contains(&mark) && (header.cookie == mark.cookie || renews))
}

/// Whether a transaction of a rollback journal waits to be undone. Files of ours are not written in that way.
fn has_journal(held: &HeldFile) -> bool {
    let mut magic = [0; JOURNAL_MAGIC.len()];
    let journal = std::fs::File::open(companion(held.path(), "-journal"));
    journal.and_then(|mut journal| journal.read_exact(&mut magic)).is_ok() && magic == JOURNAL_MAGIC
}

/// A file, and where it is out of the way and of nothing else that was moved there, as words of a shell.
fn with_aside(path: PathBuf) -> (String, String) {
    let mut aside = companion(&path, ".aside");
    for number in 2.. {
        if !aside.exists() {
            break;
        }
        aside = companion(&path, &format!(".aside-{number}"));
    }
    (pasted::word(&path), pasted::word(&aside))
}

fn empty_with_log(held: &HeldFile) -> Error {
    let (log, aside) = with_aside(held.log_path());
    cannot_start(
        held.path(),
        format!(
            "it is missing or empty, but its log {log} holds data; put the database back, or begin anew: mv {log} {aside}"
        ),
    )
}

fn foreign_log(held: &HeldFile) -> Error {
    let (log, aside) = with_aside(held.log_path());
    cannot_start(
        held.path(),
        format!(
            "the log {log} beside it belongs to another file, such as the one that stood here before a backup was restored; to \
             use this file as it is: mv {log} {aside}; to use what the log holds, put that other file back"
        ),
    )
}

fn log_is_missing(held: &HeldFile) -> Error {
    let log = pasted::word(&held.log_path());
    cannot_start(
        held.path(),
        format!(
            "its last server did not stop cleanly, and the log that may hold its last events is not at {log}; move the log there \
             (it has the name that the database had, and -wal); if you are sure that there is none: touch {log}"
        ),
    )
}

fn foreign_journal(held: &HeldFile) -> Error {
    let (journal, aside) = with_aside(companion(held.path(), "-journal"));
    cannot_start(
        held.path(),
        format!("the journal {journal} beside it is another program's; move it away: mv {journal} {aside}"),
    )
}

fn foreign(held: &HeldFile) -> Error {
    cannot_start(held.path(), "it is a SQLite file of another program; name a new file with --database")
}

fn unknown_version(held: &HeldFile, version: i64) -> Error {
    cannot_start(
        held.path(),
        format!("its schema has version {version}, this program knows 1 to {VERSION}; use a newer data-pusher"),
    )
}

#[cfg(test)]
mod tests;
