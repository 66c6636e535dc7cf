//! Decides whether a database file and the WAL beside it may be opened, before SQLite opens them. SQLite would copy the
//! WAL of a foreign file into that file, and would apply a WAL to whatever file is beside it. Nothing is changed here.

use std::io::Read as _;
use std::path::PathBuf;

use super::header::Header;
use super::mark::Mark;
use super::raw_file::RawFile;
use super::raw_wal::RawLog;
use crate::error::{Error, Result};
use crate::store::file::checkpoints::Checkpoints;
use crate::store::file::companions::sibling_path;
use crate::store::file::error::cannot_start;
use crate::store::file::schema::{MARKED_SINCE, VERSION};
use crate::store::file::shell_word;

/// The first bytes of a rollback journal.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Most changes of the schema that a replicator makes in one WAL: Litestream makes two tables and an index.
const REPLICATORS_CHANGES: u32 = 16;

/// Refuses a file that must not be opened, also because of the WAL beside it. Returns what that WAL contains.
///
/// # Errors
/// Says in one line why, and what to do.
pub fn inspect(file: RawFile<'_>, checkpoints: Checkpoints) -> Result<RawLog> {
    let log = read_log(file)?;
    allow(file, checkpoints, log.as_ref())?;
    Ok(log.unwrap_or_default())
}

fn read_log(file: RawFile<'_>) -> Result<Option<RawLog>> {
    let path = file.log_path();
    RawLog::read(&path).map_err(|error| cannot_start(file.path, format!("{}: {error}", shell_word::word(&path))))
}

fn allow(file: RawFile<'_>, checkpoints: Checkpoints, log: Option<&RawLog>) -> Result<()> {
    let path = file.path;
    let failed = |error: std::io::Error| cannot_start(path, error);
    let in_log = log.filter(|log| log.commits > 0);
    let Some(header) = file.header().map_err(failed)? else {
        return match (file.length().map_err(failed)?, in_log) {
            (0, None) => Ok(()),
            (0, Some(_)) => Err(empty_with_log(file)),
            _ if file.is_sealed_copy() => {
                Err(cannot_start(path, "it is a sealed copy; open it first: data-pusher key open"))
            }
            _ => Err(cannot_start(path, "it is not a SQLite database")),
        };
    };
    let last_page = in_log.and_then(|log| log.first_pages.last());
    if !header.is_ours() {
        let is_new = header.application == 0 && !header.has_tables;
        let fits = is_new && (in_log.is_none() || last_page.is_some_and(Header::is_ours));
        return if fits { Ok(()) } else { Err(foreign(file)) };
    }
    let version = i64::from(last_page.map_or(header.version, |last| last.version));
    if !(1..=VERSION).contains(&version) {
        return Err(unknown_version(file, version));
    }
    if header.is_wal() && has_journal(file) {
        return Err(foreign_journal(file));
    }
    let mark = file.mark(header.page_size).map_err(failed)?.map(|(mark, _)| mark);
    let needs_log = file.needs_log().map_err(failed)?;
    let external = checkpoints.are_external();
    match in_log {
        Some(log) if belongs(&header, mark, log) => Ok(()),
        Some(log) if external && may_be_replicators(&header, mark, log) => Ok(()),
        Some(log) if log.marks.is_empty() && version >= MARKED_SINCE => Err(unmarked_log(file)),
        Some(_) => Err(foreign_log(file, needs_log)),
        // Somebody has taken care of an empty WAL: SQLite cuts it to length 0 once all of it is in the file.
        None if needs_log && log.is_none() && external => {
            tracing::warn!(
                path = %path.display(),
                "the database's last server did not stop cleanly, and its log is not here; with --checkpoints external, the \
                 replicator has copied it into the database"
            );
            Ok(())
        }
        None if needs_log && log.is_none() => Err(log_is_missing(file)),
        None => Ok(()),
    }
}

/// Whether a WAL belongs to the file with this header and mark.
fn belongs(header: &Header, mark: Option<Mark>, log: &RawLog) -> bool {
    let by_mark = match (mark, log.marks.first()) {
        // Until the file has the WAL's mark, nothing else is in the WAL.
        (Some(mark), Some(first)) => {
            log.marks.iter().any(|known| known.is(&mark)) || (first.before == mark.own && !log.has_data)
        }
        // The first mark of the file was made in this same WAL, by a first start or a migration.
        (None, Some(first)) => first.is_first(),
        (None, None) => i64::from(header.version) < MARKED_SINCE,
        (Some(_), None) => false,
    };
    by_mark && has_first_page(header, log)
}

