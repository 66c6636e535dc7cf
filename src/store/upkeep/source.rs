//! Opens a database file to read it, whether a server uses it or not. The file is never written.
//!
//! Beside a file in WAL mode, every reader needs a log and its index, and SQLite creates them if there are none. Only a
//! connection that may write removes them again. So a file of a stopped server gets both while it is read, a server can
//! be started meanwhile, and they are removed at the end. The same helps a server that stopped meanwhile: it could not
//! move its log into the file, because the file was being read.
//!
//! Closing any descriptor of a file drops this process's locks on it. So the descriptor here is closed last.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{cannot_read, unreadable};
use super::progress::Limits;
use crate::domain::sealing::key::SecretsKeys;
use crate::error::{Error, Result};
use crate::store::file::checkpoints::Checkpoints;
use crate::store::file::held::lock;
use crate::store::file::identity::inspect;
use crate::store::file::identity::raw_file::RawFile;
use crate::store::file::opening::immutable_uri;
use crate::store::file::owner;
use crate::store::file::schema::{APPLICATION_ID, VERSION};
use crate::store::file::sealed::{functions, state};
use crate::store::file::start::LOCKED_AT_START;

/// Cache of the connection that reads, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// How long the end of a reader tries to remove the log that lies beside the file because of readers.
const REMOVED_WITHIN: Duration = Duration::from_millis(500);
/// Time between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// A file that can be read.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    served: bool,
    refusal: Option<Error>,
}

/// A connection that reads a [`Source`]. It has to be closed before the source is.
#[derive(Debug)]
pub struct Reading<'a> {
    source: &'a Source,
    connection: Option<Connection>,
    /// Whether a log may lie beside the file because of this reader.
    may_leave_log: bool,
}

/// Whether a server, or another program that needs the file for itself, uses it. A file that does not exist is not used.
///
/// # Errors
/// Says in one line why the file cannot be looked at.
pub fn is_in_use(database: &Path) -> Result<bool> {
    let Ok(path) = database.canonicalize() else { return Ok(false) };
    let file = File::open(&path).map_err(|error| cannot_read(&path, error))?;
    lock::is_taken(&file, &path)
}

/// Says whose a new file is, where its folder is another user's: that user's server could not open the file.
pub fn owner_remark(database: &Path) -> Option<String> {
    let folder = database.canonicalize().ok()?.parent()?.metadata().ok()?;
    let own = database.metadata().ok()?;
    (!owner::is_same(&own, &folder)).then(|| {
        format!(
            "{} belongs to user {}, and its folder to user {}; if the server runs as that user, run chown",
            database.display(),
            own.uid(),
            folder.uid()
        )
    })
}

/// Who copies the WAL of a file, as far as the file tells. That of a new file is this program.
pub fn checkpoints_of(database: &Path) -> Checkpoints {
    let Ok((path, file)) = database.canonicalize().and_then(|path| File::open(&path).map(|file| (path, file))) else {
        return Checkpoints::Own;
    };
    RawFile { path: &path, file: &file }.checkpoints()
}

