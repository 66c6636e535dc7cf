//! `data-pusher backup`. What it does is in `store/upkeep/backup.rs`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::finished::Finished;
use super::progress::Bar;
use crate::delivery::clock;
use crate::error::Result;
use crate::process::interrupt;
use crate::store::upkeep::backup::{BackupOptions, Copied, back_up};

/// Text at the end of the help.
pub const EXIT_CODES: &str = "The copy needs no other file beside it. Until it is whole and checked, it is called \
OUT.partial-TIME; such a file that a kill left can be removed.

Exit codes: 0 the copy is there, whole and checked; 1 it is not, or it has the wrong rows that the database has, or the \
output could not be written, and one line says which; 2 a flag is wrong.";

/// The flags.
#[derive(Debug, Args)]
pub struct Backup {
    /// Database file
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// Place of the copy, also on another disk
    #[arg(value_name = "OUT")]
    to: PathBuf,

    /// Replace the file at OUT, once the copy is whole
    #[arg(long)]
    force: bool,

    /// Print one line of JSON: path, bytes, duration_ms, schema_version, and what it holds
    #[arg(long)]
    json: bool,

    /// Say nothing on success; for cron
    #[arg(long)]
    quiet: bool,
}

/// What `--json` prints of a copy.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    path: &'a str,
    bytes: u64,
    duration_ms: u64,
    schema_version: i64,
    accounts: Option<u64>,
    destinations: Option<u64>,
    events: Option<u64>,
    deliveries: Option<u64>,
}

/// One line of JSON about a copy that took until now to make.
pub fn json(copied: &Copied, began: Instant) -> serde_json::Value {
    let counts = copied.counts;
    let printed = Printed {
        path: &copied.path.to_string_lossy(),
        bytes: copied.bytes,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        schema_version: copied.version,
        accounts: counts.map(|counts| counts.accounts),
        destinations: counts.map(|counts| counts.destinations),
        events: counts.map(|counts| counts.events),
        deliveries: counts.map(|counts| counts.deliveries),
    };
    serde_json::to_value(printed).unwrap_or_default()
}

/// What a copy holds, for people.
pub fn describe(copied: &Copied, began: Instant) -> String {
    let events = copied.counts.map(|counts| format!(", {} events", counts.events)).unwrap_or_default();
    format!("{}{events}, {:.1} s", HumanBytes(copied.bytes), began.elapsed().as_secs_f64())
}

impl Backup {
    /// Makes the copy.
    ///
    /// # Errors
    /// Says in one line what failed.
    pub fn run(self) -> Result<Finished> {
        interrupt::listen();
        let began = Instant::now();
        let bar = Bar::new(self.quiet);
        let options = BackupOptions { database: self.database, to: self.to, replace: self.force };
        let copied = back_up(&options, clock::wall(), &|step| bar.show(step))?;
        drop(bar);
        let data = if self.json { format!("{}\n", json(&copied, began)) } else { String::new() };
        let is_right = copied.fault.is_none();
        let wrong = copied.remark().map(|remark| format!("error: {remark}\n")).unwrap_or_default();
        let notes = match self.quiet || self.json {
            true => wrong,
            false => {
                format!("copied to {} ({}), and checked\n{wrong}", copied.path.display(), describe(&copied, began))
            }
        };
        Ok(Finished { data, notes, is_right })
    }
}
