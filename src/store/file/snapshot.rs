//! Reads a file that a server uses, or that no server uses, without changing it. Nothing here waits for a server, and
//! no server waits for it.
//!
//! A file that stands alone must do so afterwards: a connection that only reads would leave an empty log beside it. So
//! SQLite is told that nobody changes such a file, and the lock that keeps servers off it makes that true.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::companions::sibling_path;
use super::error::{IN_USE, cannot_start, explain};
use super::held::HeldFile;
use super::held::lock::lock;
use super::opening;
use super::schema::{APPLICATION_ID, VERSION};
use crate::error::Result;
use crate::store::error::sql;

/// What of a path is not encoded in a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Cache of the connection, in KiB.
const CACHE_KIB: u32 = 2_048;

/// How long another command may hold the lock, or a server may start or stop.
const PASSES_WITHIN: Duration = Duration::from_secs(5);

/// A connection that only reads. What is read in one call of [`Snapshot::read`] belongs together.
pub struct Snapshot {
    connection: Connection,
    /// Keeps servers off the file, unless one runs on it. Comes last: closing a descriptor of the file would drop the
    /// connection's locks.
    _held: Option<HeldFile>,
}

impl Snapshot {
    /// Opens a file of the current schema.
    ///
    /// # Errors
    /// Says in one line why the file cannot be read.
    pub fn open(database: &Path) -> Result<Self> {
        let path = database.canonicalize().map_err(|error| cannot_start(database, error))?;
        let held = hold(&path)?;
        let stands_alone = held.is_some() && !has_log(&path);
        let (name, kind) = if stands_alone {
            (immutable_uri(&path), OpenFlags::SQLITE_OPEN_URI)
        } else {
            (path.clone().into(), OpenFlags::empty())
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | kind;
        let connection =
            Connection::open_with_flags(Path::new(&name), flags).map_err(|error| explain(&path, &error))?;
        opening::prepare_reader(&connection, CACHE_KIB).map_err(|error| explain(&path, &error))?;
        check(&path, &connection)?;
        Ok(Self { connection, _held: held })
    }

    /// Runs reads that see one state of the file. To end soon lets the log of a running server start again.
    ///
    /// # Errors
    /// Those of `read`, and of the file.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let transaction = self.connection.unchecked_transaction().map_err(sql)?;
        read(&transaction)
    }
}

/// Whether a server uses the file. A file that does not exist is not used.
///
/// # Errors
/// Says in one line why the file cannot be looked at.
pub fn is_in_use(database: &Path) -> Result<bool> {
    let Ok(path) = database.canonicalize() else { return Ok(false) };
    let file = File::open(&path).map_err(|error| cannot_start(&path, error))?;
    match lock(&file, &path) {
        Ok(_) => Ok(false),
        Err(error) if error.code() == IN_USE => Ok(true),
        Err(error) => Err(error),
    }
}

/// Keeps servers off the file; `None` if one runs on it. Who holds the lock and has no log is another command, or a
/// server that starts or stops.
fn hold(path: &Path) -> Result<Option<HeldFile>> {
    let end = Instant::now() + PASSES_WITHIN;
    loop {
        match opening::hold(path) {
            Ok(held) => return Ok(Some(held)),
            Err(error) if error.code() == IN_USE && has_log(path) => return Ok(None),
            // Trying again takes a while by itself.
            Err(error) if error.code() == IN_USE && Instant::now() < end => {}
            Err(error) => return Err(error),
        }
    }
}

fn has_log(path: &Path) -> bool {
    sibling_path(path, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

/// A URI of SQLite for a file that nobody changes.
fn immutable_uri(path: &Path) -> OsString {
    format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), PATH)).into()
}

fn check(path: &Path, connection: &Connection) -> Result<()> {
    let number = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
            .map_err(|error| explain(path, &error))
    };
    if number("application_id")? != APPLICATION_ID {
        return Err(cannot_start(path, "it is not a file of data-pusher"));
    }
    match number("user_version")? {
        VERSION => Ok(()),
        version @ ..VERSION => Err(cannot_start(
            path,
            format!("its schema has version {version}, and this program reads {VERSION}; start the server on it once"),
        )),
        version => Err(cannot_start(
            path,
            format!(
                "its schema has version {version}, and this program reads {VERSION}; use a newer version of the program"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_never_read_as_a_uri_of_its_own() {
        let uri = immutable_uri(Path::new("/tmp/a b?mode=rw#%41.db"));
        assert_eq!(uri, "file:/tmp/a%20b%3Fmode%3Drw%23%2541.db?immutable=1");
    }
}
