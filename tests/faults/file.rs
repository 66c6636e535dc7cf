//! Reads the contents of a database file without the server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::ledger::Ledger;

/// A delivery as it is stored in the file.
pub struct Row {
    /// Number of its event.
    pub number: u64,
    /// Path of its destination's URL.
    pub path: String,
    pub pending: bool,
}

/// A copy of the file and its log in `folder`. Opening the originals would recover and empty the log, which only the
/// server must do.
pub fn copy(database: &Path, folder: &Path) -> PathBuf {
    let to = folder.join("copy.db");
    for ending in ["", "-wal"] {
        let (from, to) = (with_ending(database, ending), with_ending(&to, ending));
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
    let _ = std::fs::remove_file(with_ending(&to, "-shm"));
    to
}

/// The path of a companion of the file.
pub fn with_ending(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Opens a file that nobody else uses. Fails if the file is damaged.
#[track_caller]
pub fn open_whole(database: &Path) -> Connection {
    let file = Connection::open(database).unwrap();
    file.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let result: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let dangling: i64 = file.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!((result.as_str(), dangling), ("ok", 0), "{}", database.display());
    let number = |query: &str| file.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    // After a power cut a file may still be without tables.
    if number("SELECT count(*) FROM sqlite_schema") > 0 {
        // The schema has no reference for this; see schema.sql.
        let lost = "SELECT count(*) FROM delivery WHERE destination_key NOT IN (SELECT key FROM destination)";
        assert_eq!(number(lost), 0, "{}", database.display());
    }
    file
}

/// All deliveries in the file.
pub fn deliveries(file: &Connection) -> Vec<Row> {
    let mut query = file
        .prepare(
            "SELECT e.payload, d.url, v.state FROM delivery v
             JOIN event e ON e.id = v.event_id JOIN destination d ON d.key = v.destination_key",
        )
        .unwrap();
    let rows = query.query_map([], |row| {
        let url: String = row.get(1)?;
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let number = Ledger::number(row.get_ref(0)?.as_blob()?);
        Ok(Row { number, path: format!("/{path}"), pending: row.get::<_, i64>(2)? == 0 })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The number of deliveries of each event.
pub fn deliveries_by_event(file: &Connection) -> HashMap<u64, usize> {
    let mut query = file
        .prepare("SELECT e.payload, (SELECT count(*) FROM delivery v WHERE v.event_id = e.id) FROM event e")
        .unwrap();
    let rows = query.query_map([], |row| Ok((Ledger::number(row.get_ref(0)?.as_blob()?), row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}
