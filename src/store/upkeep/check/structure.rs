//! Whether the file is whole as a file: its length, pages, indexes, references, schema and mark. What rows mean is in
//! `rules.rs` and `values.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::fault::{Faults, Many, RESTORE};
use crate::store::file::identity::mark::Mark;
use crate::store::file::identity::raw_file::RawFile;
use crate::store::file::schema::SCHEMA;
use crate::store::file::shell_word::word;
use crate::store::upkeep::source::Source;

/// Messages of SQLite's own check that are read at most.
const MAX_MESSAGES: u32 = 100;

/// `PRAGMA auto_vacuum` of our files: pages that are free can go back to the file system.
const INCREMENTAL: i64 = 2;

/// What a server would refuse, and the file's length.
pub fn raw(source: &Source, faults: &mut Faults) {
    if let Some(refusal) = source.refusal() {
        faults.add("refused_at_start", refusal.detail(), "");
        return;
    }
    // While a server runs, newer pages are in its log.
    let has_log = source.raw().log_path().metadata().is_ok_and(|meta| meta.len() > 0);
    if source.is_served() || has_log {
        return;
    }
    if let (Ok(length), Ok(Some(header))) = (source.raw().length(), source.raw().header()) {
        let expected = u64::from(header.pages) * header.page_size as u64;
        if length < expected {
            faults.add("truncated", &format!("the file has {length} bytes of {expected}; its end is missing"), RESTORE);
        } else if length > expected {
            let text = format!("the file has {length} bytes and should have {expected}; something was added to it");
            faults.add("too_long", &text, "if nothing else is wrong, make a copy with data-pusher backup and use that");
        }
    }
}

/// SQLite's own check of pages, rows and indexes.
pub fn integrity(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MAX_MESSAGES})"))?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let message: String = row.get(0)?;
        for line in message.lines().map(str::trim) {
            if line == "ok" || line.is_empty() || line.starts_with("***") {
                continue;
            }
            if ["missing from index", "entries in index", "differ from index", "entry in index"]
                .iter()
                .any(|part| line.contains(part))
            {
                faults.add("index", line, "stop the server, then: sqlite3 DATABASE REINDEX");
            } else {
                faults.add("damaged", line, RESTORE);
            }
        }
    }
    Ok(())
}

/// Rows that refer to rows that are not there.
pub fn references(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
    let mut missing: BTreeMap<(String, String), Many> = BTreeMap::new();
    let mut check = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let id: Option<i64> = row.get(1)?;
        let key = (row.get(0)?, row.get(2)?);
        missing.entry(key).or_default().add(|| id.map_or("unnumbered".to_owned(), |id| format!("row {id}")));
    }
    for ((table, parent), many) in missing {
        faults.add_many("missing_parent", &format!("rows of {table} whose {parent} is not there"), &many, RESTORE);
    }
    Ok(())
}

/// Tables, indexes and triggers by kind and name, with their SQL without comments and white space, and as it is.
type Objects = BTreeMap<(String, String), (String, String)>;

fn objects(connection: &Connection) -> rusqlite::Result<Objects> {
    let query =
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'";
    let mut objects = connection.prepare(query)?;
    let objects = objects.query_map([], |row| {
        let sql: String = row.get(2)?;
        let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        let spaced = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        Ok(((row.get(0)?, row.get(1)?), (spaced.replace(' ', ""), spaced)))
    })?;
    objects.collect()
}

/// Whether all tables, indexes and triggers are there, and as they should be.
pub fn schema(
    connection: &Connection,
    path: &Path,
    faults: &mut Faults,
    remarks: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(SCHEMA)?;
    let (expected, mut found) = (objects(&fresh)?, objects(connection)?);
    for ((kind, name), (bare, sql)) in expected {
        let what = format!("the {kind} {name}");
        match found.remove(&(kind.clone(), name)) {
            None if kind == "index" => {
                let advice = format!("stop the server, then: sqlite3 {} '{sql}'", word(path));
                faults.add("missing_index", &format!("{what} is missing"), advice);
            }
            None => faults.add(
                if kind == "table" { "schema" } else { "missing_trigger" },
                &format!("{what} is missing"),
                RESTORE,
            ),
            Some((other, _)) if other != bare => {
                faults.add("schema", &format!("{what} is not as this program makes it"), RESTORE);
            }
            Some(_) => {}
        }
    }
    // A replicator keeps two tables of its own in the file.
    let foreign = found.into_keys().filter(|(_, name)| !name.starts_with("_litestream_"));
    remarks.extend(foreign.map(|(kind, name)| format!("it has a {kind} of another program: {name}")));
    let vacuum: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    if vacuum != INCREMENTAL {
        remarks.push("its auto_vacuum is not incremental, so the file never gets smaller".to_owned());
    }
    Ok(())
}

/// The mark, and whether the file itself has it where nobody writes to the file.
pub fn mark(connection: &Connection, file: Option<RawFile<'_>>, faults: &mut Faults) -> rusqlite::Result<()> {
    let advice = "make a copy with data-pusher backup, if this is all that is wrong, else restore a backup";
    let (rows, bytes): (i64, Option<Vec<u8>>) =
        connection.query_row("SELECT count(*), max(mark) FROM log_mark", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(mark) = bytes.and_then(|bytes| Mark::parse(&bytes)).filter(|_| rows == 1) else {
        faults.add("mark", "the mark that ties the log to the file is missing or damaged", RESTORE);
        return Ok(());
    };
    let Some(file) = file else { return Ok(()) };
    let has_log = file.log_path().metadata().is_ok_and(|meta| meta.len() > 0);
    let header = file.header().ok().flatten();
    let in_file = header.and_then(|header| file.mark(header.page_size).ok()).flatten();
    if !has_log && !in_file.is_some_and(|(found, _)| found.is(&mark)) {
        faults.add("mark", "the mark that ties the log to the file is not at its place", advice);
    }
    Ok(())
}
