//! Checks a database file: that it is whole, and that what it holds makes sense. Nothing is changed.

mod fault;
mod rules;
mod secrets;
mod structure;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

pub use self::fault::{Fault, MAX_FAULTS};
use self::fault::{Faults, RESTORE};
pub use self::secrets::{SEALED_WITH_OTHER_KEY, SEALED_WITHOUT_KEY};
use super::error::NO_ACCESS;
use super::progress::{Limits, Progress, Step};
use super::source::{Reading, Source};
use crate::domain::sealing::key::{KeyId, SecretsKeys};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::process::critical::kill_point;
use crate::store::file::schema::VERSION;
use crate::store::file::sealed::functions;
use crate::store::file::sealed::state::{self, Sealing};

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// Canonical path of the file.
    pub path: PathBuf,
    /// Version of its schema; `None` if that cannot be read.
    pub version: Option<i64>,
    /// At most [`MAX_FAULTS`] faults. The file is whole if there are none.
    pub faults: Vec<Fault>,
    /// Further faults that are not in `faults`.
    pub more_faults: usize,
    /// Whether pages, indexes, references, schema and mark have no faults. Then only what rows say is wrong.
    pub is_sound: bool,
    /// What is worth knowing and no fault.
    pub remarks: Vec<String>,
    /// The key that its secrets are sealed with; `None` if they are plain, or that cannot be read.
    pub key: Option<KeyId>,
    /// The key that it needs too, while a rotation from that is not complete.
    pub key_before: Option<KeyId>,
    /// What the file holds; `None` if that cannot be read.
    pub counts: Option<Counts>,
}

/// Numbers of rows, with those that are deleted and not removed yet.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Accounts.
    pub accounts: u64,
    /// Destinations.
    pub destinations: u64,
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
}

/// Checks the file at `database`, whether a server uses it or not. `now` is the time of the wall clock. With a key,
/// secrets that are sealed are opened; otherwise only their form is looked at.
///
/// # Errors
/// Says in one line why the file cannot be checked: among others, its secrets are sealed with another key. What is wrong
/// with the file is no error.
pub fn check(database: &Path, now: Timestamp, keys: &SecretsKeys, progress: Progress<'_>) -> Result<Report> {
    let source = Source::find(database)?;
    let (mut faults, mut remarks) = (Faults::default(), Vec::new());
    let (mut version, mut counts, mut is_sound, mut sealing) = (None, None, false, None);
    progress(Step::Checking("the file"));
    structure::raw(&source, &mut faults);
    if let Some(reading) = open(&source, &mut faults)? {
        match reading.version() {
            Ok(known) => {
                version = Some(known);
                prepare(&reading, keys)?;
                sealing = state::read(reading.connection()).ok().flatten();
                let limits = source.limits();
                let mut checker =
                    Checker { source: &source, reading: &reading, faults, is_sound: false, limits, progress };
                counts = checker.all(known, now, &mut remarks)?;
                (faults, is_sound) = (checker.faults, checker.is_sound);
            }
            Err(error) if source.refusal().is_none() => faults.add("wrong_file", error.detail(), ""),
            Err(_) => {}
        }
    }
    let path = source.path().to_owned();
    let (faults, more_faults) = faults.into_parts();
    let (key, key_before) = (sealing.as_ref().and_then(Sealing::key), sealing.as_ref().and_then(Sealing::key_before));
    if let Some(key) = key {
        remarks.push(format!("its secrets are sealed with the key {key}"));
    }
    Ok(Report { path, version, faults, more_faults, is_sound, remarks, key, key_before, counts })
}

/// Lets the connection open secrets. Without a key, sealed ones stay sealed.
fn prepare(reading: &Reading<'_>, keys: &SecretsKeys) -> Result<()> {
    if keys.current().is_some() {
        return reading.use_keys(keys);
    }
    functions::install(reading.connection(), &Arc::default()).map_err(crate::store::error::sql)
}

/// Opens the file. One that a server would refuse is read without the log beside it.
///
/// # Errors
/// This process may not read the file. That says nothing about the file.
fn open<'a>(source: &'a Source, faults: &mut Faults) -> Result<Option<Reading<'a>>> {
    let opened = if source.refusal().is_some() { source.read_alone() } else { source.read() };
    match opened {
        Ok(reading) => Ok(Some(reading)),
        Err(error) if error.code() == NO_ACCESS => Err(error),
        Err(error) => {
            if source.refusal().is_none() {
                faults.add("unreadable", error.detail(), RESTORE);
            }
            Ok(None)
        }
    }
}

struct Checker<'a> {
    source: &'a Source,
    reading: &'a Reading<'a>,
    faults: Faults,
    is_sound: bool,
    limits: Limits,
    progress: Progress<'a>,
}

impl Checker<'_> {
    fn all(&mut self, version: i64, now: Timestamp, remarks: &mut Vec<String>) -> Result<Option<Counts>> {
        kill_point("checking");
        self.part("pages and indexes", structure::integrity)?;
        self.part("references", structure::references)?;
        if version < VERSION {
            self.is_sound = self.faults.is_empty();
            remarks.push(format!("its schema has version {version}; the next start brings it to version {VERSION}"));
        } else {
            let path = self.source.path().to_owned();
            self.part("schema", |connection, faults| structure::schema(connection, &path, faults, remarks))?;
            let has_schema = !self.faults.has("schema");
            let alone = !self.source.is_served() && self.source.refusal().is_none();
            let file = alone.then(|| self.source.raw());
            self.part("marks", |connection, faults| structure::mark(connection, file, faults))?;
            self.is_sound = self.faults.is_empty();
            // Without all tables and columns, these would only say so again.
            if has_schema {
                for rule in rules::ALL {
                    self.part(rule.name, |connection, faults| rules::check(connection, rule, now, faults))?;
                }
                self.part("accounts", values::accounts)?;
                self.part("destinations", values::destinations)?;
                let path = self.source.path().to_owned();
                self.part("sealed secrets", |connection, faults| secrets::sealed(connection, &path, faults, remarks))?;
                self.part("documents", values::documents)?;
            }
        }
        let mut counts = None;
        self.part("counts", |connection, _| {
            counts = self::counts(connection).ok();
            Ok(())
        })?;
        Ok(counts)
    }

    /// Runs a part of the check. That it cannot read the file is a fault.
    fn part(
        &mut self,
        name: &'static str,
        act: impl FnOnce(&Connection, &mut Faults) -> rusqlite::Result<()>,
    ) -> Result<()> {
        (self.progress)(Step::Checking(name));
        let connection = self.reading.connection();
        let faults = &mut self.faults;
        match self.limits.during(connection, || act(connection, faults))? {
            Ok(()) => {}
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                self.faults.add_once("damaged", &format!("{name} cannot be read: {error}"), RESTORE);
            }
            Err(error) => self.faults.add("unreadable", &format!("{name} cannot be read: {error}"), RESTORE),
        }
        Ok(())
    }
}

fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let counts = "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM destination),
        (SELECT count(*) FROM event), (SELECT count(*) FROM delivery)";
    connection.query_row(counts, [], |row| {
        Ok(Counts { accounts: row.get(0)?, destinations: row.get(1)?, events: row.get(2)?, deliveries: row.get(3)? })
    })
}