impl Source {
    /// Finds the file and looks at it. Whether it can be used is in [`Source::refusal`].
    ///
    /// # Errors
    /// Says in one line why there is nothing to read.
    pub fn find(database: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => cannot_read(database, "there is no such file"),
            _ => cannot_read(database, error),
        };
        let path = database.canonicalize().map_err(failed)?;
        // A pipe would wait for its other end.
        if !path.metadata().map_err(failed)?.is_file() {
            return Err(cannot_read(database, "it is no ordinary file"));
        }
        let file = File::open(&path).map_err(failed)?;
        let mut served = lock::is_taken(&file, &path)?;
        let raw = RawFile { path: &path, file: &file };
        if raw.is_sealed_copy() {
            return Err(cannot_read(&path, "it is a sealed copy; open it first: data-pusher key open"));
        }
        // A server that runs has inspected its file, and changes the log meanwhile.
        let mut refusal = if served { None } else { inspect::inspect(raw, raw.checkpoints()).err() };
        if refusal.is_none() && raw.length().map_err(failed)? == 0 {
            refusal = Some(cannot_read(&path, "it is empty; restore a backup, or remove it to begin anew"));
        }
        if refusal.is_some() && lock::is_taken(&file, &path)? {
            (served, refusal) = (true, None);
        }
        Ok(Self { path, file, served, refusal })
    }

    /// Why a server would refuse the file as it stands.
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a server used the file when it was found.
    pub fn is_served(&self) -> bool {
        self.served
    }

    /// What must end work that reads the file.
    pub fn limits(&self) -> Limits {
        Limits::new(self.served.then(|| self.path.clone()))
    }

    /// The file as it lies on disk.
    pub fn raw(&self) -> RawFile<'_> {
        RawFile { path: &self.path, file: &self.file }
    }

    /// Opens a connection that reads the file and its log.
    ///
    /// # Errors
    /// The refusal, or says in one line why the file cannot be read.
    pub fn read(&self) -> Result<Reading<'_>> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let had_log = self.raw().log_path().exists();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.path, flags).and_then(prepare);
        match opened {
            Ok(connection) => {
                Ok(Reading { source: self, connection: Some(connection), may_leave_log: self.served || !had_log })
            }
            // No log can be made in a folder that cannot be written, and none is needed.
            Err(error) if is_unwritable(&error) && !had_log && !self.served => self.read_alone(),
            Err(error) => Err(unreadable(&self.path, &error)),
        }
    }

    /// Opens a connection that reads the file alone, whatever log lies beside it. Until this value is dropped, no server
    /// can be started on the file.
    ///
    /// # Errors
    /// Says in one line why the file cannot be read.
    pub fn read_alone(&self) -> Result<Reading<'_>> {
        if self.file.try_lock_shared().is_err() {
            return Err(cannot_read(&self.path, "a server has just been started on it; try again"));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let opened = Connection::open_with_flags(immutable_uri(&self.path), flags).and_then(prepare);
        let connection = opened.map_err(|error| unreadable(&self.path, &error))?;
        Ok(Reading { source: self, connection: Some(connection), may_leave_log: false })
    }

    /// Removes the log and its index, if no server uses the file and the file needs no log.
    fn remove_log(&self) {
        let end = Instant::now() + REMOVED_WITHIN;
        self.try_to_remove_log();
        // Of two commands that try this at one moment, neither is the last on the file.
        while self.raw().log_path().exists()
            && Instant::now() < end
            && !lock::is_taken(&self.file, &self.path).unwrap_or(true)
        {
            std::thread::sleep(TRY_AGAIN);
            self.try_to_remove_log();
        }
    }

    fn try_to_remove_log(&self) {
        let needs_log = || {
            self.raw().needs_log().unwrap_or(true) || inspect::inspect(self.raw(), self.raw().checkpoints()).is_err()
        };
        if !self.raw().log_path().exists() || lock::is_taken(&self.file, &self.path).unwrap_or(true) || needs_log() {
            return;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // SQLite does it when the last connection closes, and only then.
        let read = |connection: Connection| {
            connection.execute_batch("PRAGMA fullfsync = ON")?;
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        };
        let _ = Connection::open_with_flags(&self.path, flags).and_then(read);
    }
}

impl Reading<'_> {
    /// Version of the file's schema.
    ///
    /// # Errors
    /// The file is another program's, or newer than this program.
    pub fn version(&self) -> Result<i64> {
        let path = self.source.path();
        let number = |name: &str| {
            let number = self.connection().query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
            number.map_err(|error| unreadable(path, &error))
        };
        let (application, version) = (number("application_id")?, number("user_version")?);
        if application != APPLICATION_ID {
            return Err(cannot_read(path, "it is a SQLite file of another program"));
        }
        if !(1..=VERSION).contains(&version) {
            let why =
                format!("its schema has version {version}, this program knows 1 to {VERSION}; use a newer data-pusher");
            return Err(cannot_read(path, why));
        }
        Ok(version)
    }

    /// Lets the connection open secrets with `keys`.
    ///
    /// # Errors
    /// The file's secrets are sealed, and not with the current key.
    pub fn use_keys(&self, keys: &SecretsKeys) -> Result<()> {
        let (path, connection) = (self.source.path(), self.connection());
        let (fit, ids) = state::fit_and_ids(connection, keys).map_err(|error| unreadable(path, &error))?;
        if let Some(why) = fit.refusal(&ids) {
            return Err(cannot_read(path, why));
        }
        functions::install(connection, &Arc::new(keys.clone())).map_err(|error| unreadable(path, &error))
    }

    /// The connection. It has no transaction.
    pub fn connection(&self) -> &Connection {
        // It is only taken away in `drop`.
        self.connection.as_ref().unwrap_or_else(|| unreachable!("the connection is open"))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.connection = None;
        if self.may_leave_log {
            self.source.remove_log();
        }
    }
}

fn prepare(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(LOCKED_AT_START)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // The first read opens the log.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn is_unwritable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}