/// Whether a WAL may belong to the file although another program began it. A replicator begins a WAL with transactions
/// of its own, and this program's first mark comes after these, or the server ended before it came.
fn may_be_replicators(header: &Header, mark: Option<Mark>, log: &RawLog) -> bool {
    let follows = match (mark, log.marks.first()) {
        (Some(mark), Some(first)) => first.before == mark.own,
        (_, None) => true,
        (None, Some(_)) => false,
    };
    let as_long = log.sizes_before.iter().all(|pages| *pages == header.pages);
    // The first page before the WAL began, but for tables that the replicator has made in the WAL.
    let is_before = |first: &Header| {
        first.cookie.wrapping_sub(header.cookie) <= REPLICATORS_CHANGES && header.changes <= first.changes
    };
    follows && (has_first_page(header, log) || (as_long && log.first_pages.first().is_none_or(is_before)))
}

/// Whether the file's first page is one of those in the WAL, or may be the one before the WAL began.
fn has_first_page(header: &Header, log: &RawLog) -> bool {
    if log.first_pages.iter().any(|page| page.is(header)) {
        return true;
    }
    let as_long = log.sizes_before.iter().all(|pages| *pages == header.pages);
    let Some(first) = log.first_pages.first() else { return as_long };
    let fits = match log.marks.first() {
        // A first start or a migration gave the file its cookie.
        Some(mark) if mark.is_first() => header.version < first.version,
        Some(mark) => header.cookie == mark.cookie_before,
        None => header.cookie == first.cookie,
    };
    as_long && fits && header.changes <= first.changes
}

/// Whether a transaction in a rollback journal waits to be undone. This program's files are not written in that way.
fn has_journal(file: RawFile<'_>) -> bool {
    let mut magic = [0; JOURNAL_MAGIC.len()];
    let journal = std::fs::File::open(sibling_path(file.path, "-journal"));
    journal.and_then(|mut journal| journal.read_exact(&mut magic)).is_ok() && magic == JOURNAL_MAGIC
}

/// A file, and an unused path beside it to which people can move the file. Both are words of a shell.
fn with_aside(path: PathBuf) -> (String, String) {
    let mut aside = sibling_path(&path, ".aside");
    for number in 2.. {
        if !aside.exists() {
            break;
        }
        aside = sibling_path(&path, &format!(".aside-{number}"));
    }
    (shell_word::word(&path), shell_word::word(&aside))
}

fn empty_with_log(file: RawFile<'_>) -> Error {
    let (log, aside) = with_aside(file.log_path());
    cannot_start(
        file.path,
        format!(
            "it is missing or empty, but its log {log} holds data; put the database back, or begin anew: mv {log} {aside}"
        ),
    )
}

fn foreign_log(file: RawFile<'_>, needs_log: bool) -> Error {
    let (log, aside) = with_aside(file.log_path());
    // A plain copy of a running server's file.
    let copied =
        if needs_log { format!(" && touch {log} (what its own log held is missing in it)") } else { String::new() };
    cannot_start(
        file.path,
        format!(
            "the log {log} belongs to another file, such as the one that stood here before a backup was restored, and may hold \
             what that one lacks; to use it, put that file back; to use this file without: mv {log} {aside}{copied}"
        ),
    )
}

fn unmarked_log(file: RawFile<'_>) -> Error {
    let path = shell_word::word(file.path);
    let (log, aside) = with_aside(file.log_path());
    cannot_start(
        file.path,
        format!(
            "another program began the log {log} and did not end it; if it wrote to this very file, move the log into it: \
             sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'; if a backup was put here since: mv {log} {aside}"
        ),
    )
}

fn log_is_missing(file: RawFile<'_>) -> Error {
    let log = shell_word::word(&file.log_path());
    cannot_start(
        file.path,
        format!(
            "its last server did not stop cleanly, and the log that may hold its last events is not at {log}; move the log there \
             (it has the name that the database had, and -wal; where a backup was restored there since, it is named \
             *.before-restore-*-wal); if there is none, or another program has moved it into this file since: touch {log}"
        ),
    )
}

fn foreign_journal(file: RawFile<'_>) -> Error {
    let (journal, aside) = with_aside(sibling_path(file.path, "-journal"));
    cannot_start(
        file.path,
        format!("the journal {journal} beside it is another program's; move it away: mv {journal} {aside}"),
    )
}

fn foreign(file: RawFile<'_>) -> Error {
    cannot_start(file.path, "it is a SQLite file of another program; name a new file with --database")
}

fn unknown_version(file: RawFile<'_>, version: i64) -> Error {
    cannot_start(
        file.path,
        format!("its schema has version {version}, this program knows 1 to {VERSION}; use a newer data-pusher"),
    )
}

#[cfg(test)]
mod tests;
